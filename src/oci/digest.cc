#include "imgbuild/oci/digest.h"

#include <openssl/evp.h>

#include <array>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::oci {
namespace {

size_t HexSize(DigestAlgorithm algorithm) {
  return algorithm == DigestAlgorithm::kSha256 ? 64 : 128;
}

std::optional<DigestAlgorithm> AlgorithmOf(std::string_view name) {
  if (name == "sha256") return DigestAlgorithm::kSha256;
  if (name == "sha512") return DigestAlgorithm::kSha512;
  return std::nullopt;
}

bool IsLowerHex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == text.npos;
}

// What is wrong with `text` as a digest; empty when nothing is.
std::string WhyInvalid(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos || colon == 0) return "not of the form sha256:…";
  const auto algorithm = AlgorithmOf(text.substr(0, colon));
  if (!algorithm) {
    return "unsupported algorithm " + Quoted(text.substr(0, colon));
  }
  const std::string_view hex = text.substr(colon + 1);
  if (!IsLowerHex(hex)) {
    return IsLowerHex(ToLower(hex)) ? "upper-case hex digits"
                                    : "not a hex number";
  }
  if (hex.size() != HexSize(*algorithm)) {
    return std::to_string(hex.size()) + " hex digits instead of " +
           std::to_string(HexSize(*algorithm));
  }
  return "";
}

std::string ToHex(std::string_view raw) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(raw.size() * 2);
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kHex[byte >> 4];
    hex += kHex[byte & 15];
  }
  return hex;
}

// Fetched once: EVP_sha256() makes OpenSSL 3 search its providers each time a
// hash begins, which costs more than hashing a short text does.
const EVP_MD* Implementation(DigestAlgorithm algorithm) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha512 = EVP_MD_fetch(nullptr, "SHA512", nullptr);
  const EVP_MD* md = algorithm == DigestAlgorithm::kSha256 ? sha256 : sha512;
  if (md == nullptr) {
    throw Error(ErrorCode::kHost,
                "OpenSSL offers no " + std::string(ToString(algorithm)));
  }
  return md;
}

void Check(int result) {
  if (result != 1) throw Error(ErrorCode::kHost, "OpenSSL: hashing failed");
}

}  // namespace

std::string_view ToString(DigestAlgorithm algorithm) {
  return algorithm == DigestAlgorithm::kSha256 ? "sha256" : "sha512";
}

Digest Digest::Parse(std::string_view text) {
  auto digest = TryParse(text);
  if (digest) return *std::move(digest);
  throw Error(ErrorCode::kUsage,
              "invalid digest " + Quoted(text) + ": " + WhyInvalid(text));
}

std::optional<Digest> Digest::TryParse(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto algorithm = AlgorithmOf(text.substr(0, colon));
  const std::string_view hex = text.substr(colon + 1);
  if (!algorithm || hex.size() != HexSize(*algorithm) || !IsLowerHex(hex)) {
    return std::nullopt;
  }
  return Digest(*algorithm, std::string(hex));
}

Digest Digest::OfBytes(std::string_view bytes, DigestAlgorithm algorithm) {
  std::array<char, EVP_MAX_MD_SIZE> raw;
  unsigned size = 0;
  Check(EVP_Digest(bytes.data(), bytes.size(),
                   reinterpret_cast<unsigned char*>(raw.data()), &size,
                   Implementation(algorithm), nullptr));
  return FromRaw(algorithm, std::string_view(raw.data(), size));
}

Digest Digest::FromRaw(DigestAlgorithm algorithm, std::string_view raw) {
  if (raw.size() * 2 != HexSize(algorithm)) {
    throw Error(ErrorCode::kHost, "internal: a raw digest of " +
                                      std::to_string(raw.size()) + " bytes");
  }
  return Digest(algorithm, ToHex(raw));
}

std::string Digest::ToString() const {
  return std::string(oci::ToString(algorithm_)) + ":" + hex_;
}

std::optional<ChainId> ChainOf(const std::vector<DiffId>& diff_ids) {
  std::optional<ChainId> chain;
  for (const DiffId& diff_id : diff_ids) {
    chain = chain ? ChainOf(*chain, diff_id) : ChainId(diff_id.digest());
  }
  return chain;
}

ChainId ChainOf(const ChainId& below, const DiffId& diff_id) {
  return ChainId(Digest::OfBytes(below.ToString() + " " + diff_id.ToString()));
}

struct Hasher::Context {
  Context() : md(EVP_MD_CTX_new()) {}
  ~Context() { EVP_MD_CTX_free(md); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  EVP_MD_CTX* md;
};

Hasher::Hasher(DigestAlgorithm algorithm)
    : context_(std::make_unique<Context>()), algorithm_(algorithm) {
  Check(EVP_DigestInit_ex2(context_->md, Implementation(algorithm), nullptr));
}

Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::Write(Bytes bytes) {
  if (!context_) throw Error(ErrorCode::kHost, "internal: hasher is finished");
  Check(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()));
  size_ += bytes.size();
}

Digest Hasher::Finish() {
  if (!context_) throw Error(ErrorCode::kHost, "internal: hasher is finished");
  std::array<char, EVP_MAX_MD_SIZE> raw;
  unsigned size = 0;
  Check(EVP_DigestFinal_ex(
      context_->md, reinterpret_cast<unsigned char*>(raw.data()), &size));
  context_.reset();
  return Digest::FromRaw(algorithm_, std::string_view(raw.data(), size));
}

VerifyingWriter::VerifyingWriter(Writer& next, Digest expected,
                                 std::optional<uint64_t> size, std::string what)
    : next_(next),
      expected_(std::move(expected)),
      size_(size),
      what_(std::move(what)),
      hasher_(expected_.algorithm()) {}

void VerifyingWriter::Write(Bytes bytes) {
  if (size_ && bytes.size() > *size_ - hasher_.size()) {
    throw Error(ErrorCode::kRegistry,
                what_ + " " + expected_.ToString() + ": longer than the " +
                    std::to_string(*size_) + " bytes announced");
  }
  hasher_.Write(bytes);
  next_.Write(bytes);
}

void VerifyingWriter::Finish() {
  if (size_ && hasher_.size() != *size_) {
    throw Error(ErrorCode::kRegistry,
                what_ + " " + expected_.ToString() + ": got " +
                    std::to_string(hasher_.size()) + " bytes instead of " +
                    std::to_string(*size_));
  }
  const Digest actual = hasher_.Finish();
  if (actual != expected_) {
    throw Error(ErrorCode::kRegistry, what_ + ": digest mismatch: expected " +
                                          expected_.ToString() + ", got " +
                                          actual.ToString());
  }
}

}  // namespace imgbuild::oci
