// --store-max: one number that the store never passes for long.
#ifndef IMGBUILD_CLI_STORE_LIMIT_H_
#define IMGBUILD_CLI_STORE_LIMIT_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/lock/lockfile.h"
#include "imgbuild/oci/digest.h"

#include "cli/app.h"

namespace imgbuild::cli {

// "20G", nullopt for "". Throws Error(kUsage) naming the flag.
std::optional<uint64_t> ParseStoreMax(const std::string& text);

// Every digest that a lock names: of names, of their platforms' manifests and
// configs, of files, and of what is expected to come out.
void AddLockedDigests(const lock::Lockfile& lock, std::set<oci::Digest>* out);
// Of the lock files --keep-locked.
std::set<oci::Digest> LockedDigests(const std::vector<std::string>& files);

// Removes what was used longest ago until the store is that small; tags,
// containers, mounts and `keep` stay. Returns the bytes freed. Throws
// Error(kHost), saying what holds the space, when that is not enough or when
// another command is at work. REQUIRES: no lease of this process.
uint64_t KeepBelow(App& app, uint64_t max_bytes,
                   const std::set<oci::Digest>& keep);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_STORE_LIMIT_H_
