// Directories of a tree, opened by their path inside its root.
#ifndef IMGBUILD_SRC_LAYER_PARENT_CACHE_H_
#define IMGBUILD_SRC_LAYER_PARENT_CACHE_H_

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "imgbuild/util/unique_fd.h"

namespace imgbuild::layer {

// Archives name the files of a directory one after another, so the last few
// directories are kept open and the usual file costs no path resolution.
// Descriptors that were handed out stay valid after Clear().
class ParentCache {
 public:
  using Dir = std::shared_ptr<const UniqueFd>;

  struct Hooks {
    // Something that is not a directory stands where one is needed. True when
    // it was removed so that one can be made.
    std::function<bool(int dirfd, const std::string& name)> make_way;
    // A missing directory was made; `path` has no links in it. `replaced` is
    // what make_way returned.
    std::function<void(int fd, const std::string& path, bool replaced)> made;
  };

  ParentCache(int root_fd, Hooks hooks);
  // `path` is clean; "" is the root. Links on the way resolve inside the root.
  // Null when it is missing or not a directory.
  Dir Find(const std::string& path);
  // Makes what is missing (0755). Throws Error when something is in the way.
  Dir Open(const std::string& path);
  // `dir` is what `path` leads to from now on.
  void Put(const std::string& path, Dir dir);
  // REQUIRED after a directory or a link was removed: paths may lead elsewhere.
  void Clear();

 private:
  struct Slot {
    std::string path;
    Dir dir;
  };
  // Walks component by component, making what is missing.
  Dir Make(const std::string& path);

  const int root_fd_;
  const Hooks hooks_;
  std::array<Slot, 4> slots_;
  size_t next_slot_ = 0;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_PARENT_CACHE_H_
