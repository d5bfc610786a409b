// What ADD of a git repository names: `https://host/r.git#ref:dir`,
// `git@host:r.git?tag=v1&subdir=d`, …
#ifndef IMGBUILD_PLAN_GIT_SOURCE_H_
#define IMGBUILD_PLAN_GIT_SOURCE_H_

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::plan {

struct GitSource {
  std::string remote;  // what `git fetch` is given
  std::string ref;     // branch, tag, full name or commit; "" is HEAD
  std::string subdir;  // clean, relative; "" is everything
  std::string commit;  // ?checksum=: a prefix of the commit that must come out
  std::optional<bool> keep_git_dir;  // as written in the query
  bool submodules = true;
};

// Whether ADD takes the word for a repository rather than for a path or URL.
bool IsGitUrl(std::string_view text);

// 40 or 64 lower-case hexadecimal digits.
bool IsFullCommit(std::string_view text);

// REQUIRES: IsGitUrl(text). Throws Error(kDockerfile) without a place: unknown
// or repeated query keys, a fragment beside a query's ref, a name that git
// would take for an option.
GitSource ParseGitSource(std::string_view text);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_GIT_SOURCE_H_
