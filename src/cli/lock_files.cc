#include "cli/lock_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/dockerfile_set.h"
#include "cli/include_files.h"
#include "cli/lock_input.h"

namespace imgbuild::cli {
namespace {

// A directory without a Dockerfile of its own is a repository of them.
bool HasOwn(const std::string& path) {
  const UniqueFd dir = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (!dir) return true;  // a file, or an error that is told later
  return fs::LstatIfExists(dir.get(), "Dockerfile") ||
         fs::LstatIfExists(dir.get(), "dockerfile");
}

std::vector<std::string> Find(const LockFlags& flags,
                              const std::vector<std::string>& paths) {
  if (!flags.files.empty() || flags.recursive) {
    return FindDockerfiles(flags.files, paths, flags.recursive);
  }
  std::vector<std::string> out;
  for (const std::string& path :
       paths.empty() ? std::vector<std::string>{"."} : paths) {
    for (std::string& file : FindDockerfiles({}, {path}, !HasOwn(path))) {
      if (std::ranges::find(out, file) == out.end()) {
        out.push_back(std::move(file));
      }
    }
  }
  return out;
}

}  // namespace

void AddLockFileFlags(Args& args, LockFlags& flags, const char* formats) {
  args.List("-f,--file", &flags.files, "FILE",
            "a Dockerfile (default: PATH/Dockerfile); may repeat");
  args.Flag("-r,--recursive", &flags.recursive, "every Dockerfile below PATH");
  if (*formats != '\0')
    args.Value("--format", &flags.format, "FORMAT", formats);
}

void CheckFormat(const std::string& format,
                 const std::vector<std::string>& known) {
  if (std::ranges::find(known, format) != known.end()) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("unknown --format {}", Quoted(format)))
      .WithHint("the formats are " + Join(known, ", "));
}

std::vector<LockedFile> ReadLockedFiles(const LockFlags& flags,
                                        const std::vector<std::string>& paths,
                                        Hold hold) {
  std::vector<std::string> found = Find(flags, paths);
  std::ranges::sort(found);  // the same order for everybody who holds them
  if (std::ranges::find(found, "-") != found.end()) {
    throw Error(ErrorCode::kUsage,
                "a lock stands beside its Dockerfile: standard input has none");
  }
  std::vector<LockedFile> out;
  for (DockerfileAt& one : ParseDockerfilesAt(found, flags.files.empty())) {
    LockedFile file;
    file.path = one.path;
    file.lock_path = lock::LockPathOf(file.path);
    file.parsed = std::move(one.parsed);
    if (hold == Hold::kYes && ::access(file.path.c_str(), W_OK) == 0) {
      file.held.emplace(AT_FDCWD, file.path, fs::FileLock::Mode::kExclusive);
    }
    file.lock = ReadLock(file.lock_path);
    out.push_back(std::move(file));
  }
  return out;
}

const lock::Lockfile& RequireLock(const LockedFile& file) {
  if (file.lock) return *file.lock;
  throw Error(ErrorCode::kUsage, fmt::format("there is no {}", file.lock_path))
      .WithHint(
          fmt::format("`imgbuild lock{}` makes it",
                      file.path == "Dockerfile" ? "" : " -f " + file.path));
}

bool WriteLock(const LockedFile& file, const lock::Lockfile& lock) {
  const std::string text = lock::Format(lock);
  if (file.lock && file.lock->source && file.lock->source->text() == text) {
    return false;
  }
  fs::WriteFileAtomic(AT_FDCWD, file.lock_path, text);
  return true;
}

std::unique_ptr<build::NameTable> OpenNameTable(App& app) {
  app.registry_connections = build::NameTable::kParallel;
  return std::make_unique<build::NameTable>(
      app.store(), app.client(), app.transfer(), app.fetcher(), app.cancel);
}

std::vector<oci::Platform> ParsePlatforms(
    const std::vector<std::string>& words) {
  std::vector<oci::Platform> out;
  for (const std::string& word : words) {
    for (const std::string& text : Split(word, ',')) {
      out.push_back(oci::Platform::Parse(text));
    }
  }
  return out;
}

}  // namespace imgbuild::cli
