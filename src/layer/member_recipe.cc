#include "imgbuild/layer/member_recipe.h"

#include <utility>

#include "layer/entry_encoder.h"

namespace imgbuild::layer {
namespace {

constexpr uint64_t kMemberCap = 8u << 20;

// FNV-1a, then splitmix64's finaliser, which spreads the entropy to the low
// bits that the cut rule looks at. Part of layer format 1.
uint64_t Hash64(std::string_view text) {
  uint64_t h = 0xcbf29ce484222325;
  for (const char c : text) {
    h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
  h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
  return h ^ (h >> 31);
}

}  // namespace

bool MemberCuts::Begins(std::string_view path, uint64_t entry_bytes) {
  const bool cut =
      (Hash64(path) & (kWholeEntry - 1)) < entry_bytes || filled_ >= kMemberCap;
  if (cut) filled_ = 0;
  if (entry_bytes <= kWholeEntry) {
    filled_ += entry_bytes;
  } else {
    // What is behind the last cut inside.
    filled_ = (entry_bytes - 1) % kWholeEntry + 1;
  }
  return cut;
}

bool MemberRecipe::Begins(const Entry& entry) {
  header_ = EncodeHeader(entry);
  const uint64_t size = entry.type == EntryType::kFile ? entry.size : 0;
  bytes_ = header_.size() + size + PaddingAfter(size);
  return cuts_.Begins(entry.path, bytes_);
}

void MemberRecipe::Add(const oci::Digest* content) {
  // The header says how long it is and how much data follows; a digest always
  // has the same length. So no two lists of entries look alike.
  hasher_.Update(header_);
  if (content != nullptr) hasher_.Update(content->hex());
}

std::string MemberRecipe::Finish() {
  return std::exchange(hasher_, oci::Hasher()).Finish().hex();
}

}  // namespace imgbuild::layer
