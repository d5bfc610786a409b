#include "store/lookup.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <tuple>

#include "imgbuild/oci/platform.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::store {
namespace {

constexpr size_t kFullId = 64;
constexpr std::string_view kSha256 = "sha256:";

bool IsHex(std::string_view text) {
  return !text.empty() && text.size() <= kFullId &&
         std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// NAME@sha256:PREFIX, shorter than a digest.
bool ParsePrefix(const std::string& text, Lookup* lookup) {
  const size_t at = text.find('@');
  if (at == std::string::npos) return false;
  const std::string_view digest = std::string_view(text).substr(at + 1);
  if (!digest.starts_with(kSha256)) return false;
  const std::string_view hex = digest.substr(kSha256.size());
  if (!IsHex(hex) || hex.size() == kFullId) return false;
  const auto name = oci::Reference::Parse(text.substr(0, at));
  lookup->repository = name.repository();
  lookup->digest_prefix = hex;
  return true;
}

}  // namespace

Lookup ParseLookup(const std::string& text) {
  Lookup lookup;
  lookup.text = text;
  if (IsHex(text) && text.size() == kFullId) {
    // Never a name, whatever there is.
    lookup.id_prefix = text;
    return lookup;
  }
  if (auto digest = oci::Digest::TryParse(text)) {
    lookup.digest = std::move(digest);
    return lookup;
  }
  if (ParsePrefix(text, &lookup)) return lookup;
  std::string_view hex = text;
  if (hex.starts_with(kSha256)) hex.remove_prefix(kSha256.size());
  if (IsHex(hex)) lookup.id_prefix = hex;
  const auto reference = oci::Reference::TryParse(text);
  if (!reference) {
    if (!lookup.id_prefix.empty()) return lookup;
    oci::Reference::Parse(text);  // throws, with the reason
  }
  lookup.repository = reference->repository();
  lookup.digest = reference->digest();
  if (!lookup.digest) lookup.tag = reference->tag().value_or("latest");
  return lookup;
}

size_t ChooseImage(const std::vector<ImageRecord>& candidates) {
  const oci::Platform host = oci::Platform::Host();
  const auto rank = [&host](const ImageRecord& image) {
    return oci::MatchRank(host, image.platform)
        .value_or(std::numeric_limits<int>::max());
  };
  size_t best = 0;
  for (size_t i = 1; i < candidates.size(); ++i) {
    const auto key = [&](const ImageRecord& image) {
      return std::tuple(rank(image), -image.stored_s, image.manifest);
    };
    if (key(candidates[i]) < key(candidates[best])) best = i;
  }
  return best;
}

Error AmbiguousError(const std::string& text,
                     const std::vector<Candidate>& candidates) {
  Error error(ErrorCode::kUsage,
              fmt::format("ambiguous reference {}: it is the beginning of {} "
                          "digests",
                          Quoted(text), candidates.size()));
  for (const Candidate& candidate : candidates) {
    std::vector<std::string> names;
    for (const NameRecord& name : candidate.names) {
      names.push_back(Familiar(name));
    }
    error.WithNote(
        fmt::format("{}  {}", candidate.digest,
                    names.empty() ? std::string("<none>") : Join(names, ", ")));
  }
  return error;
}

std::string Familiar(const NameRecord& name) {
  const std::string repository = name.repository.Familiar();
  return name.tag ? repository + ":" + *name.tag
                  : repository + "@" + name.target.ToString();
}

bool NameLess(const NameRecord& a, const NameRecord& b) {
  // Compared in place: a listing of the whole store sorts with this.
  if (const auto order = a.repository <=> b.repository; order != 0) {
    return order < 0;
  }
  if (a.tag.has_value() != b.tag.has_value()) return a.tag.has_value();
  return std::tie(a.tag, a.target, a.manifest) <
         std::tie(b.tag, b.target, b.manifest);
}

}  // namespace imgbuild::store
