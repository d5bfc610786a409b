// One CDI file.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "imgbuild/exec/cdi.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "exec/yaml_reader.h"

namespace imgbuild::exec {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxListed = 4096;
constexpr int kMaxDepth = 32;

[[noreturn]] void Fail(const std::string& why) {
  throw Error(ErrorCode::kHost, why);
}

// An object whose members are all taken: one that nobody knows must not be
// passed over, it may be what makes the device work.
class Members {
 public:
  Members(const Json& json, std::string where)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) Fail(where_ + " is not an object");
  }

  const Json* Take(const char* name) {
    taken_.push_back(name);
    const auto it = json_.find(name);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  // Numbers too: YAML makes them of some names.
  std::string Text(const char* name) {
    const Json* value = Take(name);
    if (value == nullptr) return "";
    return AsText(*value, where_ + "." + name);
  }
  std::string Needed(const char* name) {
    std::string text = Text(name);
    if (text.empty()) Fail(fmt::format("{} has no \"{}\"", where_, name));
    return text;
  }
  std::optional<uint32_t> Number(const char* name) {
    const Json* value = Take(name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_number_integer() || *value < 0 || *value > UINT32_MAX) {
      Fail(fmt::format("{}.{} is not a number from 0", where_, name));
    }
    return value->get<uint32_t>();
  }
  std::vector<std::string> Texts(const char* name) {
    std::vector<std::string> out;
    for (const Json& item : List(name)) {
      out.push_back(AsText(item, where_ + "." + name));
    }
    return out;
  }
  const Json& List(const char* name) {
    static const Json kNone = Json::array();
    const Json* value = Take(name);
    if (value == nullptr) return kNone;
    if (!value->is_array() || value->size() > kMaxListed) {
      Fail(fmt::format("{}.{} is not a list", where_, name));
    }
    return *value;
  }
  void NoOthers() const {
    for (const auto& [name, value] : json_.items()) {
      if (std::ranges::find(taken_, name) == taken_.end()) {
        Fail(fmt::format("{} has a \"{}\", which is not supported", where_,
                         name));
      }
    }
  }
  const std::string& where() const { return where_; }

 private:
  static std::string AsText(const Json& value, const std::string& where) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_number_integer()) return value.dump();
    Fail(where + " is not a text");
  }

  const Json& json_;
  const std::string where_;
  std::vector<std::string> taken_;
};

void NeedAbsolute(const Members& members, const std::string& path) {
  if (!path.starts_with('/') || path.find('\0') != std::string::npos) {
    Fail(fmt::format("{}: the path {} is not absolute", members.where(),
                     Quoted(path)));
  }
}

ContainerEdits::Node ParseNode(const Json& json) {
  Members members(json, "deviceNodes");
  ContainerEdits::Node node;
  node.path = members.Needed("path");
  NeedAbsolute(members, node.path);
  if (!node.path.starts_with("/dev/") ||
      node.path.find("/..") != std::string::npos) {
    Fail(
        fmt::format("the device node {} is not below /dev", Quoted(node.path)));
  }
  node.host_path = members.Text("hostPath");
  if (node.host_path.empty()) node.host_path = node.path;
  NeedAbsolute(members, node.host_path);
  const std::string type = members.Text("type");
  if (!type.empty() && type != "b" && type != "c" && type != "u") {
    Fail(
        fmt::format("device nodes of type {} are not supported", Quoted(type)));
  }
  if (!type.empty()) node.type = type == "b" ? 'b' : 'c';
  node.major = members.Number("major");
  node.minor = members.Number("minor");
  node.mode = members.Number("fileMode");
  node.uid = members.Number("uid");
  node.gid = members.Number("gid");
  const std::string permissions = members.Text("permissions");
  if (permissions.find_first_not_of("rwm") != std::string::npos) {
    Fail(fmt::format("invalid permissions {}", Quoted(permissions)));
  }
  if (!permissions.empty()) node.permissions = permissions;
  members.NoOthers();
  return node;
}

ContainerEdits::Bind ParseBind(const Json& json) {
  Members members(json, "mounts");
  ContainerEdits::Bind bind;
  bind.source = members.Needed("hostPath");
  bind.target = members.Needed("containerPath");
  NeedAbsolute(members, bind.source);
  NeedAbsolute(members, bind.target);
  const std::string type = members.Text("type");
  if (!type.empty() && type != "bind" && type != "none") {
    Fail(fmt::format("mounts of type {} are not supported", Quoted(type)));
  }
  for (const std::string& option : members.Texts("options")) {
    // Mounts are private and recursive in any case.
    static constexpr std::array<std::string_view, 7> kGiven = {
        "bind", "rbind", "rw", "private", "rprivate", "suid", "relatime"};
    if (option == "ro") {
      bind.read_only = true;
    } else if (option == "nosuid" || option == "nodev" || option == "noexec") {
      bind.options.push_back(option);
    } else if (std::ranges::find(kGiven, option) == kGiven.end()) {
      Fail(fmt::format("the mount option {} is not supported", Quoted(option)));
    }
  }
  members.NoOthers();
  return bind;
}

Hook ParseHook(const Json& json) {
  Members members(json, "hooks");
  Hook hook;
  hook.name = members.Needed("hookName");
  static constexpr std::array<std::string_view, 6> kNames = {
      "prestart",       "createRuntime", "createContainer",
      "startContainer", "poststart",     "poststop"};
  if (std::ranges::find(kNames, hook.name) == kNames.end()) {
    Fail(fmt::format("there is no hook {}", Quoted(hook.name)));
  }
  hook.path = members.Needed("path");
  NeedAbsolute(members, hook.path);
  hook.args = members.Texts("args");
  hook.env = members.Texts("env");
  const uint32_t timeout = members.Number("timeout").value_or(0);
  hook.timeout_seconds = static_cast<int>(std::min(timeout, 86400u));
  members.NoOthers();
  return hook;
}

ContainerEdits ParseEdits(const Json* json) {
  ContainerEdits edits;
  if (json == nullptr) return edits;
  Members members(*json, "containerEdits");
  edits.env = members.Texts("env");
  for (const std::string& pair : edits.env) {
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string::npos ||
        pair.find('\0') != std::string::npos) {
      Fail(fmt::format("invalid env {}", Quoted(pair)));
    }
  }
  for (const Json& node : members.List("deviceNodes")) {
    edits.nodes.push_back(ParseNode(node));
  }
  for (const Json& mount : members.List("mounts")) {
    edits.binds.push_back(ParseBind(mount));
  }
  for (const Json& hook : members.List("hooks")) {
    edits.hooks.push_back(ParseHook(hook));
  }
  for (const Json& group : members.List("additionalGids")) {
    if (!group.is_number_integer() || group < 0 || group > UINT32_MAX) {
      Fail("additionalGids has what is no number from 0");
    }
    if (group != 0) edits.groups.push_back(group.get<uint32_t>());
  }
  members.NoOthers();
  return edits;
}

std::map<std::string, std::string> ParseAnnotations(Members& members) {
  std::map<std::string, std::string> out;
  const Json* json = members.Take("annotations");
  if (json == nullptr) return out;
  if (!json->is_object()) Fail("annotations is not an object");
  for (const auto& [name, value] : json->items()) {
    if (!value.is_string()) Fail("an annotation is not a text");
    out[name] = value.get<std::string>();
  }
  return out;
}

bool IsName(const std::string& text, std::string_view inner) {
  const auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9');
  };
  return !text.empty() && alnum(text.front()) && alnum(text.back()) &&
         std::ranges::all_of(text, [&](char c) {
           return alnum(c) || inner.find(c) != std::string_view::npos;
         });
}

void CheckKind(const std::string& kind) {
  const size_t slash = kind.find('/');
  if (slash == std::string::npos || !IsName(kind.substr(0, slash), "_-.") ||
      !IsName(kind.substr(slash + 1), "_-.")) {
    Fail(
        fmt::format("invalid kind {}: the form is VENDOR/CLASS", Quoted(kind)));
  }
}

// Bounded in size and depth.
Json ReadDocument(std::string_view text, bool yaml) {
  if (text.size() > kMaxCdiFileBytes) Fail("the file is too big");
  if (yaml) {
    Json json = ParseYaml(text);
    try {
      json.dump();
    } catch (const Json::exception&) {
      Fail("the text is not UTF-8");
    }
    return json;
  }
  bool deep = false;
  const auto guard = [&](int depth, Json::parse_event_t, Json&) {
    deep |= depth > kMaxDepth;
    return !deep;
  };
  try {
    Json json = Json::parse(text, guard);
    if (deep) Fail("nested too deeply");
    return json;
  } catch (const Json::exception& error) {
    if (deep) Fail("nested too deeply");
    Fail(fmt::format("invalid JSON: {}", error.what()));
  }
}

}  // namespace

CdiSpec ParseCdiSpec(std::string_view text, bool yaml) {
  const Json json = ReadDocument(text, yaml);
  Members members(json, "the file");
  CdiSpec spec;
  const std::string version = members.Needed("cdiVersion");
  static constexpr std::array<std::string_view, 7> kVersions = {
      "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "1.0"};
  if (std::ranges::find(kVersions, version.substr(0, version.rfind('.'))) ==
      kVersions.end()) {
    Fail(fmt::format("cdiVersion {} is not supported", Quoted(version)));
  }
  spec.kind = members.Needed("kind");
  CheckKind(spec.kind);
  const auto annotations = ParseAnnotations(members);
  const Json* shared = members.Take("containerEdits");
  spec.edits = ParseEdits(shared);
  for (const Json& entry : members.List("devices")) {
    Members fields(entry, "devices");
    CdiSpec::Device device;
    device.name = fields.Needed("name");
    if (!IsName(device.name, "_-.:")) {
      Fail(fmt::format("invalid name {}", Quoted(device.name)));
    }
    device.annotations = ParseAnnotations(fields);
    device.annotations.insert(annotations.begin(), annotations.end());
    const Json* own = fields.Take("containerEdits");
    device.edits = ParseEdits(own);
    fields.NoOthers();
    device.recipe = Json::array({shared == nullptr ? Json() : *shared,
                                 own == nullptr ? Json() : *own})
                        .dump();
    spec.devices.push_back(std::move(device));
  }
  if (spec.devices.empty()) Fail("the file has no devices");
  members.NoOthers();
  return spec;
}

}  // namespace imgbuild::exec
