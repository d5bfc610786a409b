#include "store/layer_resolve.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <utility>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "store/node_copy.h"

namespace imgbuild::store {
namespace {

struct Wanted {
  std::string path;
  FileInfo info;
  Xattrs xattrs;
};

// What the implied directories must look like above `below`. Parents come
// before children.
std::vector<Wanted> WantedOf(const LayerMeta& meta, const FileTree& below) {
  std::vector<Wanted> all;
  for (const std::string& path : meta.implied) {
    // The root belongs to the topmost directory of a mount, see Active.
    if (path.empty()) continue;
    Wanted wanted;
    wanted.path = path;
    const auto info = below.Lstat(path);
    if (info && info->type == FileType::kDirectory) {
      wanted.info = *info;
      wanted.xattrs = below.Xattrs(path);
    } else {
      wanted.info.type = FileType::kDirectory;
      wanted.info.mode = 0755;
    }
    all.push_back(std::move(wanted));
  }
  return all;
}

bool AllRight(int dir, const std::vector<Wanted>& wanted) {
  for (const Wanted& one : wanted) {
    if (!HasMetadata(dir, one.path, one.info, one.xattrs)) return false;
  }
  return true;
}

void ApplyAll(int dir, const std::vector<Wanted>& wanted) {
  for (const Wanted& one : wanted) {
    ApplyMetadata(dir, one.path, one.info, one.xattrs);
  }
}

// Times of directories that get new names in them, from before.
class KeptTimes {
 public:
  explicit KeptTimes(int dir) : dir_(dir) {}

  void Keep(const std::string& path) {
    if (times_.contains(path)) return;
    const auto st = fs::LstatIfExists(dir_, path.empty() ? "." : path);
    if (st) times_.emplace(path, st->st_mtim);
  }
  void Restore() const {
    for (const auto& [path, time] : times_) {
      const std::array<struct ::timespec, 2> both = {
          {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, time}};
      if (::utimensat(dir_, path.empty() ? "." : path.c_str(), both.data(),
                      AT_SYMLINK_NOFOLLOW) != 0) {
        throw ErrnoError("set times", path, errno);
      }
    }
  }

 private:
  int dir_;
  std::map<std::string, struct ::timespec> times_;
};

// Makes the directories down to `path`, as they are in `below`.
void MakeParents(int dir, const std::string& path, const FileTree& below,
                 KeptTimes* times, std::vector<Wanted>* made) {
  if (path.empty() || fs::LstatIfExists(dir, path)) {
    times->Keep(path);
    return;
  }
  MakeParents(dir, fs::ParentPath(path), below, times, made);
  fs::MakeDir(dir, path, 0755);
  LayerMeta one;
  one.implied = {path};
  for (Wanted& wanted : WantedOf(one, below))
    made->push_back(std::move(wanted));
}

bool SameFile(const FileTree& a, const FileTree& b, const std::string& path) {
  const auto in_a = a.Lstat(path);
  const auto in_b = b.Lstat(path);
  return in_a && in_b && in_a->device == in_b->device &&
         in_a->inode == in_b->inode;
}

// Puts the links to files of lower layers into `dir`. Where the target still
// shows through this layer it is copied up under its own name too, so that the
// two stay one file.
void MakeLinks(int dir, const LayerMeta& meta, const FileTree& below,
               const FileTree& merged, std::vector<Wanted>* made) {
  KeptTimes times(dir);
  std::map<std::string, std::string> copies;  // target -> its copy here
  for (const auto& link : meta.links) {
    const std::string target = ResolveInTree(below, link.target, false);
    MakeParents(dir, fs::ParentPath(link.path), below, &times, made);
    // A whiteout may have been there before the link.
    ::unlinkat(dir, link.path.c_str(), 0);
    auto copy = copies.find(target);
    if (copy == copies.end()) {
      std::string name = link.path;
      if (SameFile(below, merged, target) && target != link.path) {
        MakeParents(dir, fs::ParentPath(target), below, &times, made);
        name = target;
      }
      CopyNode(below, target, dir, name);
      copy = copies.emplace(target, std::move(name)).first;
    }
    if (copy->second == link.path) continue;
    if (::linkat(dir, copy->second.c_str(), dir, link.path.c_str(), 0) != 0) {
      throw ErrnoError("link", link.path, errno);
    }
  }
  times.Restore();
}

std::string VariantName(const std::optional<oci::ChainId>& chain) {
  return chain ? "c-" + chain->hex().substr(0, 32) : "c-none";
}

void MakeVariant(ResolveContext& context, const oci::DiffId& diff_id,
                 const LayerMeta& meta, const FileTree& below,
                 const FileTree& merged, const std::string& variant) {
  Layout& layout = context.layout;
  fs::TempDir temp(layout.own_tmp(), "v-");
  LinkTree(layout.layers_fd(), diff_id.hex() + "/" + kFilesName, temp.fd(),
           kFilesName);
  {
    const UniqueFd dir = fs::OpenDir(temp.fd(), kFilesName);
    std::vector<Wanted> wanted = WantedOf(meta, below);
    MakeLinks(dir.get(), meta, below, merged, &wanted);
    ApplyAll(dir.get(), wanted);
  }
  context.unsynced.MarkLayer(diff_id);
  const std::string target = diff_id.hex() + "/" + variant;
  if (::renameat2(temp.fd(), kFilesName, layout.layers_fd(), target.c_str(),
                  RENAME_NOREPLACE) != 0 &&
      errno != EEXIST) {
    throw ErrnoError("rename", "layers/" + target, errno);
  }
}

// Without fsync: the layer has its mark.
void ReplaceMeta(int layer_dir, const LayerMeta& meta) {
  constexpr char kNewName[] = "meta.new";
  {
    const UniqueFd file = fs::Open(
        layer_dir, kNewName, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    fs::WriteAll(file.get(), AsBytes(EncodeMeta(meta)), kNewName);
  }
  fs::Rename(layer_dir, kNewName, layer_dir, kMetaName);
}

// True when fs/ itself serves this stack.
bool UseInPlace(ResolveContext& context, const oci::DiffId& diff_id,
                const std::string& chain, const FileTree& below) {
  const UniqueFd layer = fs::Open(context.layout.layers_fd(), diff_id.hex(),
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  while (::flock(layer.get(), LOCK_EX) != 0) {
    if (errno != EINTR) throw ErrnoError("lock", diff_id.ToString(), errno);
  }
  // Somebody else may have been here since it was read.
  auto meta = ReadMeta(context.layout, diff_id, context.opaque_xattr);
  if (!meta) throw ErrnoError("open", "layer " + diff_id.ToString(), ENOENT);
  if (meta->chain == chain) return true;
  const std::vector<Wanted> wanted = WantedOf(*meta, below);
  const UniqueFd files = fs::OpenDir(layer.get(), kFilesName);
  if (!meta->chain.empty()) return AllRight(files.get(), wanted);
  context.unsynced.MarkLayer(diff_id);
  ApplyAll(files.get(), wanted);
  meta->chain = chain;
  ReplaceMeta(layer.get(), *meta);
  return true;
}

}  // namespace

bool IsSelfContained(const LayerMeta& meta) {
  return meta.links.empty() &&
         (meta.implied.empty() ||
          (meta.implied.size() == 1 && meta.implied.front().empty()));
}

std::string ResolveLayer(ResolveContext& context, const oci::DiffId& diff_id,
                         const LayerMeta& meta, const FileTree& below,
                         const FileTree& merged,
                         const std::optional<oci::ChainId>& chain) {
  const std::string plain = diff_id.hex() + "/" + kFilesName;
  if (IsSelfContained(meta)) return plain;
  const std::string chain_name = chain ? chain->ToString() : "none";
  if (meta.links.empty() && (meta.chain == chain_name ||
                             UseInPlace(context, diff_id, chain_name, below))) {
    return plain;
  }
  const std::string variant = VariantName(chain);
  const std::string path = diff_id.hex() + "/" + variant;
  if (!fs::LstatIfExists(context.layout.layers_fd(), path)) {
    MakeVariant(context, diff_id, meta, below, merged, variant);
  }
  return path;
}

}  // namespace imgbuild::store
