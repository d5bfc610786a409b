// Other tools' pins, read and written. Pure: texts in, values out; what the
// registry must add (sizes, platforms) is added above.
#ifndef IMGBUILD_LOCK_INTERCHANGE_H_
#define IMGBUILD_LOCK_INTERCHANGE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/util/source.h"

namespace imgbuild::lock {

inline constexpr size_t kMaxImportBytes = 64u << 20;

// One name and what it stands for, as somebody else wrote it down.
struct ForeignPin {
  Kind kind = Kind::kImage;
  // The key that a lock would give it: KeyOf() of an image, the URL, or
  // remote#ref.
  std::string name;
  std::optional<oci::Reference> image;  // kImage: with a tag, without a digest
  std::optional<oci::Digest> digest;    // kImage, kUrl
  std::string commit;                   // kGit
  SourceRange range;
};

struct ForeignPins {
  // In the order of the file, each name once.
  std::vector<ForeignPin> pins;
  // What was passed over and why, one line each.
  std::vector<std::string> skipped;
};

enum class ForeignFormat {
  kDockerLock,    // docker-lock.json
  kSourcePolicy,  // BuildKit's
  kProvenance,    // SLSA v0.2 or v1: in-toto statement, predicate, or the
                  // file of `docker buildx build --metadata-file`, or any
                  // of these in a DSSE envelope
};
std::string_view ToString(ForeignFormat format);

// Reads `source` as what it looks like; `format` tells which it is. Throws
// Error(kDockerfile) at the place: no JSON, none of the formats, a malformed
// digest, one name with two digests.
//
// docker-lock: only the images under `dockerfiles`; with `dockerfile` those of
// that path alone ("" takes all). Rules of a source policy that are no plain
// pin (wildcards, DENY, other targets) and materials without a digest are
// passed over with a word.
ForeignPins Import(std::shared_ptr<const SourceFile> source,
                   std::string_view dockerfile, ForeignFormat* format);

// The digests that stand in the Dockerfile itself, behind a tag.
ForeignPins ImportInline(const std::vector<UsedName>& used);

// A source policy that makes every name of the lock what it is pinned to:
// for BuildKit, buildah and nerdctl. The same lock is the same bytes. Names
// that are nothing but a digest need no rule.
std::string ExportSourcePolicy(const Lockfile& lockfile);

// "git://host/path#ref" of a lock's "remote#ref", as BuildKit spells it.
std::string GitIdentifier(std::string_view name);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_INTERCHANGE_H_
