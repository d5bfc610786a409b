#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/unique_fd.h"

#include "exec/seccomp_profile.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxProgram = 1 << 20;

#if defined(__x86_64__)
constexpr uint32_t kOtherArchitectures[] = {SCMP_ARCH_X86, SCMP_ARCH_X32};
#elif defined(__aarch64__)
constexpr uint32_t kOtherArchitectures[] = {SCMP_ARCH_ARM};
#else
constexpr uint32_t kOtherArchitectures[] = {SCMP_ARCH_NATIVE};
#endif

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

void Check(int result, const char* what) {
  if (result < 0) throw ErrnoError("compile seccomp profile", what, -result);
}

scmp_arg_cmp Compare(const SeccompCondition& condition) {
  switch (condition.comparison) {
    case SeccompCondition::Comparison::kEqual:
      return {0, SCMP_CMP_EQ, condition.value, 0};
    case SeccompCondition::Comparison::kLess:
      return {0, SCMP_CMP_LT, condition.value, 0};
    case SeccompCondition::Comparison::kNoneOf:
      break;
  }
  return {0, SCMP_CMP_MASKED_EQ, condition.value, 0};
}

void AddRule(void* filter, const SeccompRule& rule) {
  uint32_t action = rule.error == 0
                        ? SCMP_ACT_ALLOW
                        : SCMP_ACT_ERRNO(static_cast<uint32_t>(rule.error));
  for (const std::string& name : rule.names) {
    int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;  // newer than the library
    int result;
    if (rule.condition) {
      scmp_arg_cmp compare = Compare(*rule.condition);
      result = seccomp_rule_add_array(filter, action, number, 1, &compare);
    } else {
      result = seccomp_rule_add_array(filter, action, number, 0, nullptr);
    }
    // An unconditional rule may stand already, from another capability.
    if (result != -EEXIST) Check(result, name.c_str());
  }
}

}  // namespace

std::string CompileSeccomp(const std::vector<SeccompRule>& rules) {
  Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (!filter) throw ErrnoError("compile seccomp profile", "filter", ENOMEM);
  for (uint32_t architecture : kOtherArchitectures) {
    int result = seccomp_arch_add(filter.get(), architecture);
    if (result != -EEXIST) Check(result, "architecture");
  }
  // A tree instead of a list: a call is found in 9 steps, not in hundreds.
  Check(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2),
        "optimize");
  for (const SeccompRule& rule : rules) AddRule(filter.get(), rule);
  UniqueFd program(memfd_create("seccomp", MFD_CLOEXEC));
  if (!program) throw ErrnoError("create", "seccomp program", errno);
  Check(seccomp_export_bpf(filter.get(), program.get()), "export");
  if (lseek(program.get(), 0, SEEK_SET) != 0) {
    throw ErrnoError("read", "seccomp program", errno);
  }
  return fs::ReadFd(program.get(), kMaxProgram, "seccomp program");
}

}  // namespace imgbuild::exec
