#include "cli/dockerfile_set.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

std::string JoinPath(const std::string& directory, const std::string& name) {
  if (directory == ".") return name;
  return directory + (directory.ends_with('/') ? "" : "/") + name;
}

Error NoDockerfile(const std::string& path) {
  return Error(ErrorCode::kUsage,
               fmt::format("there is no Dockerfile in {}", Quoted(path)));
}

// The directory's own one, as `build` finds it.
std::string DefaultDockerfile(int dir, const std::string& path) {
  for (const char* name : {"Dockerfile", "dockerfile"}) {
    if (fs::LstatIfExists(dir, name)) return JoinPath(path, name);
  }
  throw NoDockerfile(path).WithHint(
      "-f FILE names another one, -r looks in the directories below too");
}

void Walk(int dir, const std::string& path, std::vector<std::string>& out) {
  for (const std::string& name : fs::ListDir(dir)) {
    const auto stat = fs::LstatIfExists(dir, name);
    if (!stat) continue;
    if (S_ISREG(stat->st_mode) && IsDockerfileName(name)) {
      out.push_back(JoinPath(path, name));
    } else if (S_ISDIR(stat->st_mode) && !name.starts_with('.')) {
      const UniqueFd below =
          fs::OpenIfExists(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (below) Walk(below.get(), JoinPath(path, name), out);
    }
  }
}

}  // namespace

bool IsDockerfileName(const std::string& name) {
  const std::string lower = ToLower(name);
  for (const std::string_view ending :
       {".lock", ".dockerignore", ".ignore", ".swp", ".orig", ".rej", "~"}) {
    if (lower.ends_with(ending)) return false;
  }
  return lower == "dockerfile" || lower == "containerfile" ||
         lower.starts_with("dockerfile.") ||
         lower.starts_with("containerfile.") ||
         lower.ends_with(".dockerfile") || lower.ends_with(".containerfile");
}

std::vector<std::string> FindDockerfiles(const std::vector<std::string>& files,
                                         const std::vector<std::string>& paths,
                                         bool recursive) {
  std::vector<std::string> found = files;
  for (const std::string& path : !files.empty()  ? std::vector<std::string>()
                                 : paths.empty() ? std::vector<std::string>{"."}
                                                 : paths) {
    const UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
    if (!fd) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("there is no {}", Quoted(path)));
    }
    if (!S_ISDIR(fs::Fstat(fd.get()).st_mode)) {
      found.push_back(path);
    } else if (recursive) {
      const size_t before = found.size();
      Walk(fd.get(), path, found);
      if (found.size() == before) throw NoDockerfile(path);
    } else {
      found.push_back(DefaultDockerfile(fd.get(), path));
    }
  }
  std::vector<std::string> out;
  for (std::string& file : found) {
    if (std::ranges::find(out, file) == out.end()) {
      out.push_back(std::move(file));
    }
  }
  return out;
}

}  // namespace imgbuild::cli
