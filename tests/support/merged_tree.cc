#include "support/merged_tree.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::store {
namespace {

std::string Below(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "/" + name;
}

bool IsWhiteout(const FileInfo& info) {
  return info.type == FileType::kCharDevice && info.rdev_major == 0 &&
         info.rdev_minor == 0;
}

}  // namespace

MergedTree::MergedTree(const std::vector<MergedLayer>& layers,
                       const std::string& opaque_xattr)
    : opaque_xattr_(opaque_xattr) {
  Node root;
  root.synthetic = true;
  root.info.type = FileType::kDirectory;
  root.info.mode = 0755;
  root.info.nlink = 2;
  nodes_[""] = root;
  uint64_t number = 1;
  for (const MergedLayer& layer : layers) Add(layer, number++);
}

bool MergedTree::IsOpaque(const MergedLayer& layer,
                          const std::string& path) const {
  const auto xattrs = fs::ListXattrs(layer.dir_fd, path.empty() ? "." : path);
  const auto it = xattrs.find(opaque_xattr_);
  return it != xattrs.end() && it->second == "y";
}

void MergedTree::Erase(const std::string& path, bool itself) {
  const std::string prefix = path.empty() ? "" : path + "/";
  for (auto it = nodes_.begin(); it != nodes_.end();) {
    const bool below =
        it->first.size() > prefix.size() && it->first.starts_with(prefix);
    if (below || (itself && it->first == path)) {
      it = nodes_.erase(it);
    } else {
      ++it;
    }
  }
}

// First everything that the layer takes away …
void MergedTree::Hide(const MergedLayer& layer, const std::string& path) {
  const auto info = layer.files->Lstat(path);
  if (!info) return;
  if (info->type != FileType::kDirectory) {
    Erase(path, true);
    return;
  }
  const auto old = nodes_.find(path);
  if (old != nodes_.end() && old->second.info.type != FileType::kDirectory) {
    Erase(path, true);
  }
  if (!path.empty() && IsOpaque(layer, path)) Erase(path, false);
  for (const std::string& name : layer.files->List(path)) {
    Hide(layer, Below(path, name));
  }
}

void MergedTree::MakeImplied(const std::string& path) {
  if (nodes_.contains(path)) return;
  Node node;
  node.synthetic = true;
  node.info.type = FileType::kDirectory;
  node.info.mode = 0755;
  nodes_[path] = std::move(node);
}

// … then everything that it brings.
void MergedTree::Put(const MergedLayer& layer, const std::string& path,
                     uint64_t number) {
  const auto info = layer.files->Lstat(path);
  if (!info || IsWhiteout(*info)) return;
  const auto& implied = layer.result.implied_directories;
  const bool is_implied =
      path.empty() ? !layer.result.has_root_entry
                   : std::ranges::find(implied, path) != implied.end();
  if (!is_implied) {
    Node node{*info, layer.files, path, false};
    node.info.device = number;
    nodes_[path] = std::move(node);
  } else {
    MakeImplied(path);
  }
  if (info->type != FileType::kDirectory) return;
  for (const std::string& name : layer.files->List(path)) {
    Put(layer, Below(path, name), number);
  }
}

void MergedTree::Add(const MergedLayer& layer, uint64_t number) {
  if (layer.result.opaque_root) Erase("", false);
  std::map<std::string, Node> links;
  for (const auto& link : layer.result.lower_links) {
    const std::string target = ResolveInTree(*this, link.target, false);
    const auto it = nodes_.find(target);
    if (it == nodes_.end() || it->second.info.type == FileType::kDirectory) {
      throw Error(ErrorCode::kHost, "no such link target: " + link.target);
    }
    links[link.path] = it->second;
  }
  Hide(layer, "");
  Put(layer, "", number);
  for (auto& [path, node] : links) {
    for (size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      MakeImplied(path.substr(0, slash));
    }
    Erase(path, true);
    nodes_[path] = std::move(node);
  }
}

std::optional<FileInfo> MergedTree::Lstat(const std::string& path) const {
  const auto it = nodes_.find(path);
  if (it == nodes_.end()) return std::nullopt;
  return it->second.info;
}

std::string MergedTree::ReadLink(const std::string& path) const {
  const Node& node = nodes_.at(path);
  return node.files->ReadLink(node.path);
}

std::vector<std::string> MergedTree::List(const std::string& path) const {
  const auto it = nodes_.find(path);
  if (it == nodes_.end() || it->second.info.type != FileType::kDirectory) {
    throw ErrnoError("list", path, ENOTDIR);
  }
  const std::string prefix = path.empty() ? "" : path + "/";
  std::vector<std::string> names;
  for (const auto& [name, node] : nodes_) {
    if (name.size() <= prefix.size() || !name.starts_with(prefix)) continue;
    const std::string rest = name.substr(prefix.size());
    if (rest.find('/') == std::string::npos) names.push_back(rest);
  }
  std::ranges::sort(names);
  return names;
}

UniqueFd MergedTree::Open(const std::string& path) const {
  const Node& node = nodes_.at(path);
  return node.files->Open(node.path);
}

std::map<std::string, std::string> MergedTree::Xattrs(
    const std::string& path) const {
  const Node& node = nodes_.at(path);
  if (node.synthetic) return {};
  auto xattrs = node.files->Xattrs(node.path);
  std::erase_if(xattrs, [](const auto& item) {
    return item.first.find(".overlay.") != std::string::npos;
  });
  return xattrs;
}

}  // namespace imgbuild::store
