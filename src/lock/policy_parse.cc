// The TOML of [policy].
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "imgbuild/lock/policy.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "lock/toml_fields.h"

namespace imgbuild::lock {
namespace {

constexpr int64_t kHour = 3600;

const std::vector<std::string>& Keys() {
  static const auto* const keys = new std::vector<std::string>{
      "registries",       "require-digest", "max-pin-age",
      "require-checksum", "run-network",    "run-network-stages"};
  return *keys;
}

class PolicyReader {
 public:
  PolicyReader(const std::shared_ptr<const SourceFile>& source,
               const toml::table& table)
      : source_(source), table_(table) {}

  Policy Read() {
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      if (std::ranges::find(Keys(), name) == Keys().end()) {
        throw UnknownKey(name, key.source());
      }
      policy_.ranges[name] = RangeOf(source_, key.source());
    }
    ReadRegistries();
    policy_.require_digest = Bool("require-digest");
    policy_.require_checksum = Bool("require-checksum");
    ReadAge();
    ReadNetwork();
    return std::move(policy_);
  }

 private:
  Error UnknownKey(const std::string& name, const toml::source_region& region) {
    Error error =
        LockError(fmt::format("unknown key {} in [policy]", Quoted(name)),
                  RangeOf(source_, region));
    const auto near = Suggest(name, Keys());
    error.WithHint(near ? fmt::format("did you mean {}?", *near)
                        : "the keys are " + Join(Keys(), ", "));
    return error;
  }
  Error At(const toml::node& node, std::string message) const {
    return LockError(std::move(message), RangeOf(source_, node.source()));
  }

  bool Bool(const char* key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return false;
    if (const auto value = node->value_exact<bool>()) return *value;
    throw At(*node, fmt::format("{} is true or false", key));
  }
  std::vector<std::string> Texts(const char* key) const {
    std::vector<std::string> out;
    const toml::node* node = table_.get(key);
    if (node == nullptr) return out;
    const toml::array* array = node->as_array();
    if (array == nullptr) {
      throw At(*node, fmt::format("{} is a list of strings", key));
    }
    for (const toml::node& item : *array) {
      const auto text = item.value_exact<std::string>();
      if (!text) throw At(item, fmt::format("{} is a list of strings", key));
      out.push_back(*text);
    }
    return out;
  }

  void ReadRegistries() {
    policy_.registries = Texts("registries");
    const toml::node* node = table_.get("registries");
    if (node == nullptr) return;
    if (policy_.registries.empty()) {
      throw At(*node, "an empty list of registries allows nothing")
          .WithHint("leave registries out to allow all");
    }
    for (size_t i = 0; i < policy_.registries.size(); ++i) {
      CheckRegistry(policy_.registries[i], *node->as_array()->get(i));
    }
  }
  void CheckRegistry(const std::string& entry, const toml::node& node) const {
    std::string plain = entry;
    if (plain.starts_with("*.")) plain.replace(0, 1, "x");
    // As the path of a repository below it, so that "library" alone, which
    // would be read as docker.io/library, is told.
    plain += "/x/y";
    const auto reference = oci::Reference::TryParse(plain);
    if (reference && !reference->tag() && !reference->digest() &&
        reference->repository().ToString() == plain) {
      return;
    }
    throw At(node,
             fmt::format("{} is no registry or repository path", Quoted(entry)))
        .WithHint("the form is HOST[/PATH]: docker.io/library, *.example.org");
  }

  void ReadAge() {
    const toml::node* node = table_.get("max-pin-age");
    if (node == nullptr) return;
    const auto text = node->value_exact<std::string>();
    if (text && !text->empty()) {
      const auto number =
          ParseUint(std::string_view(*text).substr(0, text->size() - 1));
      const char unit = text->back();
      const int64_t seconds = unit == 'h'   ? kHour
                              : unit == 'd' ? 24 * kHour
                              : unit == 'w' ? 7 * 24 * kHour
                                            : 0;
      if (number && *number > 0 && *number < 100'000 && seconds > 0) {
        policy_.max_pin_age = static_cast<int64_t>(*number) * seconds;
        return;
      }
    }
    throw At(*node, "max-pin-age is no duration")
        .WithHint("a number and h, d or w: \"90d\"");
  }

  void ReadNetwork() {
    policy_.run_network_stages = Texts("run-network-stages");
    const toml::node* node = table_.get("run-network");
    if (node == nullptr) {
      if (table_.contains("run-network-stages")) {
        throw At(*table_.get("run-network-stages"),
                 "run-network-stages without run-network = \"off\"");
      }
      return;
    }
    const auto text = node->value_exact<std::string>();
    if (!text || (*text != "off" && *text != "on")) {
      throw At(*node, "run-network is \"on\" or \"off\"");
    }
    policy_.run_network_off = *text == "off";
  }

  const std::shared_ptr<const SourceFile>& source_;
  const toml::table& table_;
  Policy policy_;
};

toml::table ParseToml(const std::shared_ptr<const SourceFile>& source) {
  if (source->text().size() > kMaxLockBytes) {
    throw Error(ErrorCode::kDockerfile,
                fmt::format("{} is too large", source->name()));
  }
  try {
    return toml::parse(std::string_view(source->text()), source->name());
  } catch (const toml::parse_error& error) {
    throw LockError(std::string(error.description()),
                    RangeOf(source, error.source()));
  }
}

}  // namespace

Policy ParsePolicyFile(const std::shared_ptr<const SourceFile>& source) {
  const toml::table document = ParseToml(source);
  for (const auto& [key, node] : document) {
    if (key.str() == "policy" && node.is_table()) continue;
    throw LockError(fmt::format("unknown key {}", Quoted(key.str())),
                    RangeOf(source, key.source()))
        .WithHint("the file has [policy] and nothing else");
  }
  const toml::table* table = document["policy"].as_table();
  return table == nullptr ? Policy() : PolicyReader(source, *table).Read();
}

std::optional<Policy> PolicyOf(const Lockfile& lockfile) {
  if (lockfile.policy.empty()) return std::nullopt;
  const auto source =
      lockfile.source != nullptr
          ? lockfile.source
          : std::make_shared<const SourceFile>("[policy]", lockfile.policy);
  const toml::table document = ParseToml(source);
  const toml::table* table = document["policy"].as_table();
  if (table == nullptr) return std::nullopt;
  return PolicyReader(source, *table).Read();
}

}  // namespace imgbuild::lock
