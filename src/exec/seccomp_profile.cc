#include "exec/seccomp_profile.h"

#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

namespace imgbuild::exec {
namespace {

using Json = nlohmann::ordered_json;

// Allowed whatever the arguments and the capabilities are. Names that an
// architecture does not have are skipped by the runtimes.
constexpr std::string_view kAllowed =
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset "
    "chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres "
    "clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 close close_range connect copy_file_range creat "
    "dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old "
    "epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 "
    "execve execveat exit exit_group faccessat faccessat2 fadvise64 "
    "fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 "
    "fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
    "flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs "
    "fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 "
    "futex_wait futex_waitv futex_wake futimesat get_robust_list "
    "get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 "
    "geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer "
    "getpeername getpgid getpgrp getpid getppid getpriority getrandom "
    "getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid "
    "getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr "
    "getxattrat inotify_add_watch inotify_init inotify_init1 "
    "inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents "
    "io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set "
    "ipc kill landlock_add_rule landlock_create_ruleset "
    "landlock_restrict_self lchown lchown32 lgetxattr link linkat listen "
    "listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek "
    "lsetxattr lstat lstat64 madvise map_shadow_stack membarrier "
    "memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock "
    "mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open "
    "mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd "
    "msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat "
    "_newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe "
    "pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl "
    "pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv "
    "process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev "
    "pwritev2 read readahead readlink readlinkat readv recv recvfrom "
    "recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr "
    "removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe "
    "rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 "
    "rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min "
    "sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
    "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity "
    "sched_setattr sched_setparam sched_setscheduler sched_yield seccomp "
    "select semctl semget semop semtimedop semtimedop_time64 send sendfile "
    "sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area "
    "set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid "
    "setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid "
    "setregid32 setresgid setresgid32 setresuid setresuid32 setreuid "
    "setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr "
    "setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd "
    "signalfd4 sigprocmask sigreturn socketcall socketpair splice stat "
    "stat64 statfs statfs64 statmount statx symlink symlinkat sync "
    "sync_file_range syncfs sysinfo tee tgkill time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 "
    "timer_settime timer_settime64 timerfd_create timerfd_gettime "
    "timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill "
    "truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe "
    "utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid "
    "waitpid write writev";

#if defined(__x86_64__)
constexpr const char* kArchitectures[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86",
                                          "SCMP_ARCH_X32"};
constexpr std::string_view kAllowedHere = "arch_prctl modify_ldt";
#elif defined(__aarch64__)
constexpr const char* kArchitectures[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
constexpr std::string_view kAllowedHere =
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint "
    "cacheflush set_tls";
#elif defined(__riscv)
constexpr const char* kArchitectures[] = {"SCMP_ARCH_RISCV64"};
constexpr std::string_view kAllowedHere = "riscv_flush_icache";
#else
#error "no seccomp architecture names for this machine"
#endif

// Allowed to those who have the capability anyway.
struct ByCapability {
  const char* capability;
  std::string_view names;
};
constexpr ByCapability kByCapability[] = {
    {"dac_read_search", "open_by_handle_at"},
    {"sys_admin",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick "
     "lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr "
     "mount mount_setattr move_mount open_tree perf_event_open quotactl "
     "quotactl_fd setdomainname sethostname setns syslog umount umount2 "
     "unshare"},
    {"sys_boot", "reboot"},
    {"sys_chroot", "chroot"},
    {"sys_module", "delete_module init_module finit_module"},
    {"sys_pacct", "acct"},
    {"sys_ptrace", "kcmp pidfd_getfd process_madvise"},
    {"sys_rawio", "iopl ioperm"},
    {"sys_time", "settimeofday stime clock_settime clock_settime64"},
    {"sys_tty_config", "vhangup"},
    {"sys_nice", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"syslog", "syslog"},
    {"bpf", "bpf"},
    {"perfmon", "perf_event_open"},
};

// Execution domains: Linux, 32-bit, UNAME26 and the query.
constexpr uint64_t kPersonalities[] = {0x0, 0x0008, 0x20000, 0x20008,
                                       0xffffffff};

// Address families from 12 on. What is missing (AF_ALG, AF_VSOCK and the long
// obsolete) has been the way out of a container, or has no use in one.
constexpr uint64_t kSocketFamilies[] = {13, 14, 15, 16, 17, 18, 21, 22, 24,
                                        26, 27, 28, 29, 30, 31, 32, 33, 35,
                                        36, 39, 41, 42, 43, 44, 45};

// CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET.
constexpr uint64_t kCloneNamespaces = 0x7e020000;

SeccompRule Allow(std::string_view names) { return {Split(names, ' '), 0, {}}; }

SeccompRule AllowIf(const char* name, SeccompCondition condition) {
  return {{name}, 0, condition};
}

Json ConditionJson(const SeccompCondition& condition) {
  Json argument = {{"index", 0}, {"value", condition.value}};
  switch (condition.comparison) {
    case SeccompCondition::Comparison::kEqual:
      argument["op"] = "SCMP_CMP_EQ";
      break;
    case SeccompCondition::Comparison::kLess:
      argument["op"] = "SCMP_CMP_LT";
      break;
    case SeccompCondition::Comparison::kNoneOf:
      argument["op"] = "SCMP_CMP_MASKED_EQ";
      argument["valueTwo"] = 0;
      break;
  }
  return argument;
}

}  // namespace

std::vector<SeccompRule> SeccompRules(CapabilitySet capabilities) {
  using Comparison = SeccompCondition::Comparison;
  std::vector<SeccompRule> rules = {Allow(kAllowed), Allow(kAllowedHere)};
  for (uint64_t value : kPersonalities) {
    rules.push_back(AllowIf("personality", {Comparison::kEqual, value}));
  }
  rules.push_back(AllowIf("socket", {Comparison::kLess, 12}));
  for (uint64_t family : kSocketFamilies) {
    rules.push_back(AllowIf("socket", {Comparison::kEqual, family}));
  }
  for (const ByCapability& entry : kByCapability) {
    if ((capabilities & ParseCapability(entry.capability)) != 0) {
      rules.push_back(Allow(entry.names));
    }
  }
  if ((capabilities & ParseCapability("sys_admin")) == 0) {
    rules.push_back(AllowIf("clone", {Comparison::kNoneOf, kCloneNamespaces}));
    // Its flags lie in memory where a filter cannot look: ENOSYS makes libc
    // use clone().
    rules.push_back({{"clone3"}, ENOSYS, {}});
  }
  return rules;
}

std::string SeccompJson(const std::vector<SeccompRule>& rules) {
  Json list = Json::array();
  for (const SeccompRule& rule : rules) {
    Json entry = {
        {"names", rule.names},
        {"action", rule.error == 0 ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO"}};
    if (rule.error != 0) entry["errnoRet"] = rule.error;
    if (rule.condition) {
      entry["args"] = Json::array({ConditionJson(*rule.condition)});
    }
    list.push_back(std::move(entry));
  }
  Json profile = {{"defaultAction", "SCMP_ACT_ERRNO"},
                  {"defaultErrnoRet", EPERM},
                  {"architectures", kArchitectures},
                  {"syscalls", std::move(list)}};
  return profile.dump();
}

}  // namespace imgbuild::exec
