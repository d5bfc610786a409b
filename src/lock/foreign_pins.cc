#include "lock/foreign_pins.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/strings.h"

namespace imgbuild::lock {
namespace {

bool IsCommit(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string Shown(const ForeignPin& pin) {
  return pin.digest ? pin.digest->ToString() : pin.commit;
}

bool HasPattern(const PolicyRule& rule) {
  if (rule.match == PolicyRule::Match::kExact) return false;
  return rule.match == PolicyRule::Match::kRegex ||
         rule.identifier.find('*') != std::string::npos ||
         rule.to.find('$') != std::string::npos;
}

std::optional<ForeignPin> PinOf(const PolicyRule& rule) {
  if (rule.action != PolicyRule::Action::kConvert || HasPattern(rule) ||
      !rule.constraints.empty()) {
    return std::nullopt;
  }
  ForeignPin pin;
  pin.range = rule.range;
  if (const auto image = ImageOfIdentifier(rule.identifier)) {
    const auto to = ImageOfIdentifier(rule.to);
    if (image->digest() || !to || !to->digest() || !rule.attrs.empty() ||
        to->repository() != image->repository()) {
      return std::nullopt;
    }
    pin.image = image->WithDefaultTag();
    pin.name = pin.image->ToString();
    pin.digest = to->digest();
    return pin;
  }
  const auto checksum = rule.attrs.find("http.checksum");
  if (rule.identifier.starts_with("http") && checksum != rule.attrs.end() &&
      rule.attrs.size() == 1 &&
      (rule.to.empty() || rule.to == rule.identifier)) {
    pin.kind = Kind::kUrl;
    pin.name = rule.identifier;
    pin.digest = oci::Digest::TryParse(checksum->second);
    if (pin.digest) return pin;
  }
  if (rule.identifier.starts_with("git://") && rule.attrs.empty()) {
    const size_t hash = rule.to.find('#');
    const std::string commit =
        hash == std::string::npos ? "" : rule.to.substr(hash + 1);
    if (IsCommit(commit) &&
        rule.to.substr(0, hash) ==
            rule.identifier.substr(0, rule.identifier.find('#'))) {
      pin.kind = Kind::kGit;
      pin.name = rule.identifier;
      pin.commit = commit;
      return pin;
    }
  }
  return std::nullopt;
}

}  // namespace

Error PinCollector::At(const JsonPath& path, std::string message) const {
  Error error(ErrorCode::kDockerfile, std::move(message));
  error.At(PlaceOf(source_, path));
  return error;
}

void PinCollector::AddImage(const std::string& name, const std::string& digest,
                            const JsonPath& path) {
  ForeignPin pin;
  try {
    const oci::Reference image = oci::Reference::Parse(name);
    // A name that had a digest already keeps its tag here.
    pin.image = image.WithoutDigest().WithDefaultTag();
    pin.digest = oci::Digest::Parse(digest);
  } catch (const Error& error) {
    throw At(path, error.message()).WithHint(error.hint());
  }
  pin.name = pin.image->ToString();
  pin.range = PlaceOf(source_, path);
  Add(std::move(pin));
}

void PinCollector::AddUrl(const std::string& url, const std::string& digest,
                          const JsonPath& path) {
  ForeignPin pin;
  pin.kind = Kind::kUrl;
  pin.name = url;
  try {
    pin.digest = oci::Digest::Parse(digest);
  } catch (const Error& error) {
    throw At(path, error.message()).WithHint(error.hint());
  }
  pin.range = PlaceOf(source_, path);
  Add(std::move(pin));
}

void PinCollector::AddGit(const std::string& name, const std::string& commit,
                          const JsonPath& path) {
  if (!IsCommit(commit)) {
    throw At(path, fmt::format("{} is no full commit", Quoted(commit)));
  }
  ForeignPin pin;
  pin.kind = Kind::kGit;
  pin.name = name;
  pin.commit = commit;
  pin.range = PlaceOf(source_, path);
  Add(std::move(pin));
}

void PinCollector::Add(ForeignPin pin) {
  const auto [it, added] =
      by_name_.try_emplace({pin.kind, pin.name}, pins_.pins.size());
  if (added) {
    pins_.pins.push_back(std::move(pin));
    return;
  }
  const ForeignPin& first = pins_.pins[it->second];
  if (Shown(first) == Shown(pin)) return;
  Error error(ErrorCode::kDockerfile,
              fmt::format("{} has two digests: {} and {}", pin.name,
                          Shown(first), Shown(pin)));
  error.At(pin.range);
  if (first.range) {
    error.While(fmt::format("the other one is at {}", first.range.ToString()));
  }
  throw error;
}

void CollectPolicy(const SourcePolicy& policy, PinCollector& out) {
  for (const PolicyRule& rule : policy.rules()) {
    if (auto pin = PinOf(rule)) {
      out.Add(std::move(*pin));
    } else {
      out.Skip(fmt::format("{}: the rule is no pin", rule.identifier));
    }
  }
}

ForeignPins ImportInline(const std::vector<UsedName>& used) {
  PinCollector out(nullptr);
  for (const UsedName& name : used) {
    if (name.kind != Kind::kImage || !name.image || !name.image->digest()) {
      continue;
    }
    if (!name.image->tag()) {
      out.Skip(fmt::format("{}: it has no tag", name.image->Familiar()));
      continue;
    }
    ForeignPin pin;
    pin.image = name.image->WithoutDigest();
    pin.name = pin.image->ToString();
    pin.digest = name.image->digest();
    pin.range = name.range;
    out.Add(std::move(pin));
  }
  return out.Take();
}

}  // namespace imgbuild::lock
