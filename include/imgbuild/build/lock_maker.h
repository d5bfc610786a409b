// Makes and renews the lock of one Dockerfile.
#ifndef IMGBUILD_BUILD_LOCK_MAKER_H_
#define IMGBUILD_BUILD_LOCK_MAKER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/build/name_table.h"
#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/plan/planner.h"

namespace imgbuild::build {

struct LockOptions {
  // Added to those of the lock; when there are none at all, this host's.
  std::vector<oci::Platform> platforms;
  // --build-context NAME=docker-image://REF; added to those of the lock.
  std::map<std::string, std::string> contexts;
  std::optional<int64_t> source_date_epoch;
  std::optional<lock::Variant> variant;  // recorded, or replaced
  // Names to ask for again though the lock has them (MatchesName); all with
  // update_all.
  bool update_all = false;
  std::vector<std::string> update;
  // Digests to lock, by the name of the entry: a roll-back.
  std::map<std::string, std::string> choose;
  // Only entries that match these are written; empty is all.
  std::vector<std::string> only;
  // Images to lock though no Dockerfile names them: for what runs them.
  std::vector<oci::Reference> add;
  // False: a digest in the Dockerfile that differs from the lock's is no error
  // here, because somebody else tells it (CompareOffline).
  bool refuse_conflicts = true;
  // A new digest whose image is younger than this is not taken yet.
  int64_t min_age_s = 0;
  int64_t now_s = 0;
};

struct LockResult {
  lock::Lockfile lock;
  std::vector<lock::UsedName> used;
  std::vector<std::string> warnings;
};

// Everything that is evaluated without asking is told to the table, so that
// the requests of many Dockerfiles overlap. Throws as MakeLock.
void PrefetchLock(const dockerfile::Dockerfile& file,
                  const lock::Lockfile& current, const LockOptions& options,
                  NameTable& table);

// `current` renewed: every name that a build of any stage reaches, for the
// defaults and each variant, on each platform. Names that are locked keep
// their digest unless they are to be updated. Throws Error at the place in the
// Dockerfile.
LockResult MakeLock(const dockerfile::Dockerfile& file,
                    const lock::Lockfile& current, const LockOptions& options,
                    NameTable& table);

// The names that the Dockerfile uses, evaluated with what the lock has; what
// it has not is asked for.
std::vector<lock::UsedName> UsedNames(const dockerfile::Dockerfile& file,
                                      const lock::Lockfile& current,
                                      NameTable& table,
                                      std::vector<std::string>* warnings);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_LOCK_MAKER_H_
