// Devices of this host as their vendors describe them for containers:
// Container Device Interface (CDI) 0.3 to 1.0, in JSON or YAML.
#ifndef IMGBUILD_EXEC_CDI_H_
#define IMGBUILD_EXEC_CDI_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/exec/executor.h"

namespace imgbuild::exec {

inline constexpr size_t kMaxCdiFileBytes = 4u << 20;

// What a device changes of a container.
struct ContainerEdits {
  std::vector<std::string> env;  // "NAME=value"; replaces what is there
  struct Node {
    std::string path;       // below /dev in the container
    std::string host_path;  // what is looked at for the numbers; never empty
    char type = 0;          // 'b', 'c', or 0: as host_path
    std::optional<uint32_t> major;
    std::optional<uint32_t> minor;
    std::optional<uint32_t> mode;
    std::optional<uint32_t> uid;
    std::optional<uint32_t> gid;
    std::string permissions = "rwm";
  };
  std::vector<Node> nodes;
  struct Bind {
    std::string source;
    std::string target;
    bool read_only = false;
    std::vector<std::string> options;  // nosuid, nodev, noexec
  };
  std::vector<Bind> binds;
  std::vector<Hook> hooks;
  std::vector<uint32_t> groups;

  void Append(const ContainerEdits& other);
};

// One file.
struct CdiSpec {
  std::string kind;      // "vendor.com/class"
  ContainerEdits edits;  // with any device of it
  struct Device {
    std::string name;                                // behind "kind="
    std::map<std::string, std::string> annotations;  // the file's among them
    ContainerEdits edits;
    std::string recipe;  // all that it gives, as text: equal if that is
  };
  std::vector<Device> devices;
};
// `yaml`: as against JSON. Throws Error(kHost) with what is wrong.
CdiSpec ParseCdiSpec(std::string_view text, bool yaml);

class CdiRegistry {
 public:
  struct Device {
    std::string name;  // "vendor.com/class=name"
    std::shared_ptr<const CdiSpec> spec;
    size_t index = 0;  // into spec->devices
    const CdiSpec::Device& get() const { return spec->devices[index]; }
  };

  // The *.json, *.yaml and *.yml of the directories, as far as they exist; a
  // later directory wins. A file that is wrong, and a device that one
  // directory has twice, are left out and said in problems().
  static CdiRegistry Read(const std::vector<std::string>& directories);

  // By name.
  const std::vector<Device>& devices() const { return devices_; }
  const std::vector<std::string>& problems() const { return problems_; }
  // All of these together, in order. Throws Error(kHost) for one that is not
  // there.
  ContainerEdits EditsOf(const std::vector<std::string>& names) const;

 private:
  std::vector<Device> devices_;
  std::vector<std::string> problems_;
};

// $IMGBUILD_CDI_DIRS, colons between, else /etc/cdi, /var/run/cdi and
// /etc/buildkit/cdi.
std::vector<std::string> CdiDirectories();

// Adds to `spec` all but the binds, whose targets the caller resolves. Throws
// Error(kHost) for a node whose device is not there.
void ApplyEdits(const ContainerEdits& edits, ProcessSpec& spec);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_EXEC_CDI_H_
