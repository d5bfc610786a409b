#include "plan/scope.h"

#include <algorithm>
#include <variant>

#include "imgbuild/util/strings.h"

namespace imgbuild::plan {

void Variables::Set(std::string_view name, std::string_view value) {
  map_.Set(name, std::string(value));
}

void Variables::Unset(std::string_view name) { map_.Erase(name); }

std::optional<std::string> Variables::Find(std::string_view name) const {
  const std::string* value = map_.Find(name);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::vector<std::string> Variables::AsEnv() const {
  std::vector<std::string> env;
  env.reserve(map_.size());
  map_.ForEach([&](const std::string& name, const std::string& value) {
    env.push_back(name + "=" + value);
  });
  return env;
}

dockerfile::Lookup Variables::AsLookup() const {
  return [this](std::string_view name) { return Find(name); };
}

std::vector<std::pair<std::string, std::string>> PlatformArgs(
    const oci::Platform& target, const oci::Platform& build,
    const std::string& target_stage) {
  return {
      {"BUILDPLATFORM", build.ToString()},
      {"BUILDOS", build.os},
      {"BUILDOSVERSION", build.os_version},
      {"BUILDARCH", build.architecture},
      {"BUILDVARIANT", build.variant},
      {"TARGETPLATFORM", target.ToString()},
      {"TARGETOS", target.os},
      {"TARGETOSVERSION", target.os_version},
      {"TARGETARCH", target.architecture},
      {"TARGETVARIANT", target.variant},
      {"TARGETSTAGE", target_stage},
  };
}

namespace {
constexpr std::string_view kProxies[] = {"http_proxy", "https_proxy",
                                         "ftp_proxy", "no_proxy", "all_proxy"};
}  // namespace

bool IsProxyArg(std::string_view name) {
  return std::ranges::any_of(kProxies, [&](std::string_view proxy) {
    return EqualsIgnoreCase(proxy, name);
  });
}

bool IsPredefinedArg(std::string_view name) {
  return IsProxyArg(name) || name.starts_with("BUILDKIT_") ||
         name == "SOURCE_DATE_EPOCH";
}

std::vector<std::string> ProxyEnv(
    const std::map<std::string, std::string>& build_args) {
  std::map<std::string, std::string> values;  // by lower-case name
  for (const auto& [name, value] : build_args) {
    if (IsProxyArg(name)) values[ToLower(name)] = value;
  }
  std::vector<std::string> env;
  for (const auto& [name, value] : values) {
    std::string upper = name;
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) {
      return static_cast<char>(std::toupper(c));
    });
    env.push_back(upper + "=" + value);
    env.push_back(name + "=" + value);
  }
  return env;
}

GlobalArgs::GlobalArgs(const dockerfile::Dockerfile& file,
                       const PlanOptions& options,
                       const std::string& target_stage) {
  for (const auto& [name, value] : PlatformArgs(
           options.target_platform, options.build_platform, target_stage)) {
    const auto given = options.build_args.find(name);
    variables_.Set(name,
                   given == options.build_args.end() ? value : given->second);
  }
  for (const dockerfile::Instruction& instruction : file.meta_args) {
    const auto& arg = std::get<dockerfile::Arg>(instruction.node);
    for (const dockerfile::ArgDeclaration& declaration : arg.declarations) {
      const std::string name =
          dockerfile::Expand(declaration.name, variables_.AsLookup(),
                             file.escape)
              .text;
      declared_.push_back(name);
      const auto given = options.build_args.find(name);
      if (given != options.build_args.end()) {
        variables_.Set(name, given->second);
      } else if (declaration.value) {
        const dockerfile::ExpandResult value = dockerfile::Expand(
            *declaration.value, variables_.AsLookup(), file.escape);
        variables_.Set(name, value.text);
        made_of_[name] = value.matched;
      }
    }
  }
}

std::map<std::string, std::string> GlobalArgs::Origins(
    const std::set<std::string>& names) const {
  std::map<std::string, std::string> out;
  std::vector<std::string> todo(names.begin(), names.end());
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    const auto value = variables_.Find(name);
    if (!value || !out.emplace(name, *value).second) continue;
    const auto it = made_of_.find(name);
    if (it == made_of_.end()) continue;
    todo.insert(todo.end(), it->second.begin(), it->second.end());
  }
  return out;
}

std::vector<std::string> GlobalArgs::Names() const {
  std::vector<std::string> names = declared_;
  for (std::string& pair : variables_.AsEnv()) {
    pair.resize(pair.find('='));
    names.push_back(std::move(pair));
  }
  return names;
}

bool GlobalArgs::Declared(std::string_view name) const {
  return std::ranges::find(declared_, name) != declared_.end();
}

}  // namespace imgbuild::plan
