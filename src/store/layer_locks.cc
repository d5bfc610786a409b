#include "store/layer_locks.h"

#include <fcntl.h>

#include <cerrno>
#include <string>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::store {
namespace {

constexpr char kFile[] = "layer-locks";

UniqueFd OpenFile(int root_fd) {
  return fs::Open(root_fd, kFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
}

struct ::flock ByteOf(const oci::DiffId& layer, short type) {
  struct ::flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  // 60 bits of the digest: a collision means one needless refusal.
  lock.l_start =
      static_cast<off_t>(std::stoull(layer.hex().substr(0, 15), nullptr, 16));
  lock.l_len = 1;
  return lock;
}

}  // namespace

LayerLocks LayerLocks::Use(int root_fd,
                           const std::vector<oci::DiffId>& layers) {
  LayerLocks locks(OpenFile(root_fd));
  locks.Add(layers);
  return locks;
}

void LayerLocks::Add(const std::vector<oci::DiffId>& layers) {
  for (const oci::DiffId& layer : layers) {
    struct ::flock lock = ByteOf(layer, F_RDLCK);
    while (::fcntl(file_.get(), F_OFD_SETLKW, &lock) != 0) {
      if (errno != EINTR) throw ErrnoError("lock", kFile, errno);
    }
  }
}

std::optional<LayerLocks> LayerLocks::TryRemove(int root_fd,
                                                const oci::DiffId& layer) {
  UniqueFd file = OpenFile(root_fd);
  struct ::flock lock = ByteOf(layer, F_WRLCK);
  while (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) {
    if (errno == EAGAIN || errno == EACCES) return std::nullopt;
    if (errno != EINTR) throw ErrnoError("lock", kFile, errno);
  }
  return LayerLocks(std::move(file));
}

}  // namespace imgbuild::store
