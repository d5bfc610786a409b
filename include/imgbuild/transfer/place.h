// Places that hold images: a repository of a registry, the store, an OCI
// layout, an archive. What is read from one can be written to any other, byte
// for byte.
#ifndef IMGBUILD_TRANSFER_PLACE_H_
#define IMGBUILD_TRANSFER_PLACE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/registry/client.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/oci_layout.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::transfer {

// One image or index in a place. Thread-safe. Documents are verified; blobs
// are not: whoever keeps them checks the digest.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  // As people write it, for messages.
  virtual std::string name() const = 0;
  // The name of the image in the place, where it has one.
  virtual std::optional<oci::Reference> reference() const = 0;
  // What the name stands for. Throws Error.
  virtual oci::Document Root() = 0;
  // A part of an index. Throws Error.
  virtual oci::Document Load(const oci::Digest& digest) = 0;
  // Nothing is opened or asked before ReadFrom(), whose result does not need
  // the blob.
  virtual std::unique_ptr<registry::BlobSource> Blob(
      const oci::Descriptor& blob) = 0;
  // Repositories where a registry may find the blob by itself.
  virtual std::vector<oci::Repository> Holders(const oci::Digest& blob);
  // What refers to it: signatures, provenance.
  virtual std::vector<oci::Descriptor> Referrers(const oci::Digest& subject);
};

class ImageTarget {
 public:
  virtual ~ImageTarget() = default;
  // True: it wants blobs and documents one at a time, ascending by digest.
  virtual bool in_order() const { return false; }
  // True: the document is there, and so is everything that it names.
  virtual bool Has(const oci::Document& document) = 0;
  // Called from several threads unless in_order().
  virtual registry::PushOutcome PutBlob(
      const oci::Descriptor& blob, registry::BlobSource& bytes,
      const std::vector<oci::Repository>& holders) = 0;
  // Under its digest; what it names has been put.
  virtual void PutDocument(const oci::Document& document) = 0;
  // The last thing: puts `root`, whose parts are there (in_order(): it too),
  // and from now on the place's name stands for it.
  virtual void Name(const oci::Document& root) = 0;
};

// --- a registry. All arguments of these functions must outlive the result.

std::unique_ptr<ImageSource> RegistrySource(registry::Client& client,
                                            const oci::Reference& reference,
                                            const CancelToken& cancel);
// Without a tag, Name() puts the root under its digest only.
std::unique_ptr<ImageTarget> RegistryTarget(registry::Client& client,
                                            const oci::Repository& repository,
                                            std::optional<std::string> tag,
                                            const CancelToken& cancel);

// --- the store. A blob that it never fetched is fetched when it is read.

std::unique_ptr<ImageSource> StoreSource(
    store::Store& store, Transfer& transfer, const oci::Digest& target,
    std::optional<oci::Reference> reference);
// The image for `platform` (the first, when there is none for it) is what the
// name runs. Nothing is unpacked.
std::unique_ptr<ImageTarget> StoreTarget(store::Store& store,
                                         const oci::Reference& name,
                                         const oci::Platform& platform,
                                         const CancelToken& cancel);

// --- an OCI layout: a directory. Two programs may write to one at a time.

// Links in the layout are followed: build tools make layouts of links.
std::unique_ptr<ImageSource> LayoutSource(const LayoutName& name);
// The directory is made if need be; Error(kUsage) when it has other things.
// With an empty tag, the image is found by digest only.
std::unique_ptr<ImageTarget> LayoutTarget(const std::string& directory,
                                          const std::string& tag,
                                          const CancelToken& cancel);

// --- an archive: a tar that holds an OCI layout and, for `docker load`,
// Docker's manifest.json.

enum class ArchiveKind {
  kOci,
  kDocker,  // one image: Name() refuses an index
};
// An image of an archive: by name (a reference, or the tag that is all of its
// name there), by digest, else the only one.
struct ArchiveName {
  std::string path;
  std::string name;
  std::optional<oci::Digest> digest;
};
// Either kind of archive, plain or compressed (then $TMPDIR takes it whole).
// With an OCI layout in it the digests are that one's; what has only Docker's
// manifest.json gets an OCI manifest, the same each time. Throws Error(kUsage):
// no archive, no such image; Error(kRegistry): damaged or unsafe contents.
std::unique_ptr<ImageSource> ArchiveSource(const ArchiveName& name,
                                           const CancelToken& cancel);
// The file appears when Name() is done, whole.
std::unique_ptr<ImageTarget> ArchiveTarget(const std::string& file,
                                           ArchiveKind kind,
                                           std::optional<oci::Reference> name,
                                           ThreadPool& pool,
                                           const CancelToken& cancel);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_PLACE_H_
