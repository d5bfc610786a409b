// `imgbuild lock` and what may follow it: `imgbuild lock WORD …`.
#ifndef IMGBUILD_CLI_LOCK_COMMANDS_H_
#define IMGBUILD_CLI_LOCK_COMMANDS_H_

#include "imgbuild/build/name_table.h"
#include "imgbuild/lock/lockfile.h"

#include "cli/commands.h"

namespace imgbuild::cli {

int LockCheck(App& app, const Words& words);  // `lock --check`
int LockVerify(App& app, const Words& words);
int LockPrune(App& app, const Words& words);
int LockDiff(App& app, const Words& words);
int LockBundle(App& app, const Words& words);
int LockFetch(App& app, const Words& words);
int LockRollback(App& app, const Words& words);
int LockAdd(App& app, const Words& words);
int LockImport(App& app, const Words& words);

// The files that are locked, into the store; how many they are. Throws
// Error(kPolicy) at the lock's line for one that is another now.
size_t FetchLockedUrls(App& app, const lock::Lockfile& lock,
                       build::NameTable& table);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LOCK_COMMANDS_H_
