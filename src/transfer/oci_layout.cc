#include "imgbuild/transfer/oci_layout.h"

#include <fmt/format.h>

#include "imgbuild/transfer/copy.h"
#include "imgbuild/transfer/place.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::transfer {

LayoutName ParseLayoutName(std::string_view text) {
  LayoutName name;
  const size_t at = text.find('@');
  if (at != std::string_view::npos) {
    name.digest = oci::Digest::Parse(text.substr(at + 1));
    text = text.substr(0, at);
  }
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos &&
      text.find('/', colon) == std::string_view::npos) {
    name.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!oci::IsValidTag(*name.tag)) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("invalid tag {} of an OCI layout", Quoted(*name.tag)));
    }
  }
  name.path = text;
  return name;
}

plan::ResolvedImage ImportLayout(store::Store& store, const LayoutName& name,
                                 const oci::Platform& platform,
                                 const CancelToken& cancel) {
  // A name that no registry has: nothing is ever fetched by it.
  const auto nowhere = oci::Reference::Parse("localhost/oci-layout");
  const auto source = LayoutSource(name);
  oci::Document document = source->Root();
  const oci::Digest target = document.digest;
  document = ImageInIndex(*source, std::move(document), platform);
  const auto contents = StoreTarget(store, nowhere, platform, cancel);
  CopyImages(*source, *contents, document, {}, cancel);
  const oci::Manifest& manifest = *document.manifest;
  const auto config = ReadConfig(*source, manifest);
  if (!config || config->diff_ids.size() != manifest.layers.size()) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("the OCI layout {} is damaged: {} and its config "
                            "disagree",
                            Quoted(name.path), document.digest.ToString()));
  }
  return {nowhere.WithDigest(target), target,  document.digest,
          manifest.config.digest,     *config, manifest.layers};
}

}  // namespace imgbuild::transfer
