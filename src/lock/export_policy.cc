// The lock as BuildKit's source policy.
#include "imgbuild/lock/interchange.h"
#include "imgbuild/lock/source_policy.h"

#include <nlohmann/json.hpp>

namespace imgbuild::lock {
namespace {

using Json = nlohmann::ordered_json;

// No match_type: a wildcard without '*' is the name itself, and it is the one
// kind of rule that all readers of the format take alike.
Json ImageRule(const oci::Reference& name, const oci::Digest& digest) {
  return {
      {"action", "CONVERT"},
      {"selector", {{"identifier", PolicyIdentifier(name)}}},
      {"updates", {{"identifier", PolicyIdentifier(name.WithDigest(digest))}}}};
}

// A URL may have '*' and '$' in it, which are no wildcards here.
Json ExactRule(const std::string& identifier, Json updates) {
  return {{"action", "CONVERT"},
          {"selector", {{"identifier", identifier}, {"match_type", "EXACT"}}},
          {"updates", std::move(updates)}};
}

}  // namespace

std::string GitIdentifier(std::string_view name) {
  std::string text(name);
  if (const size_t scheme = text.find("://"); scheme != std::string::npos) {
    text.erase(0, scheme + 3);
  } else if (const size_t colon = text.find(':');
             colon != std::string::npos && colon < text.find('/')) {
    text[colon] = '/';  // git@host:path
  }
  const size_t at = text.find('@');
  if (at < text.find('/')) text.erase(0, at + 1);
  return "git://" + text;
}

std::string ExportSourcePolicy(const Lockfile& lockfile) {
  Json rules = Json::array();
  for (const ImagePin& pin : lockfile.images) {
    if (pin.name.digest()) continue;
    rules.push_back(ImageRule(pin.name, pin.digest));
  }
  for (const FrontendPin& pin : lockfile.frontends) {
    if (pin.name.digest() || lockfile.FindImage(pin.name) != nullptr) continue;
    rules.push_back(ImageRule(pin.name, pin.digest));
  }
  for (const UrlPin& pin : lockfile.urls) {
    rules.push_back(ExactRule(
        pin.name, {{"attrs", {{"http.checksum", pin.checksum.ToString()}}}}));
  }
  for (const GitPin& pin : lockfile.gits) {
    const std::string from = GitIdentifier(pin.name);
    const std::string to = from.substr(0, from.find('#')) + "#" + pin.commit;
    if (from == to) continue;
    rules.push_back(ExactRule(from, {{"identifier", to}}));
    if (from.find_first_of("*$") != std::string::npos) continue;
    // The same with a subdirectory behind the ref.
    const std::string any =
        from + (from.find('#') == std::string::npos ? "#:*" : ":*");
    rules.push_back({{"action", "CONVERT"},
                     {"selector", {{"identifier", any}}},
                     {"updates", {{"identifier", to + ":${1}"}}}});
  }
  return Json({{"version", 1}, {"rules", std::move(rules)}}).dump(2) + "\n";
}

}  // namespace imgbuild::lock
