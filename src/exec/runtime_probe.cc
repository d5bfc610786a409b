#include "exec/runtime_probe.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kProcFileCap = 1 << 20;

std::string ReadProc(const char* path) {
  UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY);
  return fd ? fs::ReadFd(fd.get(), kProcFileCap, path) : "";
}

RuntimeKind KindOf(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.find("runc") != std::string::npos ? RuntimeKind::kRunc
                                                : RuntimeKind::kCrun;
}

}  // namespace

Runtime FindRuntime(const std::string& wanted) {
  if (!wanted.empty()) {
    std::optional<std::string> path = FindProgram(wanted);
    if (!path) {
      throw Error(
          ErrorCode::kHost,
          fmt::format("OCI runtime {} is not installed", Quoted(wanted)))
          .WithHint("install it, or leave the choice to imgbuild");
    }
    return {KindOf(*path), *path};
  }
  for (const char* name : {"crun", "runc"}) {
    if (std::optional<std::string> path = FindProgram(name)) {
      return {KindOf(*path), *path};
    }
  }
  throw Error(ErrorCode::kHost,
              "no OCI runtime: neither crun nor runc is in PATH")
      .WithHint("apt-get install crun");
}

UniqueFd SealedCopy(const std::string& path) {
  UniqueFd from = fs::Open(AT_FDCWD, path, O_RDONLY);
  char magic[SELFMAG] = {};
  if (pread(from.get(), magic, SELFMAG, 0) != SELFMAG ||
      std::string_view(magic, SELFMAG) != ELFMAG) {
    return {};
  }
  UniqueFd copy(static_cast<int>(
      memfd_create("oci-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  if (!copy) throw ErrnoError("create", "memory file", errno);
  fs::CopyContents(from.get(), copy.get());
  if (fchmod(copy.get(), 0555) != 0 ||
      fcntl(copy.get(), F_ADD_SEALS,
            F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    throw ErrnoError("seal", "memory file", errno);
  }
  return copy;
}

bool MapsId(const std::string& map, uint64_t id) {
  std::istringstream lines(map);
  uint64_t inside = 0;
  uint64_t outside = 0;
  uint64_t count = 0;
  while (lines >> inside >> outside >> count) {
    if (id >= inside && id - inside < count) return true;
  }
  return false;
}

HostFacts ReadHostFacts() {
  HostFacts facts;
  struct statfs fs_info {};
  facts.pure_cgroup2 = statfs("/sys/fs/cgroup", &fs_info) == 0 &&
                       fs_info.f_type == CGROUP2_SUPER_MAGIC;
  facts.cgroup2 =
      ReadProc("/proc/filesystems").find("\tcgroup2\n") != std::string::npos;
  facts.uid_map = ReadProc("/proc/self/uid_map");
  facts.gid_map = ReadProc("/proc/self/gid_map");
  facts.in_user_namespace = !MapsId(facts.uid_map, 0xfffffffeU);
  facts.tty_group = MapsId(facts.gid_map, 5);
  facts.seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0 || errno != EINVAL;
  return facts;
}

}  // namespace imgbuild::exec
