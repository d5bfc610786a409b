// The Dockerfiles that a `lock` command is about, each with its lock, held so
// that two commands at once lose nothing.
#ifndef IMGBUILD_CLI_LOCK_FILES_H_
#define IMGBUILD_CLI_LOCK_FILES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/build/lock_maker.h"
#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/util/fs.h"

#include "cli/app.h"
#include "cli/args.h"

namespace imgbuild::cli {

// The flags that all of them share.
struct LockFlags {
  std::vector<std::string> files;  // -f
  bool recursive = false;
  std::vector<std::string> words;  // paths or names
  std::vector<std::string> platforms;
  std::string format = "text";
};
// The `formats` of --format are for --help; without any there is no --format.
inline constexpr char kChangeFormats[] = "text, json or markdown";
inline constexpr char kFindingFormats[] = "text, json, sarif or markdown";
void AddLockFileFlags(Args& args, LockFlags& flags, const char* formats);
// Throws Error(kUsage) unless it is one of `known`.
void CheckFormat(const std::string& format,
                 const std::vector<std::string>& known);

struct LockedFile {
  std::string path;  // of the Dockerfile
  std::string lock_path;
  dockerfile::Dockerfile parsed;
  std::optional<lock::Lockfile> lock;
  // Of the Dockerfile, while the lock is being changed.
  std::optional<fs::FileLock> held;

  lock::Lockfile LockOrEmpty() const { return lock ? *lock : lock::Lockfile(); }
};

enum class Hold { kNo, kYes };
// -f, else the paths: a file, or a directory with its Dockerfile, or (with -r,
// or where a directory has none of its own) all below it. Throws Error(kUsage)
// when there is none.
std::vector<LockedFile> ReadLockedFiles(const LockFlags& flags,
                                        const std::vector<std::string>& paths,
                                        Hold hold);

// The lock there must be. Throws Error(kUsage) with the command that makes it.
const lock::Lockfile& RequireLock(const LockedFile& file);

// Atomic: the old one stays until the new one is whole. False when it is the
// same already.
bool WriteLock(const LockedFile& file, const lock::Lockfile& lock);

// The registries, 16 requests to one at a time.
std::unique_ptr<build::NameTable> OpenNameTable(App& app);

std::vector<oci::Platform> ParsePlatforms(
    const std::vector<std::string>& words);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LOCK_FILES_H_
