// What a word of the command line may mean, before anything is looked up:
// cli.md B.8. Pure, so that every implementation of ImageStore reads words the
// same way.
#ifndef IMGBUILD_SRC_STORE_LOOKUP_H_
#define IMGBUILD_SRC_STORE_LOOKUP_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/store/image_store.h"
#include "imgbuild/util/error.h"

namespace imgbuild::store {

// Tried in the order of the fields; several may be set ("cafe" is a name and
// the beginning of an id).
struct Lookup {
  std::string text;
  // A digest, known under `repository` if that is set.
  std::optional<oci::Digest> digest;
  // The beginning of a digest, hex; only with `repository`.
  std::string digest_prefix;
  std::optional<oci::Repository> repository;
  std::optional<std::string> tag;  // with `repository`, without a digest
  // The beginning of an image id, hex.
  std::string id_prefix;
};

// Throws Error(kUsage) for what is no reference at all.
Lookup ParseLookup(const std::string& text);

// Of several images behind one digest (an index pulled for two platforms, one
// config in two manifests): the one this host would run, then the one that
// came last. REQUIRES: not empty.
size_t ChooseImage(const std::vector<ImageRecord>& candidates);

// Error(kUsage) that lists them.
struct Candidate {
  std::string digest;
  std::vector<NameRecord> names;
};
Error AmbiguousError(const std::string& text,
                     const std::vector<Candidate>& candidates);

// "alpine:3.20", "alpine@sha256:…".
std::string Familiar(const NameRecord& name);

// The order of names: by repository, tags before digest links, then by tag,
// target and manifest.
bool NameLess(const NameRecord& a, const NameRecord& b);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_LOOKUP_H_
