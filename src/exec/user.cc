#include "imgbuild/exec/user.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxAccountFile = 1 << 20;
// The largest id that every tool agrees on: 2^31 - 1.
constexpr uint64_t kMaxId = 0x7fffffff;

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

struct GroupEntry {
  std::string name;
  uint32_t gid = 0;
  std::vector<std::string> members;
};

std::optional<uint32_t> ParseId(std::string_view text) {
  std::optional<uint64_t> number = ParseUint(text);
  if (!number || *number > kMaxId) return std::nullopt;
  return static_cast<uint32_t>(*number);
}

bool AllDigits(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// A number that is meant as one but cannot be an id: 4294967296 must not
// become 0, nor -1 somebody (CVE-2024-40635).
void RefuseBadNumber(std::string_view text, std::string_view what) {
  std::string_view digits = text;
  if (digits.starts_with('-') || digits.starts_with('+')) {
    digits.remove_prefix(1);
  }
  if (!AllDigits(digits)) return;
  throw Error(ErrorCode::kStep,
              fmt::format("{} {}: {} ids must be in range 0-2147483647", what,
                          Quoted(text), what));
}

// Lines of a passwd or group file as fields. Broken lines are skipped, as
// libc does.
std::vector<std::vector<std::string>> ReadAccounts(const FileTree& root,
                                                   const char* path,
                                                   size_t min_fields) {
  std::vector<std::vector<std::string>> lines;
  std::optional<std::string> text = ReadFromTree(root, path, kMaxAccountFile);
  if (!text) return lines;
  for (const std::string& line : Split(*text, '\n')) {
    std::string_view trimmed = Trim(line);
    if (trimmed.empty() || trimmed.front() == '#') continue;
    std::vector<std::string> fields = Split(trimmed, ':');
    if (fields.size() >= min_fields && !fields[0].empty()) {
      lines.push_back(std::move(fields));
    }
  }
  return lines;
}

std::vector<PasswdEntry> ReadPasswd(const FileTree& root) {
  std::vector<PasswdEntry> out;
  for (std::vector<std::string>& fields : ReadAccounts(root, "etc/passwd", 4)) {
    std::optional<uint32_t> uid = ParseId(fields[2]);
    std::optional<uint32_t> gid = ParseId(fields[3]);
    if (!uid || !gid) continue;
    out.push_back({std::move(fields[0]), *uid, *gid,
                   fields.size() > 5 ? std::move(fields[5]) : ""});
  }
  return out;
}

std::vector<GroupEntry> ReadGroups(const FileTree& root) {
  std::vector<GroupEntry> out;
  for (std::vector<std::string>& fields : ReadAccounts(root, "etc/group", 3)) {
    std::optional<uint32_t> gid = ParseId(fields[2]);
    if (!gid) continue;
    out.push_back({std::move(fields[0]), *gid,
                   fields.size() > 3 ? Split(fields[3], ',')
                                     : std::vector<std::string>()});
  }
  return out;
}

uint32_t FindGroup(const FileTree& root, std::string_view group) {
  for (const GroupEntry& entry : ReadGroups(root)) {
    if (entry.name == group) return entry.gid;
  }
  if (std::optional<uint32_t> gid = ParseId(group)) return *gid;
  RefuseBadNumber(group, "gid");
  throw Error(ErrorCode::kStep,
              fmt::format("unable to find group {}: no matching entries in "
                          "group file",
                          group));
}

struct UserAndGroup {
  std::string_view user;
  std::string_view group;
  bool has_group = false;
};

// "user:" is as good as "user".
UserAndGroup SplitSpec(std::string_view spec) {
  size_t colon = spec.find(':');
  if (colon == std::string_view::npos) return {spec, "", false};
  std::string_view group = spec.substr(colon + 1);
  return {spec.substr(0, colon), group, !group.empty()};
}

// The entry of a user: by name first (a name may consist of digits), then by
// number. nullopt: a number that the file does not have.
std::optional<PasswdEntry> FindUser(const FileTree& root,
                                    std::string_view user) {
  std::vector<PasswdEntry> passwd = ReadPasswd(root);
  for (PasswdEntry& entry : passwd) {
    if (entry.name == user) return std::move(entry);
  }
  std::optional<uint32_t> uid = ParseId(user);
  if (!uid) {
    RefuseBadNumber(user, "uid");
    throw Error(ErrorCode::kStep,
                fmt::format("unable to find user {}: no matching entries in "
                            "passwd file",
                            user));
  }
  for (PasswdEntry& entry : passwd) {
    if (entry.uid == *uid) return std::move(entry);
  }
  return std::nullopt;
}

}  // namespace

ResolvedUser ResolveUser(const FileTree& root, std::string_view spec) {
  UserAndGroup parts = SplitSpec(spec);
  std::string_view user = parts.user.empty() ? "0" : parts.user;
  ResolvedUser out;
  std::optional<PasswdEntry> entry = FindUser(root, user);
  if (entry) {
    out.uid = entry->uid;
    out.gid = entry->gid;
    out.home = entry->home;
  } else {
    out.uid = *ParseId(user);
  }
  if (out.home.empty()) out.home = "/";
  if (parts.has_group) {
    // A group of one's own choosing comes alone.
    out.gid = FindGroup(root, parts.group);
    return out;
  }
  if (!entry) return out;
  for (const GroupEntry& group : ReadGroups(root)) {
    bool member = std::find(group.members.begin(), group.members.end(),
                            entry->name) != group.members.end();
    bool known = std::find(out.groups.begin(), out.groups.end(), group.gid) !=
                 out.groups.end();
    if (member && !known) out.groups.push_back(group.gid);
  }
  return out;
}

Ownership ResolveChown(const FileTree& root, std::string_view spec) {
  UserAndGroup parts = SplitSpec(spec);
  Ownership out;
  bool number = ParseId(parts.user).has_value();
  if (!parts.user.empty()) {
    std::optional<PasswdEntry> entry = FindUser(root, parts.user);
    out.uid = entry ? entry->uid : *ParseId(parts.user);
    out.gid = number || !entry ? out.uid : entry->gid;
    // A name of digits is a name.
    if (number && entry && entry->name == parts.user) out.gid = entry->gid;
  }
  if (parts.has_group) out.gid = FindGroup(root, parts.group);
  return out;
}

}  // namespace imgbuild::exec
