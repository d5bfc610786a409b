#include "exec/cgroup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <map>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxProcFile = 4 << 20;
constexpr char kPrefix[] = "imgbuild-";
// A maker locks right after it makes.
constexpr time_t kMinAgeSeconds = 60;

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 +
                               (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool Contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// Where `path` of a hierarchy lies when its `root` is mounted on `mount`.
std::string BelowMount(const std::string& mount, const std::string& root,
                       const std::string& path) {
  if (root == "/") return path == "/" ? mount : mount + path;
  if (path == root) return mount;
  if (path.starts_with(root + "/")) return mount + path.substr(root.size());
  return mount;  // outside of what is mounted: the best there is
}

bool WriteFileAt(int dir, const std::string& file, const std::string& value) {
  UniqueFd fd(openat(dir, file.c_str(), O_WRONLY | O_CLOEXEC));
  return fd && write(fd.get(), value.data(), value.size()) ==
                   static_cast<ssize_t>(value.size());
}

std::string ReadFileAt(int dir, const std::string& file) {
  UniqueFd fd(openat(dir, file.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? fs::ReadFd(fd.get(), kMaxProcFile, file) : "";
}

std::optional<Cgroup> MakeBelow(const std::string& parent,
                                const std::string& name) {
  std::string path = parent + "/" + name;
  if (mkdir(path.c_str(), 0755) != 0) return std::nullopt;
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    rmdir(path.c_str());
    return std::nullopt;
  }
  return Cgroup(std::move(path), std::move(fd));
}

std::string ParentOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

[[noreturn]] void Refuse(const char* limit, const std::string& why) {
  throw Error(ErrorCode::kHost,
              fmt::format("limit {}: cannot be enforced here: {}", limit, why))
      .WithHint(
          "run as root, or in a delegated cgroup: systemd-run --user "
          "--scope -p Delegate=yes imgbuild …");
}

}  // namespace

std::vector<CgroupHierarchy> ParseCgroups(std::string_view mountinfo,
                                          std::string_view self_cgroup) {
  // ID:CONTROLLERS:PATH, version 2 with an empty list.
  std::map<std::string, std::string> own;
  for (const std::string& line : Split(self_cgroup, '\n')) {
    size_t first = line.find(':');
    size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    own[line.substr(first + 1, second - first - 1)] = line.substr(second + 1);
  }
  std::vector<CgroupHierarchy> out;
  for (const std::string& line : Split(mountinfo, '\n')) {
    // id parent dev root mount options … - type source super-options
    size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::vector<std::string> left = Split(line.substr(0, dash), ' ');
    std::vector<std::string> right = Split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    CgroupHierarchy hierarchy;
    hierarchy.mount_point = Unescape(left[4]);
    std::string path = "/";
    if (right[0] == "cgroup2") {
      hierarchy.v2 = true;
      if (auto it = own.find(""); it != own.end()) path = it->second;
    } else if (right[0] == "cgroup") {
      std::vector<std::string> options = Split(right[2], ',');
      for (const auto& [controllers, where] : own) {
        std::vector<std::string> names = Split(controllers, ',');
        if (controllers.empty() || !Contains(options, names.front())) continue;
        hierarchy.controllers = names;
        path = where;
      }
      if (hierarchy.controllers.empty()) continue;
    } else {
      continue;
    }
    hierarchy.own_directory =
        BelowMount(hierarchy.mount_point, Unescape(left[3]), path);
    // A later mount of the same hierarchy (a container's, a chroot's) is not
    // ours to use.
    bool known = std::any_of(out.begin(), out.end(), [&](const auto& other) {
      return other.v2 == hierarchy.v2 &&
             other.controllers == hierarchy.controllers;
    });
    if (!known) out.push_back(std::move(hierarchy));
  }
  return out;
}

std::vector<CgroupHierarchy> ReadCgroups() {
  auto read = [](const char* path) {
    UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY);
    return fd ? fs::ReadFd(fd.get(), kMaxProcFile, path) : std::string();
  };
  return ParseCgroups(read("/proc/self/mountinfo"), read("/proc/self/cgroup"));
}

Cgroup::~Cgroup() {
  if (!fd_) return;
  // A process that was killed a moment ago may still be leaving.
  for (int attempt = 0; attempt < 50; ++attempt) {
    if (rmdir(path_.c_str()) == 0 || errno != EBUSY) return;
    usleep(1000);
  }
}

std::string NewCgroupName() {
  uint32_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) {
    throw ErrnoError("read", "random number", errno);
  }
  return fmt::format("{}{}-{:08x}", kPrefix, getpid(), number);
}

std::optional<Cgroup> MakeFilterCgroup(
    const std::vector<CgroupHierarchy>& hierarchies, const std::string& name) {
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    if (hierarchy.v2) return MakeBelow(hierarchy.own_directory, name);
  }
  return std::nullopt;
}

void SweepCgroups(const std::vector<CgroupHierarchy>& hierarchies) {
  time_t now = std::time(nullptr);
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    UniqueFd dir = fs::OpenIfExists(AT_FDCWD, hierarchy.own_directory,
                                    O_RDONLY | O_DIRECTORY);
    if (!dir) continue;
    for (const std::string& name : fs::ListDir(dir.get())) {
      if (!name.starts_with(kPrefix)) continue;
      UniqueFd left(
          openat(dir.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!left || now - fs::Fstat(left.get()).st_ctime < kMinAgeSeconds ||
          flock(left.get(), LOCK_EX | LOCK_NB) != 0) {
        continue;
      }
      // A runtime may have made one inside.
      for (const std::string& inner : fs::ListDir(left.get())) {
        if (inner.starts_with(kPrefix)) {
          unlinkat(left.get(), inner.c_str(), AT_REMOVEDIR);
        }
      }
      unlinkat(dir.get(), name.c_str(), AT_REMOVEDIR);
    }
  }
}

void RemoveRuntimeCgroups(const std::vector<CgroupHierarchy>& hierarchies,
                          const std::string& filter_cgroup,
                          const std::string& parent, const std::string& name) {
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    const std::string base = parent.empty() ? hierarchy.own_directory
                                            : hierarchy.mount_point + parent;
    rmdir((base + "/" + name).c_str());
  }
  if (!filter_cgroup.empty()) rmdir((filter_cgroup + "/" + name).c_str());
}

bool HasCgroupLimits(const ResourceLimits& limits) {
  return limits.memory_bytes != 0 || limits.memory_swap_bytes != 0 ||
         limits.cpu_quota_us != 0 || limits.pids != 0 ||
         limits.cpu_shares != 0 || !limits.cpuset_cpus.empty() ||
         !limits.cpuset_mems.empty() || !limits.cgroup_parent.empty();
}

namespace {

// "0-2,4", as the kernel reads it.
void CheckList(const char* limit, const std::string& list) {
  if (list.empty()) return;
  for (const std::string& range : Split(list, ',')) {
    const size_t dash = range.find('-');
    const auto first = ParseUint(range.substr(0, dash));
    const auto last =
        dash == std::string::npos ? first : ParseUint(range.substr(dash + 1));
    if (!first || !last || *first > *last) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("limit {}: {} is no list of numbers", limit,
                              Quoted(list)))
          .WithHint("the form is 0-2,4");
    }
  }
}

// A new directory of this hierarchy has no CPUs and no memory nodes, and takes
// no process before it does.
void InheritCpuset(const std::string& path) {
  UniqueFd dir(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  UniqueFd parent(
      open(ParentOf(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir || !parent) return;
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    if (!Trim(ReadFileAt(dir.get(), file)).empty()) continue;
    WriteFileAt(dir.get(), file,
                std::string(Trim(ReadFileAt(parent.get(), file))));
  }
}

}  // namespace

void CheckLimits(const ResourceLimits& limits) {
  int64_t swap = limits.memory_swap_bytes;
  if (swap != 0 && limits.memory_bytes == 0) {
    throw Error(ErrorCode::kUsage,
                "limit memory-swap: needs a memory limit as well");
  }
  if (swap > 0 && static_cast<uint64_t>(swap) < limits.memory_bytes) {
    throw Error(ErrorCode::kUsage,
                "limit memory-swap: is memory plus swap and cannot be less "
                "than the memory limit");
  }
  CheckList("cpuset-cpus", limits.cpuset_cpus);
  CheckList("cpuset-mems", limits.cpuset_mems);
  const std::string& parent = limits.cgroup_parent;
  if (!parent.empty() && (!parent.starts_with('/') || parent.ends_with('/') ||
                          parent.find("/..") != std::string::npos)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("invalid cgroup parent {}", Quoted(parent)));
  }
}

LimitCgroups::LimitCgroups(const ResourceLimits& limits,
                           const std::vector<CgroupHierarchy>& hierarchies,
                           const std::string& name)
    : hierarchies_(hierarchies), name_(name), parent_(limits.cgroup_parent) {
  if (limits.memory_bytes != 0 || limits.memory_swap_bytes != 0) {
    LimitMemory(limits);
  }
  if (limits.cpu_quota_us != 0) LimitCpu(limits);
  if (limits.cpu_shares != 0) LimitShares(limits);
  if (!limits.cpuset_cpus.empty() || !limits.cpuset_mems.empty()) {
    LimitCpuset(limits);
  }
  if (limits.pids != 0) LimitPids(limits);
  if (!parent_.empty()) JoinParent();
  if (limits.own_cgroup) Account();
}

LimitCgroups::MadeDirs::~MadeDirs() {
  for (auto it = paths.rbegin(); it != paths.rend(); ++it) rmdir(it->c_str());
}

std::string LimitCgroups::BaseOf(const CgroupHierarchy& hierarchy,
                                 const char* limit) {
  if (parent_.empty()) return hierarchy.own_directory;
  std::string path = hierarchy.mount_point;
  for (const std::string& name : Split(parent_.substr(1), '/')) {
    if (name.empty()) continue;
    path += "/" + name;
    if (mkdir(path.c_str(), 0755) == 0) {
      made_parents_.paths.push_back(path);
      if (Contains(hierarchy.controllers, "cpuset")) InheritCpuset(path);
    } else if (errno != EEXIST) {
      throw ErrnoError(fmt::format("limit {}: create cgroup", limit), path,
                       errno);
    }
  }
  return path;
}

// The directory for a controller: on version 1 below our own; on version 2 in
// the nearest parent that passes the controller on to its children.
Cgroup& LimitCgroups::Place(const char* controller, const char* limit) {
  if (Cgroup* found = FindV1(controller, limit)) return *found;
  if (Cgroup* found = FindV2(controller)) return *found;
  Refuse(limit, fmt::format("no cgroup with the controller \"{}\" can be made",
                            controller));
}

Cgroup* LimitCgroups::FindV1(const char* controller, const char* limit) {
  for (const CgroupHierarchy& hierarchy : hierarchies_) {
    if (hierarchy.v2 || !Contains(hierarchy.controllers, controller)) continue;
    const std::string base = BaseOf(hierarchy, limit);
    std::string path = base + "/" + name_;
    for (Entry& entry : entries_) {
      if (entry.cgroup.path() == path) return &entry.cgroup;
    }
    std::optional<Cgroup> made = MakeBelow(base, name_);
    if (!made) {
      throw ErrnoError(fmt::format("limit {}: create cgroup", limit), path,
                       errno);
    }
    if (Contains(hierarchy.controllers, "cpuset")) InheritCpuset(path);
    UniqueFd procs(openat(made->fd(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
    if (!procs) {
      throw ErrnoError(fmt::format("limit {}: open cgroup", limit), path,
                       errno);
    }
    entries_.push_back({std::move(*made), false, std::move(procs)});
    return &entries_.back().cgroup;
  }
  return nullptr;
}

Cgroup* LimitCgroups::FindV2(const char* controller) {
  for (const CgroupHierarchy& hierarchy : hierarchies_) {
    if (!hierarchy.v2) continue;
    for (Entry& entry : entries_) {
      if (!entry.v2) continue;
      // One process has one place: the second controller must be there too.
      return *controller == '\0' ||
                     Contains(Split(Trim(ReadFileAt(entry.cgroup.fd(),
                                                    "cgroup.controllers")),
                                    ' '),
                              controller)
                 ? &entry.cgroup
                 : nullptr;
    }
    const std::string base = BaseOf(hierarchy, "cgroup-parent");
    const std::string& top = parent_.empty() ? hierarchy.mount_point : base;
    for (std::string parent = base; parent.size() >= top.size();
         parent = ParentOf(parent)) {
      UniqueFd dir(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!dir) return nullptr;
      // Refused (EBUSY) where processes live, which is why parents are tried;
      // all at once, for the limits that follow.
      for (const char* wanted : {"+memory", "+cpu", "+pids", "+cpuset"}) {
        WriteFileAt(dir.get(), "cgroup.subtree_control", wanted);
      }
      std::string given = ReadFileAt(dir.get(), "cgroup.subtree_control");
      if (*controller != '\0' &&
          !Contains(Split(Trim(given), ' '), controller)) {
        continue;
      }
      std::optional<Cgroup> made = MakeBelow(parent, name_);
      if (!made) continue;
      entries_.push_back({std::move(*made), true, {}});
      return &entries_.back().cgroup;
    }
  }
  return nullptr;
}

void LimitCgroups::LimitMemory(const ResourceLimits& limits) {
  limits_memory_ = true;
  int64_t memory = static_cast<int64_t>(limits.memory_bytes);
  int64_t swap = limits.memory_swap_bytes;
  // As Docker: as much swap again when nothing is said, -1 for no limit.
  if (swap == 0) swap = 2 * memory;
  Cgroup& cgroup = Place("memory", "memory");
  bool v2 = faccessat(cgroup.fd(), "memory.max", F_OK, 0) == 0;
  std::string bytes = std::to_string(memory);
  if (!WriteFileAt(cgroup.fd(), v2 ? "memory.max" : "memory.limit_in_bytes",
                   bytes)) {
    throw ErrnoError("limit memory: write", bytes, errno);
  }
  if (swap < 0) return;
  bool ok = v2 ? WriteFileAt(cgroup.fd(), "memory.swap.max",
                             std::to_string(swap - memory))
               : WriteFileAt(cgroup.fd(), "memory.memsw.limit_in_bytes",
                             std::to_string(swap));
  if (!ok && limits.memory_swap_bytes != 0) {
    Refuse("memory-swap", "the kernel does not account for swap");
  }
}

void LimitCgroups::LimitCpu(const ResourceLimits& limits) {
  Cgroup& cgroup = Place("cpu", "cpu");
  std::string quota = std::to_string(limits.cpu_quota_us);
  std::string period = std::to_string(limits.cpu_period_us);
  bool v2 = faccessat(cgroup.fd(), "cpu.max", F_OK, 0) == 0;
  bool ok = v2 ? WriteFileAt(cgroup.fd(), "cpu.max", quota + " " + period)
               : WriteFileAt(cgroup.fd(), "cpu.cfs_period_us", period) &&
                     WriteFileAt(cgroup.fd(), "cpu.cfs_quota_us", quota);
  if (!ok) {
    throw ErrnoError("limit cpu: write", quota + "/" + period, errno);
  }
}

void LimitCgroups::LimitShares(const ResourceLimits& limits) {
  Cgroup& cgroup = Place("cpu", "cpu-shares");
  const bool v2 = faccessat(cgroup.fd(), "cpu.weight", F_OK, 0) == 0;
  // 2..262144 to 1..10000, as the runtimes convert it.
  const uint64_t shares = std::clamp<uint64_t>(limits.cpu_shares, 2, 262144);
  const std::string value =
      std::to_string(v2 ? 1 + (shares - 2) * 9999 / 262142 : shares);
  if (!WriteFileAt(cgroup.fd(), v2 ? "cpu.weight" : "cpu.shares", value)) {
    throw ErrnoError("limit cpu-shares: write", value, errno);
  }
}

void LimitCgroups::LimitCpuset(const ResourceLimits& limits) {
  Cgroup& cgroup = Place("cpuset", "cpuset");
  const auto write = [&](const char* limit, const char* file,
                         const std::string& value) {
    if (value.empty() || WriteFileAt(cgroup.fd(), file, value)) return;
    throw ErrnoError(fmt::format("limit {}: write", limit), value, errno)
        .WithHint("this host, or the cgroup above, does not have all of these");
  };
  write("cpuset-cpus", "cpuset.cpus", limits.cpuset_cpus);
  write("cpuset-mems", "cpuset.mems", limits.cpuset_mems);
}

// The run stands in the parent of every hierarchy: whatever is limited there
// holds for it.
void LimitCgroups::JoinParent() {
  bool any = false;
  for (const CgroupHierarchy& hierarchy : hierarchies_) {
    // A hierarchy of a name alone limits nothing.
    if (hierarchy.v2 ||
        hierarchy.controllers.front().find('=') != std::string::npos) {
      continue;
    }
    any = true;
    FindV1(hierarchy.controllers.front().c_str(), "cgroup-parent");
  }
  if (FindV2("") == nullptr && !any) {
    Refuse("cgroup-parent", "no cgroup can be made");
  }
}

void LimitCgroups::LimitPids(const ResourceLimits& limits) {
  if (limits.pids < 0) return;  // no limit
  Cgroup& cgroup = Place("pids", "pids");
  if (!WriteFileAt(cgroup.fd(), "pids.max", std::to_string(limits.pids))) {
    throw ErrnoError("limit pids: write", std::to_string(limits.pids), errno);
  }
}

int LimitCgroups::cgroup2_fd() const {
  for (const Entry& entry : entries_) {
    if (entry.v2) return entry.cgroup.fd();
  }
  return -1;
}

std::vector<int> LimitCgroups::procs_fds() const {
  std::vector<int> out;
  for (const Entry& entry : entries_) {
    if (!entry.v2) out.push_back(entry.procs.get());
  }
  return out;
}

// For reading and freezing; what this host does not have is done without.
void LimitCgroups::Account() {
  for (const char* controller : {"memory", "pids", "cpuacct", "freezer"}) {
    try {
      if (FindV1(controller, "own") == nullptr) FindV2(controller);
    } catch (const Error&) {
    }
  }
}

std::vector<std::string> LimitCgroups::Paths() const {
  std::vector<std::string> out;
  for (const Entry& entry : entries_) out.push_back(entry.cgroup.path());
  return out;
}

bool LimitCgroups::OutOfMemory() const {
  if (!limits_memory_) return false;
  for (const Entry& entry : entries_) {
    for (const char* file : {"memory.events", "memory.oom_control"}) {
      for (const std::string& line :
           Split(ReadFileAt(entry.cgroup.fd(), file), '\n')) {
        if (line.starts_with("oom_kill ") && line != "oom_kill 0") return true;
      }
    }
  }
  return false;
}

}  // namespace imgbuild::exec
