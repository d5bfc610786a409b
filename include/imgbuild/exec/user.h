// USER and --chown: names to numbers, from the image's own passwd and group
// files and nothing else (no NSS, no host files).
#ifndef IMGBUILD_EXEC_USER_H_
#define IMGBUILD_EXEC_USER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/file_tree.h"

namespace imgbuild::exec {

struct ResolvedUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;
  std::string home;  // "/" when passwd does not say
};

// "user[:group]" for a process: a name must be in /etc/passwd, a number need
// not be; without a group the passwd entry's (else 0) and the supplementary
// groups from /etc/group. "" is root. Throws Error(kStep) "unable to find
// user NAME: no matching entries in passwd file"; numbers outside 0…2^31-1
// are refused.
ResolvedUser ResolveUser(const FileTree& root, std::string_view spec);

// "user[:group]" of --chown: user only -> gid is the same number for a number,
// the primary group for a name (dockerfile.md, --chown).
struct Ownership {
  uint32_t uid = 0;
  uint32_t gid = 0;
};
Ownership ResolveChown(const FileTree& root, std::string_view spec);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_EXEC_USER_H_
