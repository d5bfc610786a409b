// This process's streams on a container that conmon watches.
#ifndef IMGBUILD_EXEC_ATTACH_H_
#define IMGBUILD_EXEC_ATTACH_H_

#include <memory>
#include <string>

#include "imgbuild/exec/running.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::exec {

struct AttachIo {
  int stdin_fd = -1;  // -1: nothing is sent
  int stdout_fd = -1;
  int stderr_fd = -1;
  // The container has a terminal: stdin_fd, if it is one, is raw meanwhile and
  // its size is followed.
  bool terminal = false;
  // What, typed on a raw terminal, ends this and not the container; raw bytes.
  std::string detach_keys = "\x10\x11";
};

class Attachment {
 public:
  // From here on nothing that the container writes is missed. Throws
  // Error(kHost) when nobody can attach to it.
  explicit Attachment(const Running& running);
  ~Attachment();

  enum class End { kContainer, kDetached };
  // Blocks. Cancellation throws kInterrupted; the container goes on.
  End Run(const AttachIo& io, const CancelToken& cancel);

 private:
  UniqueFd socket_;
  UniqueFd control_;
};

// "ctrl-p,ctrl-q" -> its bytes. Throws Error(kUsage).
std::string ParseDetachKeys(const std::string& text);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_EXEC_ATTACH_H_
