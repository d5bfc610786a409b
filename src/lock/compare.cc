#include "imgbuild/lock/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "imgbuild/util/strings.h"

namespace imgbuild::lock {
namespace {

Finding Start(const UsedName& used) {
  Finding finding;
  finding.kind = used.kind;
  finding.name = used.name;
  finding.range = used.range;
  return finding;
}

std::string Shown(const UsedName& used) {
  return used.image ? KeyOf(*used.image).Familiar() : used.name;
}

Finding Stale(const UsedName& used) {
  Finding finding = Start(used);
  finding.state = State::kStale;
  finding.message = fmt::format("{} is not in the lock", Shown(used));
  return finding;
}

// The text has a digest of its own: the lock must agree.
void CompareOwn(const std::string& own, const std::string& locked,
                const UsedName& used, Finding& finding) {
  if (own.empty() || locked.starts_with(own)) return;
  finding.state = State::kConflict;
  finding.after = own;
  finding.message = fmt::format("the lock has {} for {}, the Dockerfile {}",
                                locked, Shown(used), own);
}

Finding CompareImage(const UsedName& used, const Lockfile& lock) {
  const ImagePin* pin = lock.FindImage(*used.image);
  if (pin == nullptr) {
    // A digest in the text pins it as well as an entry would.
    return used.image->digest() ? Start(used) : Stale(used);
  }
  Finding finding = Start(used);
  finding.before = pin->digest.ToString();
  if (used.image->digest()) {
    CompareOwn(used.image->digest()->ToString(), finding.before, used, finding);
  }
  const std::string platform = used.platform.ToString();
  if (finding.state == State::kPinned && !pin->platforms.contains(platform)) {
    std::vector<std::string> covered;
    for (const auto& [name, own] : pin->platforms) covered.push_back(name);
    finding.state = State::kStale;
    finding.message = fmt::format("the lock of {} does not cover {}, only {}",
                                  Shown(used), platform, Join(covered, ", "));
  }
  return finding;
}

Finding CompareOne(const UsedName& used, const Lockfile& lock) {
  Finding finding = Start(used);
  switch (used.kind) {
    case Kind::kImage:
      return CompareImage(used, lock);
    case Kind::kUrl: {
      const UrlPin* pin = lock.FindUrl(used.name);
      // A checksum in the text pins it as well as an entry would.
      if (pin == nullptr)
        return used.own_checksum.empty() ? Stale(used) : finding;
      finding.before = pin->checksum.ToString();
      break;
    }
    case Kind::kGit: {
      const GitPin* pin = lock.FindGit(used.name);
      if (pin == nullptr)
        return used.own_checksum.empty() ? Stale(used) : finding;
      finding.before = pin->commit;
      break;
    }
    case Kind::kFrontend: {
      const auto it =
          std::ranges::find_if(lock.frontends, [&](const FrontendPin& pin) {
            return pin.name.ToString() == used.name;
          });
      if (it == lock.frontends.end()) return Stale(used);
      finding.before = it->digest.ToString();
      if (used.image && used.image->digest()) {
        CompareOwn(used.image->digest()->ToString(), finding.before, used,
                   finding);
      }
      return finding;
    }
  }
  CompareOwn(used.own_checksum, finding.before, used, finding);
  return finding;
}

void AddUnused(Kind kind, const std::string& name, const std::string& before,
               const SourceRange& range, const std::set<std::string>& names,
               std::vector<Finding>& out) {
  if (names.contains(std::string(ToString(kind)) + " " + name)) return;
  Finding finding;
  finding.state = State::kUnused;
  finding.kind = kind;
  finding.name = name;
  finding.range = range;
  finding.before = before;
  finding.message = fmt::format("nothing in the Dockerfile names {}", name);
  out.push_back(std::move(finding));
}

}  // namespace

std::string_view ToString(Kind kind) {
  switch (kind) {
    case Kind::kImage:
      return "image";
    case Kind::kUrl:
      return "url";
    case Kind::kGit:
      return "git";
    case Kind::kFrontend:
      return "frontend";
  }
  return "";
}

std::string_view ToString(State state) {
  switch (state) {
    case State::kFresh:
      return "fresh";
    case State::kMoved:
      return "moved";
    case State::kGone:
      return "gone";
    case State::kStale:
      return "stale";
    case State::kUnused:
      return "unused";
    case State::kConflict:
      return "conflict";
    case State::kDrift:
      return "drift";
    case State::kPinned:
      return "pinned";
  }
  return "";
}

std::vector<Finding> CompareOffline(const std::vector<UsedName>& used,
                                    const Lockfile& lock) {
  std::vector<Finding> out;
  std::set<std::string> names;
  std::set<std::string> told;
  for (const UsedName& name : used) {
    names.insert(std::string(ToString(name.kind)) + " " + name.name);
    Finding finding = CompareOne(name, lock);
    // Recorded where its registry answered; no build of ours needs it.
    if (name.kind == Kind::kFrontend && finding.state == State::kStale) {
      continue;
    }
    // The same remark about the same word once, however many variants and
    // platforms it is made for.
    const std::string key =
        fmt::format("{} {} {} {}", ToString(finding.state), finding.name,
                    finding.message, finding.range.ToString());
    if (told.insert(key).second) out.push_back(std::move(finding));
  }
  for (const ImagePin& pin : lock.images) {
    if (pin.added) continue;
    AddUnused(Kind::kImage, pin.name.ToString(), pin.digest.ToString(),
              pin.range, names, out);
  }
  for (const UrlPin& pin : lock.urls) {
    AddUnused(Kind::kUrl, pin.name, pin.checksum.ToString(), pin.range, names,
              out);
  }
  for (const GitPin& pin : lock.gits) {
    AddUnused(Kind::kGit, pin.name, pin.commit, pin.range, names, out);
  }
  for (const FrontendPin& pin : lock.frontends) {
    AddUnused(Kind::kFrontend, pin.name.ToString(), pin.digest.ToString(),
              pin.range, names, out);
  }
  return out;
}

}  // namespace imgbuild::lock
