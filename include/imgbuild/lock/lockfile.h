// Dockerfile.lock: every name outside the Dockerfile that a build of it can
// reach, mapped to a digest. Plain values, the text they are read from and the
// text they become. Pure: no I/O, no clock, no network; names are resolved
// above this module and arrive here as values.
//
// The file is TOML (src/lock/README.md has the grammar and the version
// history). The same lock is the same bytes: blocks sorted by kind and name,
// keys in a fixed order, LF, a newline at the end, nothing that a clock
// decided. What a newer minor release wrote and we do not know is kept.
#ifndef IMGBUILD_LOCK_LOCKFILE_H_
#define IMGBUILD_LOCK_LOCKFILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/platform.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/util/source.h"

namespace imgbuild::lock {

inline constexpr int kLockVersion = 1;
inline constexpr size_t kMaxLockBytes = 16u << 20;
// Earlier digests that an entry remembers.
inline constexpr size_t kMaxPrevious = 5;
// The build arguments' defaults, among the variants of an entry.
inline constexpr char kDefaultVariant[] = "default";

// Fields that we do not know, as TOML text, to be written back as they were.
// Keys are sorted.
using UnknownFields = std::map<std::string, std::string>;

// The image behind a name on one platform.
struct PlatformPin {
  oci::Digest manifest;
  uint64_t size = 0;  // of the manifest, bytes
  oci::Digest config;
  // What the config says it is for, where a machine of the key's platform
  // cannot run it (data that is copied out of it, mostly); "" otherwise.
  std::string actual;
  std::string created;  // the config's `created`, "" when it has none
  SourceRange range;    // of the manifest's value in the lock; not written
  UnknownFields unknown;
};

// [[image]]: FROM, COPY --from, RUN --mount from, an ONBUILD trigger's, a named
// context's. Keyed by `name`, never by a place in the Dockerfile.
struct ImagePin {
  // The key: canonical, with a tag, or with a digest when the Dockerfile has
  // nothing else (docker.io/library/alpine:3.20, host/r@sha256:…).
  oci::Reference name;
  std::vector<std::string> written;  // as the Dockerfile has it; sorted
  oci::Digest digest;                // what the name stands for
  std::string media_type;            // of an index or a manifest
  uint64_t size = 0;
  // The ARGs that made the name, with the values that made it.
  std::map<std::string, std::string> args;
  // Who reaches it: kDefaultVariant, names of [[variant]]s; sorted. Empty
  // where the default is the only one (nothing is written then).
  std::vector<std::string> variants;
  std::vector<oci::Digest> previous;  // newest first, at most kMaxPrevious
  // By Platform::ToString().
  std::map<std::string, PlatformPin> platforms;
  SourceRange range;  // of the digest's value in the lock; not written
  UnknownFields unknown;
  // Asked for by its name (`lock add`), for what runs or pulls it: it is never
  // unused, whatever the Dockerfile has.
  bool added = false;
};

// [[url]]: ADD http(s)://…; keyed by the URL as evaluated, without user info.
struct UrlPin {
  std::string name;
  oci::Digest checksum;
  uint64_t size = 0;
  std::map<std::string, std::string> args;
  std::vector<std::string> variants;
  std::vector<oci::Digest> previous;
  SourceRange range;
  UnknownFields unknown;
};

// [[git]]: ADD of a repository, a git context; keyed by remote#ref.
struct GitPin {
  std::string name;
  std::string commit;  // the full name, 40 or 64 lower-case hex digits
  std::map<std::string, std::string> args;
  std::vector<std::string> variants;
  std::vector<std::string> previous;
  SourceRange range;
  UnknownFields unknown;
};

// [[frontend]]: `# syntax=`. Recorded for other builders; ours fetches none, so
// no build of ours needs it.
struct FrontendPin {
  oci::Reference name;
  oci::Digest digest;
  std::string media_type;
  uint64_t size = 0;
  SourceRange range;
  UnknownFields unknown;
};

// [[variant]]: a set of build arguments that the names were resolved for too.
struct Variant {
  std::string name;
  std::map<std::string, std::string> args;
  SourceRange range;
  UnknownFields unknown;
};

// [[output]]: the manifest that a build is expected to make.
struct ExpectedOutput {
  std::string target;    // stage; "" is the last
  std::string platform;  // Platform::ToString()
  std::string variant;   // "" is the default
  oci::Digest manifest;
  SourceRange range;
  UnknownFields unknown;
};

// [settings]: what decides digests besides names and contents.
struct Settings {
  int layer_format = 0;  // 0: not recorded
  std::string encoder;   // "libdeflate 1.14"
  std::optional<int64_t> source_date_epoch;
  std::vector<std::string> platforms;  // that names are resolved for; sorted
  // Named contexts that are images: NAME -> docker-image://REF.
  std::map<std::string, std::string> contexts;
  UnknownFields unknown;
};

struct Lockfile {
  int version = kLockVersion;
  Settings settings;
  // Each sorted by name.
  std::vector<Variant> variants;
  std::vector<ImagePin> images;
  std::vector<UrlPin> urls;
  std::vector<GitPin> gits;
  std::vector<FrontendPin> frontends;
  std::vector<ExpectedOutput> outputs;  // by (target, platform, variant)
  // The lines of [policy] and its subtables, headers and comments included,
  // for policy.h; "" without one; written back as they are, at the end.
  std::string policy;
  SourceRange policy_range;
  UnknownFields unknown;
  // What it was read from; null for a lock made from nothing.
  std::shared_ptr<const SourceFile> source;

  // By key: the reference without a digest when it has a tag; a default tag is
  // added. nullptr when the lock has none.
  const ImagePin* FindImage(const oci::Reference& reference) const;
  const UrlPin* FindUrl(std::string_view url) const;
  const GitPin* FindGit(std::string_view name) const;
};

// The key of a reference: repository:tag, or repository@digest without a tag.
oci::Reference KeyOf(const oci::Reference& reference);

// Throws Error(kDockerfile) at the line and column of the lock: not TOML, cut
// off, merge conflict markers, a version we do not know ("made by a newer
// imgbuild"), a missing or malformed field, an upper-case digest, a name twice,
// a platform that is none. Never throws anything else.
Lockfile Parse(std::shared_ptr<const SourceFile> source);

// The text. Parse(Format(x)) is x; Format(Parse(t)) is t for every t that
// Format made.
std::string Format(const Lockfile& lockfile);

// The JSON schema of the file, for `imgbuild lock --schema`.
std::string JsonSchema();

// Dockerfile -> Dockerfile.lock, dir/X.Dockerfile -> dir/X.Dockerfile.lock.
std::string LockPathOf(std::string_view dockerfile_path);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_LOCKFILE_H_
