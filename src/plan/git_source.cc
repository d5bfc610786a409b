#include "imgbuild/plan/git_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

Error Invalid(std::string message) {
  return Error(ErrorCode::kDockerfile, std::move(message));
}

bool ParseBool(std::string_view key, std::string_view value) {
  if (value.empty() || value == "1" || value == "true") return true;
  if (value == "0" || value == "false") return false;
  throw Invalid(
      fmt::format("invalid value {} for {} of a git URL: it is true "
                  "or false",
                  Quoted(value), key));
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto hex = [&](size_t at) {
      const auto digit = std::string_view("0123456789abcdef")
                             .find(static_cast<char>(std::tolower(
                                 static_cast<unsigned char>(text[at]))));
      return digit == std::string_view::npos ? -1 : static_cast<int>(digit);
    };
    if (text[i] == '%' && i + 2 < text.size() && hex(i + 1) >= 0 &&
        hex(i + 2) >= 0) {
      out += static_cast<char>(hex(i + 1) * 16 + hex(i + 2));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

// What git must never take for an option or for several words.
void CheckName(std::string_view what, std::string_view text) {
  const bool odd = std::ranges::any_of(
      text, [](unsigned char c) { return c <= ' ' || c == 0x7F; });
  if (text.starts_with('-') || odd) {
    throw Invalid(fmt::format("invalid git {} {}", what, Quoted(text)));
  }
}

void TakeQuery(std::string_view query, GitSource& source) {
  std::set<std::string> seen;
  for (const std::string& pair : Split(query, '&')) {
    if (pair.empty()) continue;
    const size_t eq = pair.find('=');
    const std::string key = pair.substr(0, eq);
    const std::string value =
        eq == std::string::npos
            ? ""
            : PercentDecode(std::string_view(pair).substr(eq + 1));
    if (!seen.insert(key == "checksum" ? "commit" : key).second) {
      throw Invalid(fmt::format("{} stands twice in a git URL", Quoted(key)));
    }
    if (key == "ref" || key == "tag" || key == "branch") {
      if (!source.ref.empty()) {
        throw Invalid("a git URL takes one of ref, tag and branch");
      }
      source.ref = key == "tag"      ? "refs/tags/" + value
                   : key == "branch" ? "refs/heads/" + value
                                     : value;
    } else if (key == "subdir") {
      source.subdir = value;
    } else if (key == "checksum" || key == "commit") {
      source.commit = ToLower(value);
    } else if (key == "keep-git-dir") {
      source.keep_git_dir = ParseBool(key, value);
    } else if (key == "submodules") {
      source.submodules = ParseBool(key, value);
    } else {
      Error error =
          Invalid(fmt::format("unknown key {} in a git URL", Quoted(key)));
      if (const auto near =
              Suggest(key, {"ref", "tag", "branch", "subdir", "checksum",
                            "commit", "keep-git-dir", "submodules"})) {
        error.WithHint(fmt::format("did you mean {}?", *near));
      }
      throw error;
    }
  }
}

}  // namespace

bool IsFullCommit(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool IsGitUrl(std::string_view text) {
  const std::string_view path = text.substr(0, text.find_first_of("#?"));
  if (text.starts_with("git://") || text.starts_with("ssh://")) return true;
  if (text.starts_with("git@")) return true;
  if (text.starts_with("github.com/")) return true;
  return (text.starts_with("http://") || text.starts_with("https://")) &&
         path.ends_with(".git");
}

GitSource ParseGitSource(std::string_view text) {
  GitSource source;
  std::string_view rest = text;
  std::string_view fragment;
  std::string_view query;
  if (const size_t hash = rest.find('#'); hash != std::string_view::npos) {
    fragment = rest.substr(hash + 1);
    rest = rest.substr(0, hash);
  }
  if (const size_t mark = rest.find('?'); mark != std::string_view::npos) {
    query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  source.remote = rest.starts_with("github.com/")
                      ? "https://" + std::string(rest)
                      : std::string(rest);
  if (!query.empty()) {
    if (!fragment.empty()) {
      throw Invalid("a git URL takes a fragment or a query, not both");
    }
    TakeQuery(query, source);
  }
  if (!fragment.empty()) {
    const size_t colon = fragment.find(':');
    source.ref = fragment.substr(0, colon);
    if (colon != std::string_view::npos) {
      source.subdir = fragment.substr(colon + 1);
    }
  }
  CheckName("remote", source.remote);
  CheckName("ref", source.ref);
  if (source.commit.find_first_not_of("0123456789abcdef") !=
      std::string::npos) {
    throw Invalid(fmt::format("invalid git commit {}", Quoted(source.commit)));
  }
  source.subdir = fs::CleanRelative(source.subdir);
  return source;
}

}  // namespace imgbuild::plan
