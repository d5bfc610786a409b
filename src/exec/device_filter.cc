#include "exec/device_filter.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace imgbuild::exec {
namespace {

constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kMajor = BPF_REG_3;
constexpr uint8_t kMinor = BPF_REG_4;
constexpr uint8_t kAccess = BPF_REG_5;
constexpr int kAnyMinor = -1;

struct Device {
  int major;
  int minor;
};
constexpr Device kAllowed[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8},          {1, 9},
                               {5, 0}, {5, 1}, {5, 2}, {136, kAnyMinor}};

bpf_insn Instruction(int code, uint8_t to, uint8_t from, int16_t offset,
                     int32_t immediate) {
  bpf_insn out{};
  out.code = static_cast<uint8_t>(code);
  out.dst_reg = to & 0xf;
  out.src_reg = from & 0xf;
  out.off = offset;
  out.imm = immediate;
  return out;
}

bpf_insn Load(uint8_t to, size_t offset) {
  return Instruction(BPF_LDX | BPF_MEM | BPF_W, to, BPF_REG_1,
                     static_cast<int16_t>(offset), 0);
}
bpf_insn Alu(int operation, uint8_t to, int32_t value) {
  return Instruction(BPF_ALU | operation | BPF_K, to, 0, 0, value);
}
bpf_insn JumpUnless(uint8_t reg, int32_t value, int16_t skip) {
  return Instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, skip, value);
}
bpf_insn Result(int32_t value) {
  return Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value);
}
bpf_insn Exit() { return Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

// The accesses that are not among "rwm".
int32_t Forbidden(const std::string& access) {
  int32_t out = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
  for (const char c : access) {
    if (c == 'r') out &= ~BPF_DEVCG_ACC_READ;
    if (c == 'w') out &= ~BPF_DEVCG_ACC_WRITE;
    if (c == 'm') out &= ~BPF_DEVCG_ACC_MKNOD;
  }
  return out;
}

void AllowOther(const DeviceNode& device, std::vector<bpf_insn>& code) {
  code.push_back(JumpUnless(
      kType, device.block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 5));
  code.push_back(JumpUnless(kMajor, static_cast<int32_t>(device.major), 4));
  code.push_back(JumpUnless(kMinor, static_cast<int32_t>(device.minor), 3));
  code.push_back(Instruction(BPF_JMP | BPF_JSET | BPF_K, kAccess, 0, 2,
                             Forbidden(device.access)));
  code.push_back(Result(1));
  code.push_back(Exit());
}

std::vector<bpf_insn> Program(const std::vector<DeviceNode>& others) {
  std::vector<bpf_insn> code = {
      Load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),
      Load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      Load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
      // The access is in the upper half of the type.
      Instruction(BPF_ALU | BPF_MOV | BPF_X, kAccess, kType, 0, 0),
      Alu(BPF_RSH, kAccess, 16),
      Alu(BPF_AND, kType, 0xffff),
      JumpUnless(kAccess, BPF_DEVCG_ACC_MKNOD, 2),
      Result(1),
      Exit(),
  };
  for (const DeviceNode& device : others) AllowOther(device, code);
  code.push_back(
      Instruction(BPF_JMP | BPF_JEQ | BPF_K, kType, 0, 2, BPF_DEVCG_DEV_CHAR));
  code.push_back(Result(0));
  code.push_back(Exit());
  for (const Device& device : kAllowed) {
    bool any = device.minor == kAnyMinor;
    code.push_back(JumpUnless(kMajor, device.major, any ? 2 : 3));
    if (!any) code.push_back(JumpUnless(kMinor, device.minor, 2));
    code.push_back(Result(1));
    code.push_back(Exit());
  }
  code.push_back(Result(0));
  code.push_back(Exit());
  return code;
}

int Bpf(int command, bpf_attr* attributes) {
  return static_cast<int>(
      syscall(SYS_bpf, command, attributes, sizeof *attributes));
}

}  // namespace

UniqueFd LoadDeviceFilter(const std::vector<DeviceNode>& others) {
  std::vector<bpf_insn> code = Program(others);
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<uint64_t>(code.data());
  attributes.insn_cnt = static_cast<uint32_t>(code.size());
  attributes.license = reinterpret_cast<uint64_t>(kLicense);
  return UniqueFd(Bpf(BPF_PROG_LOAD, &attributes));
}

bool AttachDeviceFilter(int cgroup_fd, int program_fd) {
  bpf_attr attributes{};
  attributes.target_fd = static_cast<uint32_t>(cgroup_fd);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program_fd);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  return Bpf(BPF_PROG_ATTACH, &attributes) == 0;
}

}  // namespace imgbuild::exec
