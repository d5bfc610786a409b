#include <algorithm>
#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::context {
namespace {

std::string Join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

// Replaces each directory of `found` by what in it matches the component.
std::vector<std::string> Step(const FileTree& tree,
                              const std::vector<std::string>& found,
                              const std::string& component) {
  const bool literal =
      !HasGlob(component) && component.find('\\') == std::string::npos;
  std::vector<std::string> next;
  for (const std::string& directory : found) {
    const std::optional<FileInfo> info = tree.Lstat(directory);
    if (!info || info->type != FileType::kDirectory) continue;
    if (literal) {
      std::string path = Join(directory, component);
      if (tree.Lstat(path)) next.push_back(std::move(path));
      continue;
    }
    for (const std::string& name : tree.List(directory)) {
      if (GlobMatch(component, name)) next.push_back(Join(directory, name));
    }
  }
  return next;
}

}  // namespace

std::vector<std::string> ExpandGlob(const FileTree& tree,
                                    std::string_view pattern) {
  const std::string clean = fs::CleanRelative(pattern);
  if (!HasGlob(clean)) return {clean};
  const std::vector<std::string> components = Split(clean, '/');
  const auto first_glob =
      std::find_if(components.begin(), components.end(),
                   [](const std::string& c) { return HasGlob(c); });
  const std::string base =
      Join("", imgbuild::Join({components.begin(), first_glob}, "/"));
  std::vector<std::string> found = {ResolveInTree(tree, base, true)};
  for (auto c = first_glob; c != components.end(); ++c) {
    found = Step(tree, found, *c);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace imgbuild::context
