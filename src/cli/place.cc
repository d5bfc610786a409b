#include "cli/place.h"

#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

struct Prefix {
  const char* text;
  Place::Kind kind;
};
constexpr Prefix kPrefixes[] = {
    {"docker://", Place::Kind::kRegistry},
    {"store:", Place::Kind::kStore},
    {"oci-layout://", Place::Kind::kLayout},
    {"oci-layout:", Place::Kind::kLayout},
    {"oci-archive:", Place::Kind::kOciArchive},
    {"oci:", Place::Kind::kLayout},
    {"docker-archive:", Place::Kind::kDockerArchive},
};

// "FILE:NAME:TAG" at the first colon, "FILE@sha256:HEX" at the digest.
void SplitFile(const std::string& text, Place* place) {
  const size_t colon = text.find(':');
  const size_t at = text.rfind('@', colon);
  if (at != std::string::npos) {
    if (auto digest = oci::Digest::TryParse(text.substr(at + 1))) {
      place->path = text.substr(0, at);
      place->digest = std::move(digest);
      return;
    }
  }
  place->path = text.substr(0, colon);
  if (colon != std::string::npos) place->name = text.substr(colon + 1);
}

Error DigestOfACopy() {
  Error error(ErrorCode::kUsage,
              "the digest of a copy is that of what is copied");
  return error.WithHint("give a tag, or --by-digest for none");
}

std::optional<oci::Reference> ArchiveName(
    const Place& place, const std::optional<oci::Reference>& source) {
  if (place.digest) throw DigestOfACopy();
  if (!place.name.empty()) {
    const oci::Reference name = oci::Reference::Parse(place.name);
    if (name.digest()) throw DigestOfACopy();
    return name.WithDefaultTag();
  }
  if (source && source->tag()) return source->WithoutDigest();
  return std::nullopt;
}

}  // namespace

Place ParsePlace(const std::string& word) {
  Place place;
  for (const Prefix& prefix : kPrefixes) {
    if (!word.starts_with(prefix.text)) continue;
    const std::string rest = word.substr(std::string(prefix.text).size());
    place.kind = prefix.kind;
    if (place.kind == Place::Kind::kRegistry ||
        place.kind == Place::Kind::kStore) {
      place.name = rest;
    } else if (place.kind == Place::Kind::kLayout) {
      place.layout = transfer::ParseLayoutName(rest);
    } else {
      SplitFile(rest, &place);
    }
    if (rest.empty()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} names nothing", Quoted(word)));
    }
    return place;
  }
  place.name = word;
  return place;
}

std::unique_ptr<transfer::ImageSource> OpenSource(App& app,
                                                  const Place& place) {
  switch (place.kind) {
    case Place::Kind::kRegistry:
      return transfer::RegistrySource(
          app.client(), oci::Reference::Parse(place.name), app.cancel);
    case Place::Kind::kStore: {
      const store::Match match = RequireImage(app, place.name);
      const auto reference = oci::Reference::TryParse(place.name);
      return transfer::StoreSource(
          app.store(), app.transfer(),
          match.name ? match.name->target : match.image.manifest,
          match.how == store::Match::How::kId ? std::nullopt : reference);
    }
    case Place::Kind::kLayout:
      return transfer::LayoutSource(place.layout);
    case Place::Kind::kDockerArchive:
    case Place::Kind::kOciArchive:
      return transfer::ArchiveSource({place.path, place.name, place.digest},
                                     app.cancel);
  }
  throw Error(ErrorCode::kUsage, "an unknown place");
}

std::unique_ptr<transfer::ImageTarget> OpenTarget(
    App& app, const Place& place, const std::optional<oci::Reference>& source,
    const oci::Platform& platform) {
  switch (place.kind) {
    case Place::Kind::kRegistry: {
      const oci::Reference name = oci::Reference::Parse(place.name);
      if (name.digest()) throw DigestOfACopy();
      return transfer::RegistryTarget(app.client(), name.repository(),
                                      name.tag(), app.cancel);
    }
    case Place::Kind::kStore:
      return transfer::StoreTarget(
          app.store(), oci::Reference::Parse(place.name), platform, app.cancel);
    case Place::Kind::kLayout: {
      if (place.layout.digest) throw DigestOfACopy();
      std::string tag = place.layout.tag.value_or("");
      if (tag.empty() && source) tag = source->tag().value_or("");
      return transfer::LayoutTarget(place.layout.path, tag, app.cancel);
    }
    case Place::Kind::kDockerArchive:
      return transfer::ArchiveTarget(place.path, transfer::ArchiveKind::kDocker,
                                     ArchiveName(place, source), app.pool(),
                                     app.cancel);
    case Place::Kind::kOciArchive:
      return transfer::ArchiveTarget(place.path, transfer::ArchiveKind::kOci,
                                     ArchiveName(place, source), app.pool(),
                                     app.cancel);
  }
  throw Error(ErrorCode::kUsage, "an unknown place");
}

}  // namespace imgbuild::cli
