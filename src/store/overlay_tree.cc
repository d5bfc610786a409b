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
  std::vector<uint32_t> own;     // the layers that this one itself is in

  const Name* FindName(std::string_view name) const {
    const auto it = std::lower_bound(
        names.begin(), names.end(), name,
        [](const Name& a, std::string_view b) { return a.name < b; });
    return it != names.end() && it->name == name ? &*it : nullptr;
  }
};

OverlayTree::OverlayTree(UniqueFd dir, std::vector<TreeLayer> layers,
                         std::string opaque_xattr, std::shared_ptr<void> keep)
    : dir_(std::move(dir)),
      opaque_xattr_(std::move(opaque_xattr)),
      keep_(std::move(keep)) {
  private_prefix_ = opaque_xattr_.substr(0, opaque_xattr_.rfind('.') + 1);
  for (TreeLayer& spec : layers) {
    Layer layer;
    layer.implied.insert(spec.implied.begin(), spec.implied.end());
    layer.spec = std::move(spec);
    layers_.push_back(std::move(layer));
  }
  ResolveLinks();
}

// Bottom up, so that a link to a link finds the file.
void OverlayTree::ResolveLinks() {
  for (uint32_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].spec.links.empty()) continue;
    std::vector<TreeLayer> below;
    for (uint32_t j = 0; j < i; ++j) below.push_back(layers_[j].spec);
    UniqueFd dir(::fcntl(dir_.get(), F_DUPFD_CLOEXEC, 3));
    if (!dir) throw ErrnoError("dup", "layers", errno);
    const OverlayTree lower(std::move(dir), std::move(below), opaque_xattr_,
                            keep_);
    for (const auto& link : layers_[i].spec.links) {
      const std::string target = ResolveInTree(lower, link.target, false);
      auto place = lower.Find(target);
      const auto info = lower.Lstat(target);
      if (!place || !info || info->type == FileType::kDirectory) {
        throw Error(ErrorCode::kHost,
                    fmt::format("layer {}: {} is a hard link to {}, which is "
                                "not a file of the layers below",
                                layers_[i].spec.name, Quoted(link.path),
                                Quoted(link.target)));
      }
      layers_[i].links.emplace(link.path, std::move(*place));
      layers_[i].links_by_parent[fs::ParentPath(link.path)].push_back(
          link.path);
    }
  }
}

std::string OverlayTree::OnDisk(const Place& place) const {
  const std::string& dir = layers_[place.layer].spec.dir;
  return place.path.empty() ? dir : dir + "/" + place.path;
}

OverlayTree::Place OverlayTree::PlaceOfDirectory(
    const std::vector<uint32_t>& layers, const std::string& path) const {
  for (const uint32_t layer : layers) {
    if (!layers_[layer].implied.contains(path)) return {layer, path, false};
  }
  return {layers.empty() ? 0 : layers.back(), path, true};
}

std::optional<OverlayTree::Place> OverlayTree::PlaceOf(
    const Directory& parent, const Name& name, const std::string& path) const {
  switch (name.kind) {
    case Name::Kind::kOther:
      return Place{name.layer, path, false};
    case Name::Kind::kLowerLink:
      return layers_[name.layer].links.at(path);
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
    cached_names_ -= oldest->second->names.size() + 1;
    cache_.erase(oldest);
    cache_order_.pop_front();
  }
}

bool OverlayTree::ReadLayer(uint32_t layer, const std::string& path, bool last,
                            std::vector<Raw>* names) const {
  const std::string on_disk = OnDisk({layer, path, false});
  UniqueFd fd =
      fs::Open(dir_.get(), on_disk, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  bool opaque = false;
  if (!last) {
    char value = 0;
    opaque = ::fgetxattr(fd.get(), opaque_xattr_.c_str(), &value, 1) == 1 &&
             value == 'y';
  }
  // Before the names on disk: a link may stand where a whiteout is.
  const auto links = layers_[layer].links_by_parent.find(path);
  if (links != layers_[layer].links_by_parent.end()) {
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

OverlayTree::DirectoryPtr OverlayTree::Load(
    const std::string& path, const std::vector<uint32_t>& candidates) const {
  auto directory = std::make_shared<Directory>();
  std::vector<Raw> raw;
  for (const uint32_t layer : candidates) {
    directory->own.push_back(layer);
    if (!ReadLayer(layer, path, layer == candidates.back(), &raw)) break;
  }
  // Stable: equal names stay in layer order, topmost first.
  std::ranges::stable_sort(raw, {}, &Raw::name);
  for (size_t i = 0; i < raw.size();) {
    size_t end = i + 1;
    while (end < raw.size() && raw[end].name == raw[i].name) ++end;
    if (raw[i].kind != Raw::Kind::kWhiteout) {
      Name name;
      name.layer = raw[i].layer;
      name.kind = raw[i].kind == Raw::Kind::kDirectory ? Name::Kind::kDirectory
                  : raw[i].kind == Raw::Kind::kLowerLink
                      ? Name::Kind::kLowerLink
                      : Name::Kind::kOther;
      name.first = static_cast<uint32_t>(directory->layers.size());
      // A directory merges with those below it, down to the first thing that
      // is none.
      for (size_t j = i; j < end && raw[j].kind == Raw::Kind::kDirectory; ++j) {
        directory->layers.push_back(raw[j].layer);
      }
      name.count = static_cast<uint32_t>(directory->layers.size()) - name.first;
      name.name = std::move(raw[i].name);
      directory->names.push_back(std::move(name));
    }
    i = end;
  }
  return directory;
}

std::optional<FileInfo> OverlayTree::Lstat(const std::string& path) const {
  const auto place = Find(path);
  if (!place) return std::nullopt;
  if (place->synthetic || layers_.empty()) return ImpliedInfo();
  const auto st = fs::LstatIfExists(dir_.get(), OnDisk(*place));
  if (!st) {
    throw Error(ErrorCode::kHost,
                fmt::format("layer {}: {} has gone from the store",
                            layers_[place->layer].spec.name, Quoted(path)));
  }
  FileInfo info = ToFileInfo(*st);
  info.device = layers_[place->layer].spec.device;
  return info;
}

std::string OverlayTree::ReadLink(const std::string& path) const {
  const auto place = Find(path);
  if (!place || layers_.empty()) throw ErrnoError("readlink", path, ENOENT);
  return fs::ReadLink(dir_.get(), OnDisk(*place));
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
  return fs::Open(dir_.get(), OnDisk(*place),
                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

std::map<std::string, std::string> OverlayTree::Xattrs(
    const std::string& path) const {
  const auto place = Find(path);
  if (!place) throw ErrnoError("listxattr", path, ENOENT);
  if (place->synthetic || layers_.empty()) return {};
  auto xattrs = fs::ListXattrs(dir_.get(), OnDisk(*place));
  std::erase_if(xattrs, [this](const auto& item) {
    return item.first.starts_with(private_prefix_);
  });
  return xattrs;
}

}  // namespace imgbuild::store
