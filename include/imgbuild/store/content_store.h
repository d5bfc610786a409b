// Blobs by digest. A blob has a name only when all of it is there and its
// digest is right; kill -9 at any instant leaves whole blobs and droppable
// temporary files.
#ifndef IMGBUILD_STORE_CONTENT_STORE_H_
#define IMGBUILD_STORE_CONTENT_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::store {

// A write in progress. Destroyed without Commit(): nothing remains, except a
// partial file where BeginResumable() made it.
class Ingest : public Writer {
 public:
  // Bytes that were already there (resumable ingests only).
  virtual uint64_t offset() const = 0;
  // Drops everything written so far.
  virtual void Restart() = 0;
  // Postcondition: the content is stored under its digest (also when somebody
  // else was faster). Throws Error(kRegistry) when digest or size differ from
  // what was expected; then nothing is stored.
  virtual oci::Digest Commit() = 0;
};

class ContentStore {
 public:
  virtual ~ContentStore() = default;
  virtual bool Has(const oci::Digest& digest) const = 0;
  virtual std::optional<uint64_t> Size(const oci::Digest& digest) const = 0;
  // Positioned at 0, read-only; nullopt when absent.
  virtual std::optional<UniqueFd> Open(const oci::Digest& digest) const = 0;
  // A small blob, hashed again on the way: Error(kHost) naming the blob when
  // it is damaged. nullopt when absent.
  virtual std::optional<std::string> Read(const oci::Digest& digest,
                                          size_t cap) const = 0;
  // `size` and `expected` are checked as bytes come in, where known.
  virtual std::unique_ptr<Ingest> Begin(std::optional<oci::Digest> expected,
                                        std::optional<uint64_t> size) = 0;
  // Like Begin, but keeps a partial file for the next attempt, in this process
  // or another, and lets one process at a time fetch a digest: blocks while
  // another one does (a cancelled wait throws kInterrupted). After the wait,
  // check Has() again.
  virtual std::unique_ptr<Ingest> BeginResumable(
      const oci::Digest& expected, uint64_t size,
      const CancelToken* cancel = nullptr) = 0;
  // Begin + Write + Commit in one.
  oci::Digest Put(std::string_view bytes);
  // What somebody noted about a blob for whoever makes the next one like it
  // (layer::MemberIndex). Goes with the blob; a hint: it may be gone at any
  // time, and one that is damaged is gone.
  virtual std::optional<std::string> Note(const oci::Digest& digest) const = 0;
  // REQUIRES: the blob is there. Replaces the one before.
  virtual void SetNote(const oci::Digest& digest, std::string_view bytes) = 0;
  // Idempotent.
  virtual void Remove(const oci::Digest& digest) = 0;
  virtual std::vector<oci::Digest> List() const = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_CONTENT_STORE_H_
