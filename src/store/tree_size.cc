#include "store/tree_size.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <map>
#include <utility>
#include <vector>

#include "imgbuild/util/fs.h"

namespace imgbuild::store {

uint64_t TreeSize(int dirfd, const std::string& name) {
  constexpr uint64_t kBlock = 512;  // of st_blocks, whatever the file system
  uint64_t bytes = 0;
  // Files with several names: how many of them were met.
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> linked;
  std::vector<std::string> todo = {name};
  while (!todo.empty()) {
    const std::string path = std::move(todo.back());
    todo.pop_back();
    const auto st = fs::LstatIfExists(dirfd, path);
    if (!st) continue;
    const uint64_t size = static_cast<uint64_t>(st->st_blocks) * kBlock;
    if (S_ISDIR(st->st_mode)) {
      bytes += size;
      const UniqueFd dir =
          fs::OpenIfExists(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!dir) continue;
      for (const std::string& child : fs::ListDir(dir.get())) {
        todo.push_back(path + "/" + child);
      }
    } else if (st->st_nlink == 1 ||
               ++linked[{st->st_dev, st->st_ino}] == st->st_nlink) {
      bytes += size;
    }
  }
  return bytes;
}

}  // namespace imgbuild::store
