// System calls for a child that shares this program's memory but has its own
// descriptors. Not through the C library's names: sanitizers keep book behind
// those, and the child's descriptors are not the program's.
#ifndef IMGBUILD_SRC_EXEC_RAW_CALLS_H_
#define IMGBUILD_SRC_EXEC_RAW_CALLS_H_

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace imgbuild::exec::raw {

inline int Open(int dir, const char* path, int flags, mode_t mode = 0) {
  return static_cast<int>(syscall(SYS_openat, dir, path, flags, mode));
}
inline int Close(int fd) { return static_cast<int>(syscall(SYS_close, fd)); }
inline ssize_t Write(int fd, const void* data, size_t size) {
  return syscall(SYS_write, fd, data, size);
}
inline int Duplicate(int from, int to) {
  return static_cast<int>(syscall(SYS_dup3, from, to, 0));
}
inline int Control(int fd, int command, long argument) {
  return static_cast<int>(syscall(SYS_fcntl, fd, command, argument));
}

}  // namespace imgbuild::exec::raw

#endif  // IMGBUILD_SRC_EXEC_RAW_CALLS_H_
