#include "exec/clone.h"

// linux/sched.h has clone3's structure, sched.h the wrapper of clone.
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace imgbuild::exec {
namespace {

constexpr size_t kStackBytes = 256 << 10;

// The C library has no wrapper that gives the child a stack and a function.
#if defined(__x86_64__)
long Clone3(clone_args* args, int (*function)(void*), void* argument) {
  long result;
  register int (*function_register)(void*) asm("r12") = function;
  register void* argument_register asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "0"(static_cast<long>(SYS_clone3)), "D"(args), "S"(sizeof *args),
        "r"(function_register), "r"(argument_register), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory", "cc");
  if (result < 0) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}
#elif defined(__aarch64__)
long Clone3(clone_args* args, int (*function)(void*), void* argument) {
  register long number asm("x8") = SYS_clone3;
  register long first asm("x0") = reinterpret_cast<long>(args);
  register long second asm("x1") = sizeof *args;
  register int (*function_register)(void*) asm("x10") = function;
  register void* argument_register asm("x11") = argument;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x0, x11\n\t"
      "blr x10\n\t"
      "mov x8, %[exit]\n\t"
      "svc #0\n\t"
      "brk #1\n"
      "1:"
      : "+r"(first)
      : "r"(number), "r"(second), "r"(function_register),
        "r"(argument_register), [exit] "i"(SYS_exit)
      : "memory", "cc");
  if (first < 0) {
    errno = static_cast<int>(-first);
    return -1;
  }
  return first;
}
#else
long Clone3(clone_args*, int (*)(void*), void*) {
  errno = ENOSYS;
  return -1;
}
#endif

long CloneByArgs(CloneRequest& request, void* stack, bool into_cgroup) {
  clone_args args{};
  args.flags = request.flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&request.pidfd);
  args.exit_signal = SIGCHLD;
  args.stack = reinterpret_cast<uint64_t>(stack);
  args.stack_size = kStackBytes;
  if (into_cgroup) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(request.cgroup2_fd);
  }
  return Clone3(&args, request.function, request.argument);
}

// A kernel that does not know the cgroup flag, or a cgroup that may be entered
// but not from here.
bool RetryOutsideCgroup(int error) {
  return error == EINVAL || error == EACCES || error == EOPNOTSUPP;
}

}  // namespace

pid_t CloneShared(CloneRequest& request) {
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return -1;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool into_cgroup = request.cgroup2_fd >= 0;
  long pid = CloneByArgs(request, stack, into_cgroup);
  if (pid < 0 && into_cgroup && RetryOutsideCgroup(errno)) {
    request.enter_cgroup = true;
    pid = CloneByArgs(request, stack, false);
  }
  // A container's seccomp filter says ENOSYS to clone3, so that libc falls
  // back; so do we.
  if (pid < 0 && errno == ENOSYS) {
    request.enter_cgroup = into_cgroup;
    pid = clone(request.function, static_cast<char*>(stack) + kStackBytes,
                static_cast<int>(request.flags) | CLONE_VM | CLONE_VFORK |
                    CLONE_PIDFD | SIGCHLD,
                request.argument, &request.pidfd);
  }
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, kStackBytes);
  errno = error;
  return static_cast<pid_t>(pid);
}

}  // namespace imgbuild::exec
