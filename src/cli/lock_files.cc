#include "cli/lock_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/dockerfile_set.h"
#include "cli/lock_input.h"
#include "cli/text_file.h"

namespace imgbuild::cli {
namespace {

constexpr size_t kMaxDockerfileBytes = 256u << 20;

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

void AddLockFileFlags(Args& args, LockFlags& flags) {
  args.List("-f,--file", &flags.files, "FILE",
            "a Dockerfile (default: PATH/Dockerfile); may repeat");
  args.Flag("-r,--recursive", &flags.recursive, "every Dockerfile below PATH");
  args.Value("--format", &flags.format, "FORMAT",
             "text, json, sarif or markdown");
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
  std::vector<LockedFile> out;
  for (const std::string& path : found) {
    LockedFile file;
    file.path = path;
    file.lock_path = lock::LockPathOf(path);
    file.parsed = dockerfile::Parse(
        ReadTextFile(path, kMaxDockerfileBytes, "Dockerfile"));
    if (hold == Hold::kYes && ::access(path.c_str(), W_OK) == 0) {
      file.held.emplace(AT_FDCWD, path, fs::FileLock::Mode::kExclusive);
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
