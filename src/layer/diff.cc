#include "imgbuild/layer/diff.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "layer/layer_xattrs.h"

namespace imgbuild::layer {
namespace {

using Xattrs = std::map<std::string, std::string>;

std::string Below(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "/" + name;
}

bool IsWhiteoutDevice(const struct ::stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

EntryType TypeOf(const struct ::stat& st) {
  switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
      return EntryType::kDirectory;
    case S_IFLNK:
      return EntryType::kSymlink;
    case S_IFCHR:
      return EntryType::kCharDevice;
    case S_IFBLK:
      return EntryType::kBlockDevice;
    case S_IFIFO:
      return EntryType::kFifo;
    default:
      return EntryType::kFile;
  }
}

// Reads from `fd` as much as there is, up to the size of the buffer.
size_t ReadFull(int fd, std::span<char> buffer, const std::string& path) {
  FdReader reader(fd, path);
  size_t total = 0;
  while (total < buffer.size()) {
    const size_t n = reader.Read(std::as_writable_bytes(buffer.subspan(total)));
    if (n == 0) break;
    total += n;
  }
  return total;
}

class UpperWalk {
 public:
  using Emit = std::function<void(const Entry& entry, Reader* content)>;

  UpperWalk(const FileTree& lower, const DiffOptions& options, const Emit& emit,
            const CancelToken& cancel)
      : lower_(lower),
        options_(options),
        overlay_prefix_(options.opaque_xattr.substr(
            0, options.opaque_xattr.rfind('.') + 1)),
        emit_(emit),
        cancel_(cancel) {}

  void Run(int upper_fd) {
    Dir root;
    root.fd = upper_fd;
    Walk(root);
  }

 private:
  // A directory that is being listed.
  struct Dir {
    int fd = -1;
    std::string path;
    // Nothing of the layers below is to be seen here.
    bool hidden = false;
    // The marker is due: the attribute is set and there is something to hide.
    bool marker = false;
  };

  // One thing to emit. Entries are ordered by their whole path, so a directory
  // "a" and what is below it ("a/x") are two items: "a-b" comes between.
  struct Item {
    enum class Kind { kOpaque, kWhiteout, kNode, kSubtree };
    std::string key;
    Kind kind;
    std::string name;
    struct ::stat st {};
  };

  // What there is to know about a directory of the upper tree.
  struct DirState {
    Xattrs xattrs;
    bool same_as_lower = false;
    bool hidden = false;
    bool marker = false;
  };

  std::vector<Item> List(const Dir& dir) const {
    std::vector<Item> items;
    if (dir.marker) items.push_back({kOpaqueName, Item::Kind::kOpaque, "", {}});
    for (std::string& name : fs::ListDir(dir.fd)) {
      const auto st = fs::LstatIfExists(dir.fd, name);
      if (!st || S_ISSOCK(st->st_mode)) continue;
      if (IsWhiteoutDevice(*st)) {
        if (dir.hidden || !lower_.Lstat(Below(dir.path, name))) continue;
        items.push_back(
            {kWhiteoutPrefix + name, Item::Kind::kWhiteout, name, *st});
        continue;
      }
      if (name.starts_with(kWhiteoutPrefix)) {
        throw Error(
            Error(ErrorCode::kHost,
                  Quoted(Below(dir.path, name)) +
                      ": a layer cannot hold names that begin with \".wh.\"")
                .WithHint("layers use such names to mark what was removed"));
      }
      if (S_ISDIR(st->st_mode)) {
        items.push_back({name + "/", Item::Kind::kSubtree, name, *st});
      }
      items.push_back({name, Item::Kind::kNode, std::move(name), *st});
    }
    std::sort(items.begin(), items.end(),
              [](const Item& a, const Item& b) { return a.key < b.key; });
    return items;
  }

  void Walk(const Dir& dir) {
    for (const Item& item : List(dir)) {
      cancel_.Check();
      const std::string path = Below(dir.path, item.name);
      switch (item.kind) {
        case Item::Kind::kOpaque:
          EmitMarker(Below(dir.path, kOpaqueName));
          break;
        case Item::Kind::kWhiteout:
          EmitMarker(Below(dir.path, item.key));
          break;
        case Item::Kind::kSubtree: {
          const DirState state = Inspect(dir, item, path);
          if (state.same_as_lower && !HoldsChanges(dir, item, path)) break;
          const UniqueFd fd = OpenChild(dir, item.name, path);
          Walk({fd.get(), path, state.hidden, state.marker});
          break;
        }
        case Item::Kind::kNode:
          EmitNode(dir, item, path);
          break;
      }
    }
  }

  UniqueFd OpenChild(const Dir& dir, const std::string& name,
                     const std::string& path) const {
    UniqueFd fd(::openat(dir.fd, name.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) throw ErrnoError("open", path, errno);
    return fd;
  }

  // Attributes of `name`; with redirect_dir or metacopy the data is not where
  // it seems to be, and a layer made from it would be wrong.
  Xattrs ReadXattrs(int dirfd, const std::string& name,
                    const std::string& path) const {
    Xattrs xattrs = fs::ListXattrs(dirfd, name);
    for (const char* const bad : {"redirect", "metacopy"}) {
      if (!xattrs.contains(overlay_prefix_ + bad)) continue;
      throw Error(ErrorCode::kHost, Quoted(path) +
                                        ": overlayfs wrote it with " + bad +
                                        ", which cannot be committed");
    }
    return xattrs;
  }

  DirState Inspect(const Dir& dir, const Item& item,
                   const std::string& path) const {
    DirState state;
    state.xattrs = ReadXattrs(dir.fd, item.name, path);
    const auto opaque = state.xattrs.find(options_.opaque_xattr);
    // "x" is overlayfs saying that there may be whiteouts of another kind
    // inside; only "y" hides.
    const bool is_opaque =
        opaque != state.xattrs.end() && opaque->second == "y";
    state.xattrs = OnlyForLayers(std::move(state.xattrs));
    std::optional<FileInfo> below;
    if (!dir.hidden) below = lower_.Lstat(path);
    const bool has_lower = below && below->type == FileType::kDirectory;
    state.hidden = is_opaque || !has_lower;
    state.marker = is_opaque && has_lower && !lower_.List(path).empty();
    state.same_as_lower = has_lower && !state.marker &&
                          SameOwnerAndMode(*below, item.st) &&
                          OnlyForLayers(lower_.Xattrs(path)) == state.xattrs;
    return state;
  }

  static bool SameOwnerAndMode(const FileInfo& below, const struct ::stat& st) {
    return below.mode == (st.st_mode & 07777) && below.uid == st.st_uid &&
           below.gid == st.st_gid;
  }

  // Whether anything below a directory will be emitted. Looks ahead until the
  // first thing that will; what it learns is kept, so that nested unchanged
  // directories are looked at once.
  bool HoldsChanges(const Dir& dir, const Item& item, const std::string& path) {
    if (const auto it = holds_changes_.find(path); it != holds_changes_.end()) {
      return it->second;
    }
    const DirState state = Inspect(dir, item, path);
    bool found = state.marker;
    if (!found) {
      const UniqueFd fd = OpenChild(dir, item.name, path);
      const Dir child{fd.get(), path, state.hidden, state.marker};
      for (const Item& inner : List(child)) {
        cancel_.Check();
        found = ItemIsEmitted(child, inner);
        if (found) break;
      }
    }
    holds_changes_[path] = found;
    return found;
  }

  bool ItemIsEmitted(const Dir& dir, const Item& item) {
    const std::string path = Below(dir.path, item.name);
    switch (item.kind) {
      case Item::Kind::kOpaque:
      case Item::Kind::kWhiteout:
        return true;
      case Item::Kind::kSubtree:
        return HoldsChanges(dir, item, path);
      case Item::Kind::kNode:
        break;
    }
    if (S_ISDIR(item.st.st_mode)) {
      return !Inspect(dir, item, path).same_as_lower;
    }
    return !SameAsLower(dir, item, path);
  }

  // Of what is not a directory.
  bool SameAsLower(const Dir& dir, const Item& item, const std::string& path) {
    if (dir.hidden || item.st.st_nlink > 1) return false;
    const auto below = lower_.Lstat(path);
    FileInfo here = ToFileInfo(item.st);
    // As the layer would say it: in whole seconds and clamped. Then a second
    // look at a tree whose times were set so meanwhile sees the same.
    here.mtime_s = ClampedTime(item.st);
    const auto identity = [](const FileInfo& info) {
      return std::tuple(info.type, info.mode, info.uid, info.gid, info.size,
                        info.mtime_s, info.rdev_major, info.rdev_minor);
    };
    if (!below || identity(*below) != identity(here)) return false;
    if (const auto it = same_files_.find(path); it != same_files_.end()) {
      return it->second;
    }
    const bool same = OnlyForLayers(ReadXattrs(dir.fd, item.name, path)) ==
                          OnlyForLayers(lower_.Xattrs(path)) &&
                      SameContent(dir, item, path);
    same_files_[path] = same;
    return same;
  }

  bool SameContent(const Dir& dir, const Item& item,
                   const std::string& path) const {
    if (S_ISLNK(item.st.st_mode)) {
      return fs::ReadLink(dir.fd, item.name) == lower_.ReadLink(path);
    }
    if (!S_ISREG(item.st.st_mode)) return true;
    const UniqueFd here = OpenFile(dir, item, path);
    const UniqueFd there = lower_.Open(path);
    std::vector<char> a(64u << 10);
    std::vector<char> b(a.size());
    while (true) {
      const size_t n = ReadFull(here.get(), a, path);
      const size_t m = ReadFull(there.get(), b, path);
      if (n != m || std::memcmp(a.data(), b.data(), n) != 0) return false;
      if (n < a.size()) return true;
    }
  }

  UniqueFd OpenFile(const Dir& dir, const Item& item,
                    const std::string& path) const {
    UniqueFd fd(::openat(dir.fd, item.name.c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) throw ErrnoError("open", path, errno);
    const struct ::stat st = fs::Fstat(fd.get());
    if (!S_ISREG(st.st_mode) || st.st_ino != item.st.st_ino) {
      throw Error(ErrorCode::kHost,
                  Quoted(path) + " changed while it was read");
    }
    return fd;
  }

  void EmitMarker(const std::string& path) {
    Entry entry;
    entry.path = path;
    entry.mtime_s = options_.epoch;
    StringReader nothing("");
    emit_(entry, &nothing);
  }

  void EmitNode(const Dir& dir, const Item& item, const std::string& path) {
    Entry entry;
    entry.path = path;
    entry.type = TypeOf(item.st);
    entry.mode = item.st.st_mode & 07777;
    entry.uid = item.st.st_uid;
    entry.gid = item.st.st_gid;
    entry.mtime_s = ClampedTime(item.st);
    switch (entry.type) {
      case EntryType::kDirectory: {
        DirState state = Inspect(dir, item, path);
        if (state.same_as_lower && !HoldsChanges(dir, item, path)) return;
        entry.xattrs = std::move(state.xattrs);
        emit_(entry, nullptr);
        return;
      }
      case EntryType::kSymlink:
        entry.mode = 0777;
        entry.link_target = fs::ReadLink(dir.fd, item.name);
        break;
      case EntryType::kCharDevice:
      case EntryType::kBlockDevice:
        entry.dev_major = major(item.st.st_rdev);
        entry.dev_minor = minor(item.st.st_rdev);
        break;
      default:
        break;
    }
    if (SameAsLower(dir, item, path)) return;
    if (EmitAsHardLink(item, &entry)) return;
    entry.xattrs = OnlyForLayers(ReadXattrs(dir.fd, item.name, path));
    if (entry.type != EntryType::kFile) {
      emit_(entry, nullptr);
      return;
    }
    entry.size = static_cast<uint64_t>(item.st.st_size);
    const UniqueFd fd = OpenFile(dir, item, path);
    FdReader content(fd.get(), path);
    emit_(entry, &content);
  }

  int64_t ClampedTime(const struct ::stat& st) const {
    return std::min<int64_t>(st.st_mtim.tv_sec, options_.epoch);
  }

  // A later name of an inode that was emitted.
  bool EmitAsHardLink(const Item& item, Entry* entry) {
    if (item.st.st_nlink < 2) return false;
    const auto [it, is_new] = first_names_.try_emplace(
        std::pair(item.st.st_dev, item.st.st_ino), entry->path);
    if (is_new) return false;
    entry->type = EntryType::kHardLink;
    entry->link_target = it->second;
    emit_(*entry, nullptr);
    return true;
  }

  const FileTree& lower_;
  const DiffOptions& options_;
  const std::string overlay_prefix_;
  const Emit& emit_;
  const CancelToken& cancel_;
  std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
  std::unordered_map<std::string, bool> holds_changes_;
  std::unordered_map<std::string, bool> same_files_;
};

}  // namespace

void EmitUpper(
    int upper_fd, const FileTree& lower, const DiffOptions& options,
    const std::function<void(const Entry& entry, Reader* content)>& emit,
    const CancelToken& cancel) {
  UpperWalk(lower, options, emit, cancel).Run(upper_fd);
}

}  // namespace imgbuild::layer
