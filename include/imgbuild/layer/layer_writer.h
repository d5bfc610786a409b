// Writes a layer: entries in, tar -> DiffId and compressed blob -> digest out,
// in one pass. The bytes are a function of the entries alone.
//
// Layer format 1
//   tar:   ustar headers, PAX records only where ustar cannot say it (long or
//          non-ASCII names and targets, sizes and ids that do not fit,
//          sub-second times never: times are whole seconds, xattrs as
//          SCHILY.xattr.*), PAX keys sorted, no user or group names, no atime
//          or ctime, directories end in "/", entries strictly ascending by
//          bytes of the path, two zero blocks at the end.
//   cuts:  the stream is cut into members where an entry begins, when
//          hash64(path) mod 2^20 < bytes of the entry in the tar (headers,
//          data and padding), and inside an entry every 1 MiB counted from the
//          entry's first byte. hash64 is FNV-1a with splitmix64's finaliser.
//          Such a cut depends on that entry alone, so a changed file changes
//          its own member only, and any number of threads gives the same
//          bytes. One cut depends on what is before it: a member that has
//          reached 8 MiB ends where the next entry begins (one in 3,000
//          members), so that memory has a bound.
//   gzip:  one member a cut, libdeflate level kGzipLevel, mtime 0, OS 255.
//   zstd:  one frame a cut, level kZstdLevel, content size and checksum off.
// The encoders are linked statically; golden tests pin the bytes.
#ifndef IMGBUILD_LAYER_LAYER_WRITER_H_
#define IMGBUILD_LAYER_LAYER_WRITER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "imgbuild/layer/entry.h"
#include "imgbuild/layer/member_index.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::layer {

inline constexpr int kLayerFormat = 1;
inline constexpr int kGzipLevel = 3;
inline constexpr int kZstdLevel = 3;
// What makes the bytes of gzip layers: "libdeflate 1.14".
std::string EncoderVersion();

// A member of options.previous that was taken over cannot be read: the layer
// can be written without it.
class TakenDamaged : public Error {
 public:
  TakenDamaged();
};

struct WrittenLayer {
  oci::DiffId diff_id;
  // Of the compressed blob; nullopt without hash_blob.
  std::optional<oci::Digest> digest;
  uint64_t size = 0;  // of the compressed blob
  uint64_t tar_size = 0;
};

// None of these changes a byte of what is written.
struct LayerWriterOptions {
  oci::Compression compression = oci::Compression::kGzip;
  // Members that this earlier blob (of the same compression) has are copied
  // from it.
  std::shared_ptr<const ReusableBlob> previous;
  // Makes index() possible.
  bool keep_index = false;
  // False where whoever takes the blob's bytes hashes them anyway.
  bool hash_blob = true;
  // Gets the tar in order, from the thread that calls Add or Finish.
  Writer* tar = nullptr;
};

class LayerWriter {
 public:
  // Compressed bytes go to `blob`, in order, from the thread that calls Add or
  // Finish. `pool` compresses; at most a few members per thread are in flight,
  // so memory is flat. Both must outlive the writer.
  LayerWriter(Writer& blob, ThreadPool& pool,
              oci::Compression compression = oci::Compression::kGzip)
      : LayerWriter(
            blob, pool,
            LayerWriterOptions{compression, nullptr, false, true, nullptr}) {}
  LayerWriter(Writer& blob, ThreadPool& pool, LayerWriterOptions options);
  ~LayerWriter();
  // REQUIRES: entry.path is greater than the one before (programming error
  // otherwise: throws). `content` has exactly entry.size bytes for a file
  // (Error(kHost) "changed while it was read" otherwise), is ignored for
  // everything else and may be null there.
  void Add(const Entry& entry, Reader* content);
  // Whether recipes are of any use here.
  bool wants_recipes() const;
  // Says what the member that the next entry begins is made of: `recipe` is
  // MemberRecipe's of all entries that will be in it. REQUIRES: members are cut
  // in front of the next entry and behind the last of them, where another entry
  // follows, and all of them are whole().
  void NameMember(const std::string& recipe);
  // Whether options.previous has that member. TakeMember() then takes it over:
  // its `entries` entries, of which `last_path` is the last, count as added.
  // Add() and Finish() may throw TakenDamaged from now on. REQUIRES: as
  // NameMember().
  bool HasMember(const std::string& recipe) const;
  void TakeMember(const std::string& recipe, uint64_t entries,
                  const std::string& last_path);
  // How many entries were added.
  uint64_t entries() const;
  WrittenLayer Finish();
  // Once. REQUIRES: Finish() was called, with keep_index and a compression.
  MemberIndex index();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_LAYER_WRITER_H_
