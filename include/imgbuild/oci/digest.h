// Content addresses. A Digest names exact bytes; the strong types around it
// (DiffId, ChainId, ImageId) keep the four things that are all "sha256:…"
// apart. None of them can exist without having been parsed or computed.
#ifndef IMGBUILD_OCI_DIGEST_H_
#define IMGBUILD_OCI_DIGEST_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/io.h"

namespace imgbuild::oci {

enum class DigestAlgorithm { kSha256, kSha512 };
std::string_view ToString(DigestAlgorithm algorithm);

// "algorithm:lower-case hex" of the right length (image-spec descriptor.md).
class Digest {
 public:
  // Throws Error(kUsage) with the reason: unknown algorithm, upper case, wrong
  // length. Callers that know a place attach it.
  static Digest Parse(std::string_view text);
  static std::optional<Digest> TryParse(std::string_view text);
  static Digest OfBytes(std::string_view bytes,
                        DigestAlgorithm algorithm = DigestAlgorithm::kSha256);
  // From a raw binary hash of the algorithm's size.
  static Digest FromRaw(DigestAlgorithm algorithm, std::string_view raw);

  DigestAlgorithm algorithm() const { return algorithm_; }
  const std::string& hex() const { return hex_; }
  std::string ToString() const;
  std::string Short() const { return hex_.substr(0, 12); }
  auto operator<=>(const Digest&) const = default;

 private:
  Digest(DigestAlgorithm algorithm, std::string hex)
      : algorithm_(algorithm), hex_(std::move(hex)) {}
  DigestAlgorithm algorithm_;
  std::string hex_;
};

// A Digest with a role. Tag types only.
template <typename Tag>
class TypedDigest {
 public:
  explicit TypedDigest(Digest digest) : digest_(std::move(digest)) {}
  static TypedDigest Parse(std::string_view text) {
    return TypedDigest(Digest::Parse(text));
  }
  const Digest& digest() const { return digest_; }
  const std::string& hex() const { return digest_.hex(); }
  std::string ToString() const { return digest_.ToString(); }
  std::string Short() const { return digest_.Short(); }
  auto operator<=>(const TypedDigest&) const = default;

 private:
  Digest digest_;
};

// Of a layer's uncompressed tar stream.
using DiffId = TypedDigest<struct DiffIdTag>;
// Of a stack of DiffIds (image-spec config.md): C1 = d1, Cn = sha256(Cn-1 " "
// dn).
using ChainId = TypedDigest<struct ChainIdTag>;
// Of the config JSON: what `images` shows as IMAGE ID.
using ImageId = TypedDigest<struct ImageIdTag>;

// nullopt for no layers.
std::optional<ChainId> ChainOf(const std::vector<DiffId>& diff_ids);
// The stack `below` with one layer more.
ChainId ChainOf(const ChainId& below, const DiffId& diff_id);

// Feeds bytes, yields a Digest. Uses the CPU's SHA instructions (EVP).
class Hasher : public Writer {
 public:
  explicit Hasher(DigestAlgorithm algorithm = DigestAlgorithm::kSha256);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher() override;
  void Write(Bytes bytes) override;
  void Update(std::string_view text) { Write(AsBytes(text)); }
  uint64_t size() const { return size_; }
  Digest Finish();  // once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  DigestAlgorithm algorithm_;
  uint64_t size_ = 0;
};

// Passes bytes on while checking them against a digest and a size; bytes
// beyond the size are refused at once. Finish() throws Error(kRegistry) naming
// both digests when they differ. What was passed on is not to be trusted
// before Finish() returned.
class VerifyingWriter : public Writer {
 public:
  // size nullopt: unknown. `what` is for error texts ("layer", "manifest").
  VerifyingWriter(Writer& next, Digest expected, std::optional<uint64_t> size,
                  std::string what);
  void Write(Bytes bytes) override;
  void Finish();
  uint64_t written() const { return hasher_.size(); }

 private:
  Writer& next_;
  Digest expected_;
  std::optional<uint64_t> size_;
  std::string what_;
  Hasher hasher_;
};

}  // namespace imgbuild::oci

template <>
struct std::hash<imgbuild::oci::Digest> {
  size_t operator()(const imgbuild::oci::Digest& d) const noexcept {
    return std::hash<std::string>()(d.hex());
  }
};

#endif  // IMGBUILD_OCI_DIGEST_H_
