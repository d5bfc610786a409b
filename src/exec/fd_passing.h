// One descriptor through a socket.
#ifndef IMGBUILD_SRC_EXEC_FD_PASSING_H_
#define IMGBUILD_SRC_EXEC_FD_PASSING_H_

#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// Sends `fd` (none when negative) with an errno. Async-signal-safe.
void SendFd(int socket, int fd, int error);

// Receives a descriptor, close-on-exec. Empty with errno set when none came:
// the errno that SendFd was given, if any.
UniqueFd ReceiveFd(int socket);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_FD_PASSING_H_
