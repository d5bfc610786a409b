// Changing a lock, and what changed between two. Pure.
#ifndef IMGBUILD_LOCK_UPDATE_H_
#define IMGBUILD_LOCK_UPDATE_H_

#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/lockfile.h"

namespace imgbuild::lock {

// Each replaces the entry of the same name or adds one. The entry's unknown
// fields stay. Another digest puts the old one in front of `previous`; the
// same digest keeps the platforms that `pin` has not.
void Put(Lockfile& lock, ImagePin pin);
void Put(Lockfile& lock, UrlPin pin);
void Put(Lockfile& lock, GitPin pin);
void Put(Lockfile& lock, FrontendPin pin);
// By name; the arguments are replaced.
void Put(Lockfile& lock, Variant variant);
// By target, platform and variant.
void Put(Lockfile& lock, ExpectedOutput output);

// Removes the entries that nothing in `used` names, but not those that were
// added by name, unless `added_too`. The names removed.
std::vector<std::string> Prune(Lockfile& lock,
                               const std::vector<UsedName>& used,
                               bool added_too = false);

// Whether a name as people type it means the entry `name`: the whole name, in
// full or familiar; an image's repository (every tag of it); or a pattern with
// * and ? for any of these.
bool MatchesName(std::string_view typed, Kind kind, const std::string& name);

// Every name of the lock, images first, as the file has them.
struct NamedEntry {
  Kind kind = Kind::kImage;
  std::string name;
};
std::vector<NamedEntry> EntriesOf(const Lockfile& lock);

struct Change {
  enum class What { kAdded, kUpdated, kRemoved };
  What what = What::kAdded;
  Kind kind = Kind::kImage;
  std::string name;
  std::string before;  // digest or commit; "" for kAdded
  std::string after;   // "" for kRemoved
  // Images: what became of each platform.
  std::vector<std::string> unchanged_platforms;
  std::vector<std::string> changed_platforms;
  std::vector<std::string> added_platforms;
  std::vector<std::string> removed_platforms;
};
// Entries whose digest or platforms differ, in the order of the file.
std::vector<Change> Diff(const Lockfile& before, const Lockfile& after);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_UPDATE_H_
