#include "container/placement.h"

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::container {
namespace {

// "a/b" -> "a"; "/a" -> "/"; "a" -> "".
std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return "";
  return path.substr(0, slash == 0 ? 1 : slash);
}

}  // namespace

bool MeansContent(std::string_view path) {
  return path == "." || path.ends_with("/.");
}

bool AssertsDirectory(std::string_view path) {
  return path.ends_with('/') || MeansContent(path);
}

std::string NameOfSource(std::string_view path) {
  if (MeansContent(path)) return ".";
  const std::string base = fs::BaseName(fs::CleanPath(path));
  return base.empty() ? "." : base;
}

Placement Place(const CopySource& source, const CopyTarget& target) {
  if (target.exists && target.is_directory) return {target.path, source.name};
  if (source.is_directory && target.exists) {
    throw Error(ErrorCode::kFailed, "cannot copy directory")
        .WithHint("the destination is a file");
  }
  if (!source.is_directory && target.asserts_directory) {
    throw Error(ErrorCode::kFailed, "no such directory");
  }
  return {ParentOf(target.path), fs::BaseName(target.path)};
}

}  // namespace imgbuild::container
