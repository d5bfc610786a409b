#include "store/overlay_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::store {
namespace {

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

// What a directory has when every layer only implies it.
FileInfo ImpliedInfo() {
  FileInfo info;
  info.type = FileType::kDirectory;
  info.mode = 0755;
  info.nlink = 2;
  return info;
}

}  // namespace

// A name in a merged directory.
struct OverlayTree::Name {
  std::string name;
  uint32_t layer = 0;
  enum class Kind : uint8_t { kOther, kDirectory, kLowerLink } kind;
  // Of a directory: where its layers stand in Directory::layers.
  uint32_t first = 0;
  uint32_t count = 0;
};

// A name in one layer's directory.
struct OverlayTree::Raw {
  std::string name;
  uint32_t layer = 0;
  enum class Kind : uint8_t { kOther, kDirectory, kWhiteout, kLowerLink } kind;
};

struct OverlayTree::Directory {
  std::vector<Name> names;       // sorted
  std::vector<uint32_t> layers;  // of the sub-directories, topmost first

  const Name* FindName(std::string_view name) const {
    const auto it = std::lower_bound(
        names.begin(), names.end(), name,
        [](const Name& a, std::string_view b) { return a.name < b; });
    return it != names.end() && it->name == name ? &*it : nullptr;
  }
};

OverlayTree::OverlayTree(UniqueFd dir, std::vector<TreeLayer> layers,
                         std::string opaque_xattr, std::shared_ptr<void> keep)
    : dir_(std::make_shared<const UniqueFd>(std::move(dir))),
      opaque_xattr_(std::move(opaque_xattr)),
      private_prefix_(opaque_xattr_.substr(0, opaque_xattr_.rfind('.') + 1)),
      keep_(std::move(keep)) {
  // Bottom up, so that a link to a link finds the file.
  for (TreeLayer& layer : layers) Push(std::move(layer), *this);
}

OverlayTree::OverlayTree(const OverlayTree& below, TreeLayer above)
    : dir_(below.dir_),
      layers_(below.layers_),
      opaque_xattr_(below.opaque_xattr_),
      private_prefix_(below.private_prefix_),
      keep_(below.keep_) {
  Push(std::move(above), below);
  TakeListings(below);
}

bool OverlayTree::HasLayer(const std::string& dir) const {
  return std::ranges::any_of(
      layers_, [&](const auto& layer) { return layer->spec.dir == dir; });
}

void OverlayTree::Push(TreeLayer spec, const OverlayTree& lower) {
  auto layer = std::make_shared<Layer>();
  layer->implied.insert(spec.implied.begin(), spec.implied.end());
  layer->spec = std::move(spec);
  for (const auto& link : layer->spec.links) {
    const std::string target = ResolveInTree(lower, link.target, false);
    auto place = lower.Find(target);
    const auto info = lower.Lstat(target);
    if (!place || !info || info->type == FileType::kDirectory) {
      throw Error(ErrorCode::kHost,
                  fmt::format("layer {}: {} is a hard link to {}, which is "
                              "not a file of the layers below",
                              layer->spec.name, Quoted(link.path),
                              Quoted(link.target)));
    }
    layer->links.emplace(link.path, std::move(*place));
    layer->links_by_parent[fs::ParentPath(link.path)].push_back(link.path);
  }
  // What was listed for the links: without the new layer.
  cache_.clear();
  cache_order_.clear();
  cached_names_ = 0;
  evicted_ = false;
  layers_.push_back(std::move(layer));
}

void OverlayTree::TakeListings(const OverlayTree& below) {
  {
    const std::lock_guard lock(below.mutex_);
    if (below.evicted_) return;
    cache_ = below.cache_;
    cache_order_ = below.cache_order_;
  }
  if (cache_.contains("")) MergeTop("");
  std::erase_if(cache_order_, [this](const std::string& path) {
    return !cache_.contains(path);
  });
  for (const auto& [path, directory] : cache_) {
    cached_names_ += directory->names.size() + 1;
  }
}

// REQUIRES: `path` is in cache_, listed without the topmost layer, and is a
// directory of the topmost layer.
void OverlayTree::MergeTop(const std::string& path) {
  const auto top = static_cast<uint32_t>(layers_.size() - 1);
  std::vector<Raw> raw;
  DirectoryPtr below = cache_.at(path);
  if (!ReadLayer(top, path, false, &raw)) {
    ForgetBelow(path);
    below = std::make_shared<const Directory>();
  }
  std::ranges::stable_sort(raw, {}, &Raw::name);
  auto merged = std::make_shared<Directory>();
  merged->names.reserve(below->names.size() + raw.size());
  auto old = below->names.begin();
  const auto add_layers_of = [&](const Name& name) {
    const auto first = below->layers.begin() + name.first;
    merged->layers.insert(merged->layers.end(), first, first + name.count);
  };
  const auto keep_old_before = [&](const std::string* name) {
    for (; old != below->names.end() && (name == nullptr || old->name < *name);
         ++old) {
      merged->names.push_back(*old);
      merged->names.back().first = static_cast<uint32_t>(merged->layers.size());
      add_layers_of(*old);
    }
  };
  std::vector<std::string> deeper;
  for (auto it = raw.begin(); it != raw.end();) {
    const std::string name = it->name;
    const bool directory = it->kind == Raw::Kind::kDirectory;
    const auto end = std::find_if(
        it, raw.end(), [&](const Raw& other) { return other.name != name; });
    keep_old_before(&name);
    AddName(it, end, merged.get());
    it = end;
    if (old == below->names.end() || old->name != name) continue;
    const Name& hidden = *old++;
    if (hidden.kind != Name::Kind::kDirectory) continue;
    const std::string child = path.empty() ? name : path + "/" + name;
    if (directory) {
      add_layers_of(hidden);
      merged->names.back().count += hidden.count;
      if (cache_.contains(child)) deeper.push_back(child);
    } else {
      ForgetBelow(child);
      cache_.erase(child);
    }
  }
  keep_old_before(nullptr);
  cache_[path] = std::move(merged);
  for (const std::string& child : deeper) MergeTop(child);
}

// The listings below `path`.
void OverlayTree::ForgetBelow(const std::string& path) {
  std::erase_if(cache_, [&](const auto& item) {
    return path.empty() ? !item.first.empty()
                        : item.first.starts_with(path + "/");
  });
}

std::string OverlayTree::OnDisk(const Place& place) const {
  const std::string& dir = layers_[place.layer]->spec.dir;
  return place.path.empty() ? dir : dir + "/" + place.path;
}

OverlayTree::Place OverlayTree::PlaceOfDirectory(
    const std::vector<uint32_t>& layers, const std::string& path) const {
  for (const uint32_t layer : layers) {
    if (!layers_[layer]->implied.contains(path)) return {layer, path, false};
  }
  return {layers.empty() ? 0 : layers.back(), path, true};
}

std::optional<OverlayTree::Place> OverlayTree::PlaceOf(
    const Directory& parent, const Name& name, const std::string& path) const {
  switch (name.kind) {
    case Name::Kind::kOther:
      return Place{name.layer, path, false};
    case Name::Kind::kLowerLink:
      return layers_[name.layer]->links.at(path);
    case Name::Kind::kDirectory:
      break;
  }
  const auto first = parent.layers.begin() + name.first;
  return PlaceOfDirectory({first, first + name.count}, path);
}

std::optional<OverlayTree::Place> OverlayTree::Find(
    const std::string& path) const {
  if (path.empty()) {
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < layers_.size(); ++i) {
      all.insert(all.begin(), i);
    }
    return PlaceOfDirectory(all, path);
  }
  const DirectoryPtr parent = GetDirectory(fs::ParentPath(path));
  if (parent == nullptr) return std::nullopt;
  const Name* name = parent->FindName(fs::BaseName(path));
  if (name == nullptr) return std::nullopt;
  return PlaceOf(*parent, *name, path);
}

OverlayTree::DirectoryPtr OverlayTree::GetDirectory(
    const std::string& path) const {
  {
    const std::lock_guard lock(mutex_);
    const auto it = cache_.find(path);
    if (it != cache_.end()) return it->second;
  }
  std::vector<uint32_t> candidates;
  if (path.empty()) {
    for (uint32_t i = 0; i < layers_.size(); ++i) {
      candidates.insert(candidates.begin(), i);
    }
  } else {
    const DirectoryPtr parent = GetDirectory(fs::ParentPath(path));
    if (parent == nullptr) return nullptr;
    const Name* name = parent->FindName(fs::BaseName(path));
    if (name == nullptr || name->kind != Name::Kind::kDirectory) {
      return nullptr;
    }
    const auto first = parent->layers.begin() + name->first;
    candidates.assign(first, first + name->count);
  }
  DirectoryPtr directory = Load(path, candidates);
  Remember(path, directory);
  return directory;
}

void OverlayTree::Remember(const std::string& path,
                           const DirectoryPtr& directory) const {
  const std::lock_guard lock(mutex_);
  if (!cache_.emplace(path, directory).second) return;
  cache_order_.push_back(path);
  cached_names_ += directory->names.size() + 1;
  while (cached_names_ > kMaxCachedNames && cache_order_.size() > 1) {
    const auto oldest = cache_.find(cache_order_.front());
    evicted_ = true;
    cached_names_ -= oldest->second->names.size() + 1;
    cache_.erase(oldest);
    cache_order_.pop_front();
  }
}

bool OverlayTree::ReadLayer(uint32_t layer, const std::string& path, bool last,
                            std::vector<Raw>* names) const {
  const std::string on_disk = OnDisk({layer, path, false});
  UniqueFd fd =
      fs::Open(dir_->get(), on_disk, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  bool opaque = false;
  if (!last) {
    char value = 0;
    opaque = ::fgetxattr(fd.get(), opaque_xattr_.c_str(), &value, 1) == 1 &&
             value == 'y';
  }
  // Before the names on disk: a link may stand where a whiteout is.
  const auto links = layers_[layer]->links_by_parent.find(path);
  if (links != layers_[layer]->links_by_parent.end()) {
    for (const std::string& link : links->second) {
      names->push_back({fs::BaseName(link), layer, Raw::Kind::kLowerLink});
    }
  }
  const std::unique_ptr<DIR, DirCloser> dir(::fdopendir(fd.get()));
  if (dir == nullptr) throw ErrnoError("open directory", on_disk, errno);
  fd.release();
  const int dir_fd = ::dirfd(dir.get());
  for (;;) {
    errno = 0;
    const struct dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) throw ErrnoError("read directory", on_disk, errno);
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    Raw raw{std::string(name), layer, Raw::Kind::kOther};
    if (entry->d_type == DT_DIR) {
      raw.kind = Raw::Kind::kDirectory;
    } else if (entry->d_type == DT_CHR || entry->d_type == DT_UNKNOWN) {
      const auto st = fs::LstatIfExists(dir_fd, raw.name);
      if (st && S_ISDIR(st->st_mode)) raw.kind = Raw::Kind::kDirectory;
      if (st && S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0)) {
        raw.kind = Raw::Kind::kWhiteout;
      }
    }
    names->push_back(std::move(raw));
  }
  return !opaque;
}

// One name in all layers that have it, topmost first.
void OverlayTree::AddName(std::vector<Raw>::iterator first,
                          std::vector<Raw>::iterator last,
                          Directory* directory) {
  if (first->kind == Raw::Kind::kWhiteout) return;
  Name name;
  name.layer = first->layer;
  name.kind = first->kind == Raw::Kind::kDirectory   ? Name::Kind::kDirectory
              : first->kind == Raw::Kind::kLowerLink ? Name::Kind::kLowerLink
                                                     : Name::Kind::kOther;
  name.first = static_cast<uint32_t>(directory->layers.size());
  name.name = std::move(first->name);
  // A directory merges with those below it, down to the first thing that is
  // none.
  for (; first != last && first->kind == Raw::Kind::kDirectory; ++first) {
    directory->layers.push_back(first->layer);
  }
  name.count = static_cast<uint32_t>(directory->layers.size()) - name.first;
  directory->names.push_back(std::move(name));
}

OverlayTree::DirectoryPtr OverlayTree::Load(
    const std::string& path, const std::vector<uint32_t>& candidates) const {
  auto directory = std::make_shared<Directory>();
  std::vector<Raw> raw;
  for (const uint32_t layer : candidates) {
    if (!ReadLayer(layer, path, layer == candidates.back(), &raw)) break;
  }
  // Stable: equal names stay in layer order, topmost first.
  std::ranges::stable_sort(raw, {}, &Raw::name);
  for (size_t i = 0; i < raw.size();) {
    size_t end = i + 1;
    while (end < raw.size() && raw[end].name == raw[i].name) ++end;
    AddName(raw.begin() + static_cast<ptrdiff_t>(i),
            raw.begin() + static_cast<ptrdiff_t>(end), directory.get());
    i = end;
  }
  return directory;
}

std::optional<FileInfo> OverlayTree::Lstat(const std::string& path) const {
  const auto place = Find(path);
  if (!place) return std::nullopt;
  if (place->synthetic || layers_.empty()) return ImpliedInfo();
  const auto st = fs::LstatIfExists(dir_->get(), OnDisk(*place));
  if (!st) {
    throw Error(ErrorCode::kHost,
                fmt::format("layer {}: {} has gone from the store",
                            layers_[place->layer]->spec.name, Quoted(path)));
  }
  FileInfo info = ToFileInfo(*st);
  info.device = layers_[place->layer]->spec.device;
  return info;
}

std::string OverlayTree::ReadLink(const std::string& path) const {
  const auto place = Find(path);
  if (!place || layers_.empty()) throw ErrnoError("readlink", path, ENOENT);
  return fs::ReadLink(dir_->get(), OnDisk(*place));
}

std::vector<std::string> OverlayTree::List(const std::string& path) const {
  const DirectoryPtr directory = GetDirectory(path);
  if (directory == nullptr) throw ErrnoError("list", path, ENOTDIR);
  std::vector<std::string> names;
  names.reserve(directory->names.size());
  for (const Name& name : directory->names) names.push_back(name.name);
  return names;
}

UniqueFd OverlayTree::Open(const std::string& path) const {
  const auto place = Find(path);
  if (!place || layers_.empty()) throw ErrnoError("open", path, ENOENT);
  // O_NONBLOCK: should it be a FIFO after all, the caller gets an error from
  // read and not a hang.
  return fs::Open(dir_->get(), OnDisk(*place),
                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

std::map<std::string, std::string> OverlayTree::Xattrs(
    const std::string& path) const {
  const auto place = Find(path);
  if (!place) throw ErrnoError("listxattr", path, ENOENT);
  if (place->synthetic || layers_.empty()) return {};
  auto xattrs = fs::ListXattrs(dir_->get(), OnDisk(*place));
  std::erase_if(xattrs, [this](const auto& item) {
    return item.first.starts_with(private_prefix_);
  });
  return xattrs;
}

}  // namespace imgbuild::store
