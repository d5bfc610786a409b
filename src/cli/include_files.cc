#include "cli/include_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <optional>
#include <set>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "cli/text_file.h"

namespace imgbuild::cli {
namespace {

constexpr size_t kMaxDockerfileBytes = 256u << 20;
constexpr size_t kMaxIncludedBytes = 16u << 20;

Error Refused(std::string why) {
  return Error(ErrorCode::kDockerfile, "INCLUDE: " + std::move(why));
}

Error Absent(int root_fd, const std::string& path, const std::string& name) {
  Error error = Refused(fmt::format("there is no file {}", Quoted(name)));
  const UniqueFd dir =
      TryOpenBeneath(root_fd, fs::ParentPath(path), O_RDONLY | O_DIRECTORY);
  if (!dir) return error;
  if (const auto near = Suggest(fs::BaseName(path), fs::ListDir(dir.get()))) {
    error.WithHint(fmt::format("did you mean {}?", *near));
  }
  return error;
}

UniqueFd DirectoryOf(const std::string& file) {
  const size_t slash = file.rfind('/');
  return fs::OpenIfExists(AT_FDCWD,
                          slash == std::string::npos ? "."
                          : slash == 0               ? "/"
                                                     : file.substr(0, slash),
                          O_RDONLY | O_DIRECTORY);
}

IncludeFiles FilesOf(const BuildInput& input) {
  const SourceFile& dockerfile = *input.dockerfile;
  if (input.fetched && !input.dockerfile_inside.empty()) {
    return {fs::OpenDir(input.fetched->root.get(), "."), dockerfile,
            fs::CleanRelative(input.dockerfile_inside)};
  }
  if (input.dockerfile_path.empty()) return {UniqueFd(), dockerfile, ""};
  UniqueFd dir = DirectoryOf(input.dockerfile_path);
  std::string path = fs::BaseName(input.dockerfile_path);
  if (dir && input.context_fd) {
    const std::string root = fs::PathOfFd(input.context_fd.get());
    const std::string below = fs::PathOfFd(dir.get());
    if (below.starts_with(root == "/" ? root : root + "/")) {
      path = below.substr(root == "/" ? 1 : root.size() + 1) + "/" + path;
      dir = fs::OpenDir(input.context_fd.get(), ".");
    }
  }
  return {std::move(dir), dockerfile, std::move(path)};
}

}  // namespace

IncludeFiles::IncludeFiles(UniqueFd root, const SourceFile& dockerfile,
                           std::string path)
    : root_(std::move(root)) {
  const std::string& shown = dockerfile.name();
  if (shown.ends_with(path)) {
    shown_root_ = shown.substr(0, shown.size() - path.size());
  }
  paths_[&dockerfile] = std::move(path);
}

std::shared_ptr<const SourceFile> IncludeFiles::Read(const SourceFile& from,
                                                     const std::string& name) {
  if (!root_) {
    throw Refused("a Dockerfile that is no file has nothing beside it")
        .WithHint("INCLUDE works in a Dockerfile of the context or of -f FILE");
  }
  if (name.starts_with('/')) {
    throw Refused("a file is named relative to the one that includes it");
  }
  const std::string dir = fs::ParentPath(paths_.at(&from));
  const std::string path = fs::CleanPath(dir.empty() ? name : dir + "/" + name);
  if (path == ".." || path.starts_with("../")) {
    throw Refused(
        fmt::format("{} leads out of the build context", Quoted(name)));
  }
  if (const auto it = files_.find(path); it != files_.end()) return it->second;
  const UniqueFd fd =
      TryOpenBeneath(root_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY, true);
  if (!fd) {
    if (errno == EXDEV) {
      throw Refused(fmt::format("{}: a link leads out of the build context",
                                Quoted(name)));
    }
    throw Absent(root_.get(), path, name);
  }
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode)) {
    throw Refused(fmt::format("{} is not a file", Quoted(name)));
  }
  auto file = std::make_shared<SourceFile>(
      shown_root_ + path, fs::ReadFd(fd.get(), kMaxIncludedBytes, name));
  paths_[file.get()] = path;
  files_[path] = file;
  return file;
}

std::vector<std::string> IncludeFiles::included() const {
  std::vector<std::string> out;
  for (const auto& [path, file] : files_) out.push_back(path);
  return out;
}

namespace {

// $IMGBUILD_MAX_LINE: the longest instruction of a Dockerfile.
std::optional<size_t> LineCap() {
  const char* text = std::getenv("IMGBUILD_MAX_LINE");
  if (text == nullptr || *text == '\0') return std::nullopt;
  const auto bytes = ParseByteSize(text);
  if (!bytes || *bytes == 0) {
    throw Error(ErrorCode::kUsage,
                fmt::format("invalid IMGBUILD_MAX_LINE {}", Quoted(text)))
        .WithHint("it is a size, for example 1m");
  }
  return *bytes;
}

dockerfile::Dockerfile ParseWith(
    const std::shared_ptr<const SourceFile>& source, IncludeFiles& files) {
  dockerfile::ParseOptions options;
  if (const auto cap = LineCap()) options.max_line_bytes = *cap;
  options.include = [&files](const SourceFile& from, const std::string& name) {
    return files.Read(from, name);
  };
  return dockerfile::Parse(source, options);
}

BuildInput InputAt(const std::string& path) {
  BuildInput input;
  if (path == "-") {
    input.dockerfile = std::make_shared<SourceFile>(
        "<stdin>", fs::ReadFd(0, kMaxDockerfileBytes, "standard input"));
    return input;
  }
  input.dockerfile = ReadTextFile(path, kMaxDockerfileBytes, "Dockerfile");
  input.dockerfile_path = path;
  input.context_fd = fs::OpenDir(AT_FDCWD, ".");
  return input;
}

}  // namespace

dockerfile::Dockerfile ParseDockerfile(const BuildInput& input) {
  IncludeFiles files = FilesOf(input);
  return ParseWith(input.dockerfile, files);
}

std::vector<DockerfileAt> ParseDockerfilesAt(
    const std::vector<std::string>& paths, bool found) {
  std::vector<DockerfileAt> out;
  std::vector<std::pair<std::string, std::exception_ptr>> broken;
  std::set<std::string> included;
  for (const std::string& path : paths) {
    const BuildInput input = InputAt(path);
    IncludeFiles files = FilesOf(input);
    try {
      out.push_back({path, ParseWith(input.dockerfile, files)});
    } catch (const Error& error) {
      if (!found || error.code() != ErrorCode::kDockerfile) throw;
      broken.emplace_back(path, std::current_exception());
      continue;
    }
    for (const std::string& name : files.included()) {
      included.insert(fs::CleanPath(files.shown_root() + name));
    }
  }
  for (const auto& [path, error] : broken) {
    if (!included.contains(fs::CleanPath(path))) std::rethrow_exception(error);
  }
  return out;
}

}  // namespace imgbuild::cli
