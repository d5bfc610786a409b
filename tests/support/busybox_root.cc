#include "support/busybox_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"

namespace imgbuild::exec {
namespace {

constexpr const char* kApplets[] = {
    "cat",      "chmod",  "chown",    "dd",      "echo",  "env",   "find",
    "grep",     "head",   "id",       "ip",      "kill",  "ln",    "ls",
    "mkdir",    "mkfifo", "mknod",    "mount",   "mv",    "nc",    "printf",
    "ps",       "pwd",    "readlink", "rm",      "rmdir", "sed",   "sh",
    "sleep",    "sort",   "stat",     "stty",    "test",  "touch", "tr",
    "true",     "tty",    "umount",   "unshare", "wc",    "wget",  "which",
    "hostname", "seq",    "tail",     "timeout"};

std::string Busybox() {
  for (const char* path : {"/bin/busybox", "/usr/bin/busybox"}) {
    if (access(path, X_OK) == 0) return path;
  }
  return "";
}

bool InUserNamespace() {
  UniqueFd map = fs::Open(AT_FDCWD, "/proc/self/uid_map", O_RDONLY);
  return fs::ReadFd(map.get(), 1 << 16, "uid_map").find("4294967295") ==
         std::string::npos;
}

}  // namespace

std::string WhyNoContainers() {
  static const std::string why = []() -> std::string {
    if (geteuid() != 0 || InUserNamespace()) {
      return "the container tests need real root";
    }
    if (Busybox().empty()) return "busybox-static is not installed";
    if (!FindProgram("crun") && !FindProgram("runc")) {
      return "neither crun nor runc is installed";
    }
    fs::TempDir dir = fs::TempDir::InTmp();
    for (const HostProbe::Item& item : ProbeHost({dir.path(), ""}).items) {
      bool needed = item.what == "namespaces" || item.what == "overlay";
      if (needed && !item.ok) return item.what + ": " + item.detail;
    }
    return "";
  }();
  return why;
}

BusyboxRoot::BusyboxRoot() : dir_(fs::TempDir::InTmp("imgbuild-exec-")) {
  layer_ = dir_.path() + "/layer";
  state_ = dir_.path() + "/state";
  fs::MakeDirs(dir_.fd(), "layer/bin", 0755);
  fs::MakeDirs(dir_.fd(), "state", 0700);
  fs::MakeDirs(dir_.fd(), "layer/tmp", 0755);
  UniqueFd from = fs::Open(AT_FDCWD, Busybox(), O_RDONLY);
  UniqueFd to =
      fs::Open(dir_.fd(), "layer/bin/busybox", O_WRONLY | O_CREAT, 0755);
  fs::CopyContents(from.get(), to.get());
  for (const char* applet : kApplets) {
    Link("busybox", std::string("bin/") + applet);
  }
}

std::string BusyboxRoot::MakeOutside(const std::string& name) {
  fs::MakeDirs(dir_.fd(), "outside/" + name, 0755);
  return dir_.path() + "/outside/" + name;
}

void BusyboxRoot::WriteFile(const std::string& path, const std::string& text,
                            unsigned mode) {
  std::string full = path.starts_with('/') ? path : layer_path(path);
  fs::MakeDirs(AT_FDCWD, full.substr(0, full.rfind('/')), 0755);
  UniqueFd fd = fs::Open(AT_FDCWD, full, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (fchmod(fd.get(), mode) != 0) throw ErrnoError("chmod", full, errno);
  fs::WriteAll(fd.get(), AsBytes(text), full);
}

void BusyboxRoot::Link(const std::string& target, const std::string& path) {
  std::string full = layer_path(path);
  fs::MakeDirs(AT_FDCWD, full.substr(0, full.rfind('/')), 0755);
  if (symlink(target.c_str(), full.c_str()) != 0) {
    throw ErrnoError("link", full, errno);
  }
}

ProcessSpec BusyboxRoot::Spec(const std::string& command) {
  std::string run = fmt::format("run{}", next_++);
  fs::MakeDirs(dir_.fd(), run + "/upper", 0755);
  fs::MakeDirs(dir_.fd(), run + "/work", 0755);
  ProcessSpec spec;
  spec.args = {"/bin/sh", "-c", command};
  spec.env = {"PATH=/bin"};
  spec.network = NetworkMode::kNone;
  spec.rootfs.lower = {layer_};
  spec.rootfs.upper = dir_.path() + "/" + run + "/upper";
  spec.rootfs.work = dir_.path() + "/" + run + "/work";
  return spec;
}

BusyboxRoot::Outcome BusyboxRoot::Run(Executor& executor,
                                      const ProcessSpec& spec) {
  Outcome outcome;
  ExecIo io;
  io.on_output = [&](int stream, std::string_view bytes) {
    (stream == 1 ? outcome.out : outcome.err).append(bytes);
  };
  outcome.result = executor.Run(spec, io, CancelToken());
  return outcome;
}

std::vector<std::string> BusyboxRoot::Upper(const ProcessSpec& spec) {
  UniqueFd fd = fs::OpenDir(AT_FDCWD, spec.rootfs.upper);
  return fs::ListDir(fd.get());
}

}  // namespace imgbuild::exec
