// What the registries say about each entry of a lock.
#ifndef IMGBUILD_CLI_LOCK_PROBE_H_
#define IMGBUILD_CLI_LOCK_PROBE_H_

#include <vector>

#include "imgbuild/build/name_table.h"
#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/lockfile.h"

#include "cli/app.h"

namespace imgbuild::cli {

// Starts asking for the tags of a lock, so that requests overlap.
void Expect(const lock::Lockfile& lock, build::NameTable& table);

// Every entry is fresh, moved or gone.
std::vector<lock::Finding> ProbeNames(const lock::Lockfile& lock,
                                      build::NameTable& table, int64_t now_s);

// Every entry is fresh, gone or drift: index, manifest and config are fetched
// and hashed, layers are asked for, files fetched again.
std::vector<lock::Finding> VerifyPins(App& app, const lock::Lockfile& lock,
                                      build::NameTable& table);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LOCK_PROBE_H_
