// Bytewise order of whole paths, made from sorted directories: what lies below
// "a" comes after "a-b" and "a.c", because '/' sorts behind '-' and '.'.
#ifndef IMGBUILD_SRC_CONTEXT_PATH_ORDER_H_
#define IMGBUILD_SRC_CONTEXT_PATH_ORDER_H_

#include <cstddef>
#include <string_view>
#include <vector>

namespace imgbuild::context {

// Whether `directory` + "/" sorts before `name`.
inline bool BelowComesBefore(std::string_view directory,
                             std::string_view name) {
  if (!name.starts_with(directory)) return directory < name;
  // The same name, or the rest decides against '/'.
  return name.size() > directory.size() &&
         static_cast<unsigned char>(name[directory.size()]) > '/';
}

// Visits `count` things sorted by name. visit(i) returns whether what lies
// below i is wanted; below(i) is then called where that belongs.
template <typename NameOf, typename Visit, typename Below>
void InPathOrder(size_t count, const NameOf& name_of, const Visit& visit,
                 const Below& below) {
  // Directories whose contents are still due. Each name begins with the one
  // under it, so the top is due first.
  std::vector<size_t> due;
  for (size_t i = 0; i < count; ++i) {
    while (!due.empty() && BelowComesBefore(name_of(due.back()), name_of(i))) {
      const size_t directory = due.back();
      due.pop_back();
      below(directory);
    }
    if (visit(i)) due.push_back(i);
  }
  for (; !due.empty(); due.pop_back()) below(due.back());
}

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_PATH_ORDER_H_
