#include "cli/image_lookup.h"

#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {

std::optional<store::Match> FindImage(App& app, const std::string& word) {
  try {
    return app.store().images().Find(word);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUsage) throw;
    Error failed(ErrorCode::kFailed, error.message());
    for (const std::string& note : error.notes()) failed.WithNote(note);
    if (!error.hint().empty()) failed.WithHint(error.hint());
    throw failed;
  }
}

store::Match RequireImage(App& app, const std::string& word) {
  if (auto match = FindImage(app, word)) return std::move(*match);
  Error error(ErrorCode::kFailed, "no such image: " + word);
  std::vector<std::string> names;
  for (const store::NamedImage& image :
       app.store().images().List(store::ListDetail::kWithoutLayers)) {
    for (const store::NameRecord& name : image.names) {
      if (!name.tag) continue;
      names.push_back(name.repository.Familiar() + ":" + *name.tag);
    }
  }
  if (const auto near = Suggest(word, names)) {
    error.WithHint(fmt::format("did you mean {}?", *near));
  }
  throw error;
}

store::ImageRecord OfPlatform(App& app, const store::Match& match,
                              const std::string& word,
                              const std::string& platform) {
  if (platform.empty()) return match.image;
  const oci::Platform wanted = oci::Platform::Parse(platform);
  const oci::Digest target =
      match.name ? match.name->target : match.image.manifest;
  auto bytes = app.store().content().Read(target, oci::kMaxManifestBytes);
  std::optional<store::ImageRecord> found;
  if (bytes) {
    const oci::Document document = oci::ParseDocument(std::move(*bytes), "");
    if (document.index) {
      for (const oci::Descriptor& entry : document.index->manifests) {
        if (found || !entry.platform || *entry.platform != wanted) continue;
        found = app.store().images().FindManifest(entry.digest);
      }
    }
  }
  if (!found && match.image.platform == wanted) found = match.image;
  if (found) return *found;
  throw Error(
      ErrorCode::kFailed,
      fmt::format("image {} is here, but not for {}", word, wanted.ToString()))
      .WithHint(fmt::format("imgbuild pull --platform {} {}", wanted.ToString(),
                            word));
}

LoadedImage LoadImage(App& app, const store::ImageRecord& record) {
  const auto read = [&](const oci::Digest& digest, size_t cap) {
    auto bytes = app.store().content().Read(digest, cap);
    if (bytes) return std::move(*bytes);
    throw Error(ErrorCode::kHost,
                fmt::format("blob {} of image {} is gone from the store",
                            digest.ToString(), record.id.Short()))
        .WithHint("pull or build the image again");
  };
  LoadedImage image{record,
                    read(record.manifest, oci::kMaxManifestBytes),
                    read(record.id.digest(), oci::kMaxConfigBytes),
                    {}};
  image.config = oci::ParseImageConfig(image.config_bytes);
  return image;
}

int WordStatus(const Error& error) {
  return error.code() == ErrorCode::kUsage ? 1 : static_cast<int>(error.code());
}

int ForEachWord(const std::vector<std::string>& words,
                const std::function<void(const std::string&)>& each) {
  int status = 0;
  for (const std::string& word : words) {
    try {
      each(word);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInterrupted) throw;
      std::fflush(stdout);
      std::fputs(error.Render().c_str(), stderr);
      status = WordStatus(error);
    }
  }
  return status;
}

}  // namespace imgbuild::cli
