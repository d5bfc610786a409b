// Control groups: resource limits, and the device filter's place. Written
// directly, on version 1, version 2 and hosts that have both: a runtime with
// a host like that takes some limits, ignores others and refuses the rest.
#ifndef IMGBUILD_SRC_EXEC_CGROUP_H_
#define IMGBUILD_SRC_EXEC_CGROUP_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// One mounted hierarchy and where this process is in it.
struct CgroupHierarchy {
  bool v2 = false;
  std::vector<std::string> controllers;  // version 1 only
  std::string mount_point;
  std::string own_directory;  // mount_point or below
};

// From the texts of /proc/self/mountinfo and /proc/self/cgroup.
std::vector<CgroupHierarchy> ParseCgroups(std::string_view mountinfo,
                                          std::string_view self_cgroup);
std::vector<CgroupHierarchy> ReadCgroups();

// A directory of ours in one hierarchy, locked; removed when destroyed (the
// processes in it are gone by then).
class Cgroup {
 public:
  Cgroup(std::string path, UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)) {}
  Cgroup(Cgroup&& other) noexcept = default;
  Cgroup& operator=(Cgroup&&) = delete;
  ~Cgroup();
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd fd_;
};

// "imgbuild-PID-RANDOM": nobody else's, and its owner can be told by people
// (not by programs: the pid may be of another namespace).
std::string NewCgroupName();

// A cgroup2 directory beside or below this process's own, for the device
// filter; nullopt when there is none that can be written.
std::optional<Cgroup> MakeFilterCgroup(
    const std::vector<CgroupHierarchy>& hierarchies, const std::string& name);

// Removes what a runtime named `name` below our own cgroups and below
// `filter_cgroup` (may be empty): a runtime that is killed leaves it.
// `parent`: ResourceLimits::cgroup_parent.
void RemoveRuntimeCgroups(const std::vector<CgroupHierarchy>& hierarchies,
                          const std::string& filter_cgroup,
                          const std::string& parent, const std::string& name);

// Removes directories of programs that were killed: those nobody locks.
void SweepCgroups(const std::vector<CgroupHierarchy>& hierarchies);

bool HasCgroupLimits(const ResourceLimits& limits);

// Throws Error(kUsage) for limits that contradict each other.
void CheckLimits(const ResourceLimits& limits);

// The limits of one run. Throws Error(kHost) naming the limit that cannot be
// enforced here: none is ever dropped silently.
class LimitCgroups {
 public:
  LimitCgroups(const ResourceLimits& limits,
               const std::vector<CgroupHierarchy>& hierarchies,
               const std::string& name);

  // The cgroup2 directory among them, or -1.
  int cgroup2_fd() const;
  // Opened cgroup.procs of the others.
  std::vector<int> procs_fds() const;
  // The directories, as this mount namespace names them.
  std::vector<std::string> Paths() const;
  // The kernel has killed something in it for lack of memory.
  bool OutOfMemory() const;

 private:
  // Where the cgroup of a hierarchy is made: ResourceLimits::cgroup_parent,
  // else this process's own.
  std::string BaseOf(const CgroupHierarchy& hierarchy, const char* limit);
  Cgroup& Place(const char* controller, const char* limit);
  Cgroup* FindV1(const char* controller, const char* limit);
  Cgroup* FindV2(const char* controller);
  void LimitMemory(const ResourceLimits& limits);
  void LimitCpu(const ResourceLimits& limits);
  void LimitShares(const ResourceLimits& limits);
  void LimitCpuset(const ResourceLimits& limits);
  void LimitPids(const ResourceLimits& limits);
  void Account();
  void JoinParent();

  const std::vector<CgroupHierarchy>& hierarchies_;
  std::string name_;
  const std::string parent_;
  // Removed when destroyed, in reverse, where they are empty.
  class MadeDirs {
   public:
    MadeDirs() = default;
    MadeDirs(const MadeDirs&) = delete;
    MadeDirs& operator=(const MadeDirs&) = delete;
    ~MadeDirs();
    std::vector<std::string> paths;
  };
  MadeDirs made_parents_;  // outlives what is made in them
  struct Entry {
    Cgroup cgroup;
    bool v2 = false;
    UniqueFd procs;
  };
  std::vector<Entry> entries_;
  bool limits_memory_ = false;
};

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_CGROUP_H_
