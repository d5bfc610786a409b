// A local archive that ADD unpacks.
#ifndef IMGBUILD_BUILD_UNPACK_H_
#define IMGBUILD_BUILD_UNPACK_H_

#include <memory>
#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/store/store.h"

namespace imgbuild::build {

// Whether the file is a tar archive, plain or compressed: decided by its
// contents, never by its name.
bool IsArchive(const FileTree& source, const std::string& path);

// Unpacks into a temporary directory of the store and lists what came out.
class UnpackedArchive {
 public:
  UnpackedArchive(store::Store& store, const FileTree& source,
                  const std::string& path, const CancelToken& cancel);
  const std::shared_ptr<const FileTree>& tree() const { return tree_; }
  const std::vector<context::ContextSource::Item>& items() const {
    return items_;
  }

 private:
  void List(const std::string& path);
  fs::TempDir dir_;
  std::shared_ptr<const FileTree> tree_;
  std::vector<context::ContextSource::Item> items_;
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_UNPACK_H_
