// The user's terminal and the container's pseudo terminal.
#ifndef IMGBUILD_SRC_EXEC_TERMINAL_H_
#define IMGBUILD_SRC_EXEC_TERMINAL_H_

#include <sys/ioctl.h>
#include <termios.h>

#include <optional>
#include <string>

#include "imgbuild/util/fs.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// Raw mode for the life of the object; a descriptor that is no terminal is
// left alone.
class RawMode {
 public:
  explicit RawMode(int tty_fd);
  ~RawMode();
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

 private:
  int tty_fd_ = -1;
  termios saved_{};
};

// Where a runtime sends the master side of the container's terminal.
class ConsoleSocket {
 public:
  // A socket below `state_dir`, removed when destroyed.
  explicit ConsoleSocket(const std::string& state_dir);
  ConsoleSocket(const ConsoleSocket&) = delete;
  ConsoleSocket& operator=(const ConsoleSocket&) = delete;

  const std::string& path() const { return path_; }
  int fd() const { return listener_.get(); }
  // REQUIRES: fd() is readable. The master, non-blocking.
  UniqueFd Receive();

 private:
  fs::TempDir dir_;
  std::string path_;
  UniqueFd listener_;
};

// nullopt when it is no terminal.
std::optional<winsize> WindowSize(int tty_fd);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_TERMINAL_H_
