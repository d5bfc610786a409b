#include "imgbuild/oci/resumable_sha256.h"

// EVP hides the state; these functions are the same code below it.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <array>

namespace imgbuild::oci {

struct ResumableSha256::Context {
  Context() { SHA256_Init(&sha); }
  SHA256_CTX sha;
};

ResumableSha256::ResumableSha256() : context_(std::make_unique<Context>()) {}
ResumableSha256::~ResumableSha256() = default;

void ResumableSha256::Write(Bytes bytes) {
  SHA256_Update(&context_->sha, bytes.data(), bytes.size());
  size_ += bytes.size();
}

std::string ResumableSha256::State() const {
  if (size_ % SHA256_CBLOCK != 0) return "";
  std::string state;
  for (const SHA_LONG word : context_->sha.h) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      state.push_back(static_cast<char>(word >> shift));
    }
  }
  return state;
}

void ResumableSha256::Resume(std::string_view state, uint64_t size) {
  SHA256_CTX& sha = context_->sha;
  SHA256_Init(&sha);
  for (size_t i = 0; i < std::size(sha.h); ++i) {
    sha.h[i] = 0;
    for (size_t j = 0; j < 4; ++j) {
      sha.h[i] = sha.h[i] << 8 | static_cast<unsigned char>(state[4 * i + j]);
    }
  }
  // It counts in bits.
  sha.Nl = static_cast<SHA_LONG>(size << 3);
  sha.Nh = static_cast<SHA_LONG>(size >> 29);
  size_ = size;
}

Digest ResumableSha256::Finish() {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> raw;
  SHA256_Final(raw.data(), &context_->sha);
  return Digest::FromRaw(
      DigestAlgorithm::kSha256,
      std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size()));
}

}  // namespace imgbuild::oci
