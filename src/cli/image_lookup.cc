#include "cli/image_lookup.h"

#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {

store::Match RequireImage(App& app, const std::string& word) {
  if (auto match = app.store().images().Find(word)) return std::move(*match);
  Error error(ErrorCode::kUsage, "no such image: " + word);
  std::vector<std::string> names;
  for (const store::NamedImage& image : app.store().images().List()) {
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

}  // namespace imgbuild::cli
