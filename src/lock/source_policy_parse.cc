// The JSON of source policies.
#include <fmt/format.h>

#include <utility>

#include "imgbuild/lock/source_policy.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "lock/json_place.h"

namespace imgbuild::lock {
namespace {

using Json = nlohmann::json;

class Reader {
 public:
  explicit Reader(std::shared_ptr<const SourceFile> source)
      : source_(std::move(source)) {}

  std::vector<PolicyRule> Read() {
    const Json document =
        ParseJson(source_, kMaxSourcePolicyBytes, "source policy");
    RequireObject(document, {}, "a source policy");
    CheckKeys(document, {}, {"version", "rules"});
    if (document.contains("version") &&
        (!document["version"].is_number_integer() ||
         document["version"].get<int64_t>() < 0 ||
         document["version"].get<int64_t>() > 1)) {
      throw At({"version"}, "unknown version of a source policy")
          .WithHint("the version is 1");
    }
    std::vector<PolicyRule> rules;
    if (!document.contains("rules") || document["rules"].is_null()) {
      return rules;
    }
    const Json& list = document["rules"];
    if (!list.is_array()) throw At({"rules"}, "\"rules\" is not a list");
    for (size_t i = 0; i < list.size(); ++i) {
      rules.push_back(ReadRule(list[i], {"rules", std::to_string(i)}));
    }
    return rules;
  }

 private:
  static JsonPath Join(JsonPath path, const std::string& step) {
    path.push_back(step);
    return path;
  }
  Error At(const JsonPath& path, std::string message, bool key = false) const {
    Error error(ErrorCode::kDockerfile, std::move(message));
    error.At(PlaceOf(source_, path, key));
    return error;
  }
  void RequireObject(const Json& json, const JsonPath& path,
                     std::string_view what) const {
    if (!json.is_object()) {
      throw At(path, fmt::format("{} is an object", what));
    }
  }
  void CheckKeys(const Json& json, const JsonPath& path,
                 const std::vector<std::string>& known) const {
    for (const auto& [key, value] : json.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      Error error = At(
          Join(path, key),
          fmt::format("unknown key {} in a source policy", Quoted(key)), true);
      if (const auto near = Suggest(key, known)) {
        error.WithHint(fmt::format("did you mean {}?", Quoted(*near)));
      } else {
        error.WithHint("the keys here are " + imgbuild::Join(known, ", "));
      }
      throw error;
    }
  }
  std::string Text(const Json& json, const JsonPath& path) const {
    if (json.is_string()) return json.get<std::string>();
    throw At(path, fmt::format("{} is not a string", Quoted(path.back())));
  }
  std::string TextOr(const Json& object, const JsonPath& path,
                     const std::string& key) const {
    const auto it = object.find(key);
    return it == object.end() ? "" : Text(*it, Join(path, key));
  }
  std::map<std::string, std::string> Attrs(const Json& object,
                                           const JsonPath& path) const {
    std::map<std::string, std::string> out;
    const auto it = object.find("attrs");
    if (it == object.end() || it->is_null()) return out;
    const JsonPath here = Join(path, "attrs");
    RequireObject(*it, here, "\"attrs\"");
    for (const auto& [key, value] : it->items()) {
      out[key] = Text(value, Join(here, key));
    }
    return out;
  }
  // An enum: its name, or its number as protobuf counts.
  size_t OneOf(const Json& json, const JsonPath& path,
               const std::vector<std::string>& names) const {
    if (json.is_number_unsigned() && json.get<uint64_t>() < names.size()) {
      return json.get<size_t>();
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (json.is_string() && json.get_ref<const std::string&>() == names[i]) {
        return i;
      }
    }
    throw At(path, fmt::format("unknown value {} of {}", json.dump(),
                               Quoted(path.back())))
        .WithHint("it is " + imgbuild::Join(names, ", "));
  }

  PolicyRule ReadRule(const Json& json, const JsonPath& path) const {
    RequireObject(json, path, "a rule");
    CheckKeys(json, path, {"action", "selector", "updates"});
    PolicyRule rule;
    if (json.contains("action")) {
      rule.action = static_cast<PolicyRule::Action>(OneOf(
          json["action"], Join(path, "action"), {"ALLOW", "DENY", "CONVERT"}));
    }
    if (!json.contains("selector")) {
      throw At(path, "a rule without a selector");
    }
    ReadSelector(json["selector"], Join(path, "selector"), rule);
    const bool updates = json.contains("updates") && !json["updates"].is_null();
    if (updates) {
      const JsonPath here = Join(path, "updates");
      RequireObject(json["updates"], here, "\"updates\"");
      CheckKeys(json["updates"], here, {"identifier", "attrs"});
      rule.to = TextOr(json["updates"], here, "identifier");
      rule.attrs = Attrs(json["updates"], here);
    } else if (rule.action == PolicyRule::Action::kConvert) {
      throw At(path, "a CONVERT rule without updates");
    }
    if (updates && rule.action != PolicyRule::Action::kConvert) {
      throw At(Join(path, "updates"), "only a CONVERT rule has updates", true);
    }
    return rule;
  }

  void ReadSelector(const Json& json, const JsonPath& path,
                    PolicyRule& rule) const {
    RequireObject(json, path, "\"selector\"");
    CheckKeys(json, path,
              {"identifier", "match_type", "matchType", "constraints"});
    rule.identifier = TextOr(json, path, "identifier");
    rule.range = json.contains("identifier")
                     ? PlaceOf(source_, Join(path, "identifier"))
                     : PlaceOf(source_, path);
    for (const char* key : {"match_type", "matchType"}) {
      if (!json.contains(key)) continue;
      rule.match = static_cast<PolicyRule::Match>(
          OneOf(json[key], Join(path, key), {"WILDCARD", "EXACT", "REGEX"}));
    }
    const auto list = json.find("constraints");
    if (list == json.end() || list->is_null()) return;
    const JsonPath here = Join(path, "constraints");
    if (!list->is_array()) throw At(here, "\"constraints\" is not a list");
    for (size_t i = 0; i < list->size(); ++i) {
      rule.constraints.push_back(
          ReadConstraint((*list)[i], Join(here, std::to_string(i))));
    }
  }

  PolicyRule::Constraint ReadConstraint(const Json& json,
                                        const JsonPath& path) const {
    RequireObject(json, path, "a constraint");
    CheckKeys(json, path, {"key", "value", "condition"});
    PolicyRule::Constraint out;
    out.key = TextOr(json, path, "key");
    out.value = TextOr(json, path, "value");
    out.range =
        PlaceOf(source_, json.contains("value") ? Join(path, "value") : path);
    if (json.contains("condition")) {
      out.condition = static_cast<PolicyRule::Constraint::Condition>(
          OneOf(json["condition"], Join(path, "condition"),
                {"EQUAL", "NOTEQUAL", "MATCHES"}));
    }
    return out;
  }

  std::shared_ptr<const SourceFile> source_;
};

}  // namespace

SourcePolicy SourcePolicy::Parse(std::shared_ptr<const SourceFile> source) {
  return SourcePolicy(Reader(std::move(source)).Read());
}

}  // namespace imgbuild::lock
