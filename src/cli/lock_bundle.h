// What a lock names, out of a bundle.
#ifndef IMGBUILD_CLI_LOCK_BUNDLE_H_
#define IMGBUILD_CLI_LOCK_BUNDLE_H_

#include <string>

#include "imgbuild/lock/lockfile.h"

#include "cli/app.h"

namespace imgbuild::cli {

// Afterwards the store has every blob that `lock` names. What it has already is
// not read again; with all of it there, `path` is not even opened. Throws Error
// at the lock's line for a blob that the bundle lacks.
void ImportBundle(App& app, const std::string& path,
                  const lock::Lockfile& lock);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LOCK_BUNDLE_H_
