#include "imgbuild/exec/cdi.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxFiles = 1024;

template <typename T>
void AppendAll(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

bool IsSpecName(const std::string& name) {
  return name.ends_with(".json") || name.ends_with(".yaml") ||
         name.ends_with(".yml");
}

// Links are followed: these are the host's own files.
std::string ReadSpec(const std::string& path) {
  const UniqueFd fd = fs::Open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode)) {
    throw Error(ErrorCode::kHost, "not a regular file");
  }
  return fs::ReadFd(fd.get(), kMaxCdiFileBytes, path);
}

// The device that the host has at host_path.
DeviceNode Look(const ContainerEdits::Node& node, const UserSpec& user) {
  DeviceNode out;
  out.path = node.path;
  out.access = node.permissions;
  out.mode = node.mode.value_or(0666) & 07777;
  out.uid = node.uid.value_or(user.uid);
  out.gid = node.gid.value_or(user.gid);
  out.block = node.type == 'b';
  out.major = node.major.value_or(0);
  out.minor = node.minor.value_or(0);
  if (node.type != 0 && node.major && node.minor) return out;
  struct ::stat st = {};
  if (::stat(node.host_path.c_str(), &st) != 0) {
    throw ErrnoError("look at device", node.host_path, errno);
  }
  if (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode)) {
    throw Error(ErrorCode::kHost,
                fmt::format("{} is not a device", Quoted(node.host_path)));
  }
  if (node.type != 0 && S_ISBLK(st.st_mode) != out.block) {
    throw Error(ErrorCode::kHost,
                fmt::format("{} is a device of another type than its "
                            "description says",
                            Quoted(node.host_path)));
  }
  out.block = S_ISBLK(st.st_mode);
  out.major = node.major.value_or(major(st.st_rdev));
  out.minor = node.minor.value_or(minor(st.st_rdev));
  return out;
}

void SetEnv(std::vector<std::string>& env, const std::string& pair) {
  const std::string name = pair.substr(0, pair.find('=') + 1);
  for (std::string& entry : env) {
    if (!entry.starts_with(name)) continue;
    entry = pair;
    return;
  }
  env.push_back(pair);
}

}  // namespace

void ContainerEdits::Append(const ContainerEdits& other) {
  AppendAll(env, other.env);
  AppendAll(nodes, other.nodes);
  AppendAll(binds, other.binds);
  AppendAll(hooks, other.hooks);
  AppendAll(groups, other.groups);
}

CdiRegistry CdiRegistry::Read(const std::vector<std::string>& directories) {
  CdiRegistry registry;
  std::map<std::string, Device> found;
  for (const std::string& directory : directories) {
    const UniqueFd dir =
        fs::OpenIfExists(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
    if (!dir) continue;
    std::set<std::string> here;
    std::set<std::string> twice;
    size_t files = 0;
    for (const std::string& name : fs::ListDir(dir.get())) {
      if (!IsSpecName(name)) continue;
      const std::string path = directory + "/" + name;
      try {
        if (++files > kMaxFiles) {
          throw Error(ErrorCode::kHost, "too many files");
        }
        const auto spec = std::make_shared<const CdiSpec>(
            ParseCdiSpec(ReadSpec(path), !name.ends_with(".json")));
        for (size_t i = 0; i < spec->devices.size(); ++i) {
          const std::string full = spec->kind + "=" + spec->devices[i].name;
          if (!here.insert(full).second) twice.insert(full);
          found[full] = {full, spec, i};
        }
      } catch (const Error& error) {
        registry.problems_.push_back(
            fmt::format("{}: {}", path, error.message()));
      }
    }
    for (const std::string& name : twice) {
      registry.problems_.push_back(
          fmt::format("{}: {} is described twice", directory, name));
      found.erase(name);
    }
  }
  for (auto& [name, device] : found) {
    registry.devices_.push_back(std::move(device));
  }
  return registry;
}

ContainerEdits CdiRegistry::EditsOf(
    const std::vector<std::string>& names) const {
  ContainerEdits edits;
  std::set<const CdiSpec*> seen;
  for (const std::string& name : names) {
    const auto it = std::ranges::find(devices_, name, &Device::name);
    if (it == devices_.end()) {
      throw Error(ErrorCode::kHost, fmt::format("device {} is gone", name));
    }
    if (seen.insert(it->spec.get()).second) edits.Append(it->spec->edits);
    edits.Append(it->get().edits);
  }
  return edits;
}

std::vector<std::string> CdiDirectories() {
  const char* given = std::getenv("IMGBUILD_CDI_DIRS");
  if (given != nullptr && *given != '\0') return Split(given, ':');
  return {"/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi"};
}

void ApplyEdits(const ContainerEdits& edits, ProcessSpec& spec) {
  for (const std::string& pair : edits.env) SetEnv(spec.env, pair);
  for (const ContainerEdits::Node& node : edits.nodes) {
    std::erase_if(spec.devices, [&](const DeviceNode& other) {
      return other.path == node.path;
    });
    spec.devices.push_back(Look(node, spec.user));
  }
  AppendAll(spec.hooks, edits.hooks);
  for (const uint32_t group : edits.groups) {
    if (std::ranges::find(spec.user.groups, group) == spec.user.groups.end()) {
      spec.user.groups.push_back(group);
    }
  }
}

}  // namespace imgbuild::exec
