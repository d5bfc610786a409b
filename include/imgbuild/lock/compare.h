// What a Dockerfile names, what its lock holds and what the world says now:
// the states of every entry. Pure.
#ifndef IMGBUILD_LOCK_COMPARE_H_
#define IMGBUILD_LOCK_COMPARE_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/lock/lockfile.h"
#include "imgbuild/oci/platform.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/util/source.h"

namespace imgbuild::lock {

enum class Kind { kImage, kUrl, kGit, kFrontend };
std::string_view ToString(Kind kind);

// A name at one place of a Dockerfile, evaluated.
struct UsedName {
  Kind kind = Kind::kImage;
  // kImage, kFrontend: the reference, a digest of its own included.
  std::optional<oci::Reference> image;
  std::string name;     // the key of its entry, as text
  std::string written;  // the word of the Dockerfile
  SourceRange range;    // of that word; of FROM for a base's trigger
  std::string site;     // "FROM", "COPY --from", "RUN --mount", "ADD", …
  std::string stage;
  oci::Platform platform;                   // kImage: for which it is needed
  std::map<std::string, std::string> args;  // that made the name
  std::string variant;                      // "" is the default
  // ADD --checksum, ?checksum= or a full commit: pinned in the text already.
  std::string own_checksum;
};

// Two words that all commands, formats and exit statuses share.
enum class State {
  kFresh,     // the name still stands for the locked digest
  kMoved,     // it stands for another one now; the lock still holds
  kGone,      // the locked digest cannot be had any more
  kStale,     // the Dockerfile has a name that the lock has not
  kUnused,    // the lock has a name that the Dockerfile has not
  kConflict,  // the Dockerfile's own digest is another one
  kDrift,     // the same digest, other bytes: somebody lies
  kPinned,    // not asked: nothing is known but that the lock has it
};
std::string_view ToString(State state);

struct Finding {
  State state = State::kPinned;
  Kind kind = Kind::kImage;
  std::string name;
  std::string message;  // one line for people
  SourceRange range;    // in the Dockerfile, or in the lock for kUnused
  std::string before;   // locked digest or commit, "" for none
  std::string after;    // what it is now
  // kMoved: platforms whose own manifest is the same in both.
  std::vector<std::string> unchanged_platforms;
};

// Without asking anybody: stale, unused, conflict, a platform that is not
// covered (kStale, and the message says which), else kPinned. In the order of
// the Dockerfile, unused entries last.
std::vector<Finding> CompareOffline(const std::vector<UsedName>& used,
                                    const Lockfile& lockfile);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_COMPARE_H_
