#include "support/fake_executor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::exec {

void FakeProcess::Print(std::string_view text, int stream) const {
  int fd = stream == 2 ? io_.stderr_fd : io_.stdout_fd;
  if (fd >= 0) {
    fs::WriteAll(fd, AsBytes(text), "output");
  } else if (io_.on_output) {
    io_.on_output(stream, text);
  }
}

void FakeProcess::WriteFile(const std::string& path, std::string_view text,
                            unsigned mode) const {
  UniqueFd upper = fs::OpenDir(AT_FDCWD, spec_.rootfs.upper);
  fs::ParentOf parent = fs::MakeParentInRoot(upper.get(), path);
  UniqueFd file = fs::Open(parent.dir.get(), parent.name,
                           O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (fchmod(file.get(), mode) != 0) throw ErrnoError("chmod", path, errno);
  fs::WriteAll(file.get(), AsBytes(text), path);
}

void FakeProcess::WaitForCancel() const {
  pollfd fd{cancel_.fd(), POLLIN, 0};
  while (poll(&fd, 1, -1) < 0 && errno == EINTR) {
  }
  cancel_.Check();
  std::abort();
}

ExitResult FakeExecutor::Run(const ProcessSpec& spec, const ExecIo& io,
                             const CancelToken& cancel) {
  cancel.Check();
  if (spec.args.empty()) throw Error(ErrorCode::kUsage, "run: no command");
  {
    std::lock_guard lock(mutex_);
    specs_.push_back(spec);
  }
  return script_ ? script_(FakeProcess(spec, io, cancel)) : ExitResult();
}

std::vector<ProcessSpec> FakeExecutor::specs() const {
  std::lock_guard lock(mutex_);
  return specs_;
}

std::vector<std::string> FakeExecutor::commands() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const ProcessSpec& spec : specs_) out.push_back(spec.args.back());
  return out;
}

}  // namespace imgbuild::exec
