// Where the members of a layer begin, and a name for what goes into one that
// is known before any file is read.
#ifndef IMGBUILD_LAYER_MEMBER_RECIPE_H_
#define IMGBUILD_LAYER_MEMBER_RECIPE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "imgbuild/layer/entry.h"
#include "imgbuild/oci/digest.h"

namespace imgbuild::layer {

// The cuts of layer format 1 (layer_writer.h) in front of entries.
class MemberCuts {
 public:
  // Entries up to this are never cut inside.
  static constexpr uint64_t kWholeEntry = 1u << 20;

  // Of the next entry, which takes `entry_bytes` of the tar: whether a member
  // begins with it. The first entry of a layer may or may not be said to.
  bool Begins(std::string_view path, uint64_t entry_bytes);

 private:
  uint64_t filled_ = 0;  // bytes of the member so far
};

// Goes over the entries of a layer and makes of each member's a digest of
// everything that decides its part of the tar: two members with the same recipe
// have the same bytes.
class MemberRecipe {
 public:
  // Looks at the next entry: whether a member begins with it. If so, Finish()
  // what came before.
  bool Begins(const Entry& entry);
  // Whether the entry that was looked at lies in one member.
  bool whole() const { return bytes_ <= MemberCuts::kWholeEntry; }
  // Adds it. `content` is the digest of its data; null when it has none.
  void Add(const oci::Digest* content);
  std::string Finish();

 private:
  MemberCuts cuts_;
  std::string header_;
  uint64_t bytes_ = 0;
  oci::Hasher hasher_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_MEMBER_RECIPE_H_
