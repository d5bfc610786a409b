#include "exec/capabilities.h"

#include <fmt/format.h>
#include <sys/prctl.h>

#include <array>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

// By number, as linux/capability.h has them.
constexpr std::array<std::string_view, 41> kNames = {"chown",
                                                     "dac_override",
                                                     "dac_read_search",
                                                     "fowner",
                                                     "fsetid",
                                                     "kill",
                                                     "setgid",
                                                     "setuid",
                                                     "setpcap",
                                                     "linux_immutable",
                                                     "net_bind_service",
                                                     "net_broadcast",
                                                     "net_admin",
                                                     "net_raw",
                                                     "ipc_lock",
                                                     "ipc_owner",
                                                     "sys_module",
                                                     "sys_rawio",
                                                     "sys_chroot",
                                                     "sys_ptrace",
                                                     "sys_pacct",
                                                     "sys_admin",
                                                     "sys_boot",
                                                     "sys_nice",
                                                     "sys_resource",
                                                     "sys_time",
                                                     "sys_tty_config",
                                                     "mknod",
                                                     "lease",
                                                     "audit_write",
                                                     "audit_control",
                                                     "setfcap",
                                                     "mac_override",
                                                     "mac_admin",
                                                     "syslog",
                                                     "wake_alarm",
                                                     "block_suspend",
                                                     "audit_read",
                                                     "perfmon",
                                                     "bpf",
                                                     "checkpoint_restore"};

constexpr CapabilitySet kAll = (CapabilitySet{1} << kNames.size()) - 1;

CapabilitySet ParseOrThrow(const std::string& name, const char* flag) {
  CapabilitySet set = ParseCapability(name);
  if (set == 0) {
    Error error(ErrorCode::kUsage,
                fmt::format("{}: no such capability {}", flag, Quoted(name)));
    std::vector<std::string> known(kNames.begin(), kNames.end());
    if (auto near = Suggest(ToLower(name), known)) {
      error.WithHint(fmt::format("did you mean \"{}\"?", *near));
    }
    throw error;
  }
  return set;
}

}  // namespace

bool IsCapabilityName(std::string_view name) {
  return ParseCapability(name) != 0;
}

CapabilitySet ParseCapability(std::string_view name) {
  std::string lower = ToLower(name);
  if (lower == "all") return kAll;
  if (lower.starts_with("cap_")) lower.erase(0, 4);
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (lower == kNames[i]) return CapabilitySet{1} << i;
  }
  return 0;
}

std::vector<std::string> CapabilityNames(CapabilitySet set) {
  std::vector<std::string> out;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if ((set >> i & 1) == 0) continue;
    std::string name = "CAP_";
    for (char c : kNames[i]) {
      name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    out.push_back(std::move(name));
  }
  return out;
}

CapabilitySet DefaultCapabilities() {
  static constexpr std::string_view kDefaults[] = {
      "chown",   "dac_override", "fsetid",           "fowner",
      "mknod",   "net_raw",      "setgid",           "setuid",
      "setfcap", "setpcap",      "net_bind_service", "sys_chroot",
      "kill",    "audit_write"};
  CapabilitySet set = 0;
  for (std::string_view name : kDefaults) set |= ParseCapability(name);
  return set;
}

CapabilitySet ContainerCapabilities(const ProcessSpec& spec,
                                    CapabilitySet available) {
  CapabilitySet add = 0;
  CapabilitySet drop = 0;
  for (const std::string& name : spec.cap_add) {
    add |= ParseOrThrow(name, "cap-add");
  }
  for (const std::string& name : spec.cap_drop) {
    drop |= ParseOrThrow(name, "cap-drop");
  }
  if (spec.privileged) return available & ~(drop == kAll ? 0 : drop);
  // A single name that was asked for must be had; ALL means all there are.
  bool add_all = (add & kAll) == kAll;
  if (CapabilitySet missing = add & ~available; missing != 0 && !add_all) {
    throw Error(ErrorCode::kHost,
                fmt::format("cap-add: imgbuild itself does not have {}",
                            Join(CapabilityNames(missing), ", ")));
  }
  CapabilitySet set = DefaultCapabilities();
  if (drop == kAll) {
    set = add_all ? kAll : add;
  } else {
    set = (set | add) & ~drop;
  }
  return set & available;
}

CapabilitySet OwnCapabilities() {
  CapabilitySet set = 0;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (prctl(PR_CAPBSET_READ, i) == 1) set |= CapabilitySet{1} << i;
  }
  return set;
}

}  // namespace imgbuild::exec
