#include "registry/registries_conf.h"

#include <algorithm>

// The library alone, not Debian's shared object: one parser in one file is not
// worth a dynamic dependency of every start.
#define TOML_HEADER_ONLY 1
// Asserts that damaged text runs into; the parser then reports the mistake.
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::registry {
namespace {

Error Bad(const std::string& file, const toml::source_region& where,
          const std::string& why) {
  return Error(ErrorCode::kHost,
               file + ":" + std::to_string(where.begin.line) + ": " + why);
}

std::string StringOf(const toml::table& table, const char* key,
                     const std::string& file) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return "";
  const auto value = node->value<std::string>();
  if (!value || !node->is_string()) {
    throw Bad(file, node->source(), std::string(key) + " is not a string");
  }
  return *value;
}

bool BoolOf(const toml::table& table, const char* key,
            const std::string& file) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return false;
  if (!node->is_boolean()) {
    throw Bad(file, node->source(), std::string(key) + " is not a boolean");
  }
  return *node->value<bool>();
}

std::string LocationOf(const toml::table& table, const char* key,
                       const std::string& file) {
  std::string value = StringOf(table, key, file);
  while (value.ends_with('/')) value.pop_back();
  if (value.find("://") != std::string::npos) {
    throw Bad(file, table.source(),
              std::string(key) + " " + Quoted(value) +
                  " must be a host and a path, without a scheme");
  }
  return value;
}

MirrorRule ParseMirror(const toml::table& table, bool digest_only,
                       const std::string& file) {
  MirrorRule mirror;
  mirror.location = LocationOf(table, "location", file);
  if (mirror.location.empty()) {
    throw Bad(file, table.source(), "a mirror without a location");
  }
  mirror.line = table.source().begin.line;
  mirror.insecure = BoolOf(table, "insecure", file);
  const std::string use = StringOf(table, "pull-from-mirror", file);
  if (use == "digest-only" || (use.empty() && digest_only)) {
    mirror.use = MirrorRule::Use::kDigestOnly;
  } else if (use == "tag-only") {
    mirror.use = MirrorRule::Use::kTagOnly;
  } else if (!use.empty() && use != "all") {
    throw Bad(file, table.source(), "unknown pull-from-mirror " + Quoted(use));
  }
  return mirror;
}

RegistryRule ParseRule(const toml::table& table, const std::string& file) {
  RegistryRule rule;
  rule.file = file;
  rule.line = table.source().begin.line;
  rule.prefix = LocationOf(table, "prefix", file);
  rule.location = LocationOf(table, "location", file);
  if (rule.prefix.empty()) rule.prefix = rule.location;
  if (rule.prefix.empty()) {
    throw Bad(file, table.source(), "a registry without prefix and location");
  }
  if (rule.prefix.find('*') != std::string::npos &&
      (!rule.prefix.starts_with("*.") || rule.prefix.rfind('*') != 0 ||
       rule.prefix.find('/') != std::string::npos)) {
    throw Bad(file, table.source(),
              "prefix " + Quoted(rule.prefix) +
                  ": only *.host is understood as a pattern");
  }
  rule.insecure = BoolOf(table, "insecure", file);
  rule.blocked = BoolOf(table, "blocked", file);
  const bool digest_only = BoolOf(table, "mirror-by-digest-only", file);
  if (const toml::array* mirrors = table["mirror"].as_array()) {
    for (const toml::node& node : *mirrors) {
      if (const toml::table* mirror = node.as_table()) {
        rule.mirrors.push_back(ParseMirror(*mirror, digest_only, file));
      }
    }
  }
  return rule;
}

// Length of the match, 0 for none.
size_t MatchLength(const std::string& prefix, std::string_view name) {
  if (prefix.starts_with("*.")) {
    const std::string_view host = name.substr(0, name.find('/'));
    const std::string_view plain = host.substr(0, host.rfind(':'));
    const std::string_view suffix = std::string_view(prefix).substr(1);
    const bool matches = plain.size() > suffix.size() &&
                         (plain.ends_with(suffix) || host.ends_with(suffix));
    return matches ? prefix.size() : 0;
  }
  if (!name.starts_with(prefix)) return 0;
  const bool whole = name.size() == prefix.size() || name[prefix.size()] == '/';
  return whole ? prefix.size() : 0;
}

}  // namespace

std::vector<RegistryRule> ParseRegistriesConf(std::string_view text,
                                              const std::string& file) {
  try {
    const toml::table root = toml::parse(text, file);
    if (root.contains("registries")) {
      throw Error(ErrorCode::kHost,
                  file + ": version 1 of registries.conf is not supported")
          .WithHint(
              "write [[registry]] tables; see "
              "containers-registries.conf(5)");
    }
    std::vector<RegistryRule> rules;
    if (const toml::array* registries = root["registry"].as_array()) {
      for (const toml::node& node : *registries) {
        if (const toml::table* table = node.as_table()) {
          rules.push_back(ParseRule(*table, file));
        }
      }
    }
    return rules;
  } catch (const toml::parse_error& error) {
    throw Bad(file, error.source(), std::string(error.description()));
  }
}

void MergeRules(std::vector<RegistryRule>* rules,
                std::vector<RegistryRule> later) {
  for (RegistryRule& rule : later) {
    const auto same = std::find_if(
        rules->begin(), rules->end(),
        [&rule](const auto& other) { return other.prefix == rule.prefix; });
    if (same == rules->end()) {
      rules->push_back(std::move(rule));
    } else {
      *same = std::move(rule);
    }
  }
}

const RegistryRule* FindRule(const std::vector<RegistryRule>& rules,
                             std::string_view name) {
  const RegistryRule* best = nullptr;
  size_t best_length = 0;
  for (const RegistryRule& rule : rules) {
    const size_t length = MatchLength(rule.prefix, name);
    if (length > best_length) {
      best = &rule;
      best_length = length;
    }
  }
  return best;
}

std::string RewriteName(const RegistryRule& rule, std::string_view location,
                        std::string_view name) {
  if (location.empty()) return std::string(name);
  if (rule.prefix.starts_with("*.")) {
    // The pattern stands for the host.
    const size_t slash = std::min(name.find('/'), name.size());
    return std::string(location) + std::string(name.substr(slash));
  }
  return std::string(location) + std::string(name.substr(rule.prefix.size()));
}

}  // namespace imgbuild::registry
