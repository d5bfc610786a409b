// Copies an image from one place to another: the exact bytes, so that the
// digest stays. Streams: no blob is held in memory or in a file on the way.
#ifndef IMGBUILD_TRANSFER_COPY_H_
#define IMGBUILD_TRANSFER_COPY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/transfer/place.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::transfer {

struct CopyOptions {
  unsigned parallel_blobs = 4;
  // The image of an index for this platform alone.
  std::optional<oci::Platform> platform;
  // Signatures and the like, of everything that is copied.
  bool referrers = false;
  // Ask for each blob even where the target says that it has the document:
  // for those who list them.
  bool every_blob = false;
  // All blobs, before the first is asked for.
  std::function<void(const std::vector<oci::Descriptor>& blobs)> on_plan;
  // Called from several threads, one call at a time; blobs in no order.
  std::function<void(const oci::Descriptor& blob,
                     const registry::PushOutcome& outcome)>
      on_blob;
};

struct CopyResult {
  oci::Digest digest;
  uint64_t size = 0;  // of the manifest or index
};

// Blobs first, in parallel: what is there is not sent, what another repository
// of the same registry has is mounted. Then the manifests, then the index, the
// name last: a copy that breaks moves no name. Foreign layers stay where they
// are. Throws Error.
CopyResult Copy(ImageSource& source, ImageTarget& target,
                const CopyOptions& options, const CancelToken& cancel);

// The images of `document`, without a name: everything below an index, or the
// manifest and its blobs.
void CopyImages(ImageSource& source, ImageTarget& target,
                const oci::Document& document, const CopyOptions& options,
                const CancelToken& cancel);

// From an index, through indexes in it, to the image for `platform`; a manifest
// is itself. Throws Error(kRegistry) that lists what there is.
oci::Document ImageInIndex(ImageSource& source, oci::Document document,
                           const oci::Platform& platform);
// The same; also throws when an image that no index speaks for is for something
// else.
oci::Document ChooseImage(ImageSource& source, oci::Document document,
                          const oci::Platform& platform);

// The config of an image; nullopt for an artifact.
std::optional<oci::ImageConfig> ReadConfig(ImageSource& source,
                                           const oci::Manifest& manifest);
// What that says that the image is for.
std::optional<oci::Platform> PlatformOf(ImageSource& source,
                                        const oci::Manifest& manifest);

// One thing that goes into a new index.
struct IndexPart {
  ImageSource* source;
  oci::Document document;  // its root
};
// An index of the images of all parts: indexes are opened (theirs too), what
// an entry does not say about its platform is read from its config, the same
// image twice counts once. Docker's list when everything in it is Docker's and
// there are no annotations, else an OCI index. Throws Error(kUsage) for two
// images of one platform.
oci::Document MakeIndex(const std::vector<IndexPart>& parts,
                        const std::map<std::string, std::string>& annotations);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_COPY_H_
