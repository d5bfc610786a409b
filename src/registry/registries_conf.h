// registries.conf, version 2 (containers-registries.conf(5)): which place a
// name leads to.
#ifndef IMGBUILD_SRC_REGISTRY_REGISTRIES_CONF_H_
#define IMGBUILD_SRC_REGISTRY_REGISTRIES_CONF_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::registry {

struct MirrorRule {
  enum class Use { kAll, kDigestOnly, kTagOnly };
  std::string location;
  bool insecure = false;
  Use use = Use::kAll;
  unsigned line = 0;
  bool operator==(const MirrorRule&) const = default;
};

struct RegistryRule {
  std::string prefix;    // "docker.io", "host/ns", "*.example.com"
  std::string location;  // empty: where the name says
  bool insecure = false;
  bool blocked = false;
  std::vector<MirrorRule> mirrors;
  std::string file;
  unsigned line = 0;
  bool operator==(const RegistryRule&) const = default;
};

// Throws Error(kHost) with file and position: also for version 1, for a prefix
// or location with a scheme, and for unknown values.
std::vector<RegistryRule> ParseRegistriesConf(std::string_view text,
                                              const std::string& file);
// Adds the rules of a later file; a prefix of both is the later's.
void MergeRules(std::vector<RegistryRule>* rules,
                std::vector<RegistryRule> later);
// The rule with the longest matching prefix for "host/path".
const RegistryRule* FindRule(const std::vector<RegistryRule>& rules,
                             std::string_view name);
// "host/path" with the rule's prefix replaced by `location`.
std::string RewriteName(const RegistryRule& rule, std::string_view location,
                        std::string_view name);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_REGISTRIES_CONF_H_
