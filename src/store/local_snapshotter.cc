#include "store/local_snapshotter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "store/layer_resolve.h"
#include "store/node_copy.h"
#include "store/upper_normalizer.h"

namespace imgbuild::store {
namespace {

constexpr char kWorkName[] = "work";
constexpr char kEmptyName[] = "empty";

class LocalPending : public PendingLayer {
 public:
  LocalPending(Layout& layout, Unsynced& unsynced, std::string opaque_xattr,
               std::optional<oci::DiffId> base,
               std::shared_ptr<LayerLocks> base_lock)
      : layout_(layout),
        unsynced_(unsynced),
        opaque_xattr_(std::move(opaque_xattr)),
        base_(std::move(base)),
        base_lock_(std::move(base_lock)),
        dir_(layout.own_tmp(), "layer-") {
    fs::MakeDir(dir_.fd(), kFilesName, 0755);
    files_ = fs::OpenDir(dir_.fd(), kFilesName);
  }

  int fd() const override { return files_.get(); }

  void Commit(const oci::DiffId& diff_id,
              const layer::ExtractResult& result) override {
    LayerMeta meta;
    meta.opaque_xattr = opaque_xattr_;
    meta.implied = result.implied_directories;
    meta.links = result.lower_links;
    meta.opaque_root = result.opaque_root;
    if (!result.has_root_entry) meta.implied.emplace_back();
    std::ranges::sort(meta.implied);
    const auto same = std::ranges::unique(meta.implied);
    meta.implied.erase(same.begin(), same.end());
    std::ranges::sort(meta.links, {}, &layer::ExtractResult::LowerLink::path);
    MakeLinkParents(&meta);
    meta.base = base_;
    PublishLayer(layout_, unsynced_, std::move(dir_), diff_id, meta);
  }

 private:
  // A directory that holds nothing but a link to a lower file is on disk too:
  // the merged listing starts from the directories.
  void MakeLinkParents(LayerMeta* meta) {
    std::set<std::string> made;
    for (const auto& link : meta->links) {
      for (size_t slash = link.path.find('/'); slash != std::string::npos;
           slash = link.path.find('/', slash + 1)) {
        const std::string parent = link.path.substr(0, slash);
        if (fs::LstatIfExists(files_.get(), parent)) continue;
        fs::MakeDir(files_.get(), parent, 0755);
        made.insert(parent);
      }
    }
    meta->implied.insert(meta->implied.end(), made.begin(), made.end());
    std::ranges::sort(meta->implied);
  }

  Layout& layout_;
  Unsynced& unsynced_;
  std::string opaque_xattr_;
  std::optional<oci::DiffId> base_;
  std::shared_ptr<LayerLocks> base_lock_;
  fs::TempDir dir_;
  UniqueFd files_;
};

class LocalActive : public Active {
 public:
  // `dir` has fs/ and work/ in it. With `owned` it goes with this object.
  LocalActive(Layout& layout, Unsynced& unsynced, std::string opaque_xattr,
              std::shared_ptr<const FileTree> lower, OverlayMount mount,
              UniqueFd dir, std::optional<fs::TempDir> owned)
      : layout_(layout),
        unsynced_(unsynced),
        opaque_xattr_(std::move(opaque_xattr)),
        lower_(std::move(lower)),
        mount_(std::move(mount)),
        dir_(std::move(dir)),
        upper_(fs::OpenDir(dir_.get(), kFilesName)),
        owned_(std::move(owned)) {}

  const OverlayMount& mount() const override { return mount_; }
  int upper_fd() const override { return upper_.get(); }
  std::shared_ptr<const FileTree> lower() const override { return lower_; }

  void Commit(const oci::DiffId& diff_id,
              std::optional<int64_t> epoch) override {
    if (epoch) {
      NormalizeUpper(upper_.get(), *lower_, opaque_xattr_, *epoch);
    }
    // Moved into a directory of its own, so that publishing it is the same
    // one rename as for an unpacked layer.
    fs::TempDir dir(layout_.own_tmp(), "step-");
    fs::Rename(dir_.get(), kFilesName, dir.fd(), kFilesName);
    LayerMeta meta;
    meta.opaque_xattr = opaque_xattr_;
    // The layer's tar never mentions the root.
    meta.implied.emplace_back();
    PublishLayer(layout_, unsynced_, std::move(dir), diff_id, meta);
  }

 private:
  Layout& layout_;
  Unsynced& unsynced_;
  std::string opaque_xattr_;
  std::shared_ptr<const FileTree> lower_;
  OverlayMount mount_;
  UniqueFd dir_;
  UniqueFd upper_;
  std::optional<fs::TempDir> owned_;
};

// The upper directory is the root that the mount shows.
void MakeUpper(int dir, const FileTree& lower) {
  if (!fs::LstatIfExists(dir, kFilesName)) {
    fs::MakeDir(dir, kFilesName, 0700);
    auto root = lower.Lstat("");
    if (root) {
      // Images whose root is closed to others (made in a mktemp -d) run under
      // every other builder, which gives a new top layer this mode.
      root->mode = 0755;
      ApplyMetadata(dir, kFilesName, *root, lower.Xattrs(""));
    }
  }
  if (!fs::LstatIfExists(dir, kWorkName)) fs::MakeDir(dir, kWorkName, 0700);
}

}  // namespace

std::string LocalSnapshotter::opaque_xattr() const {
  std::call_once(probed_, [this] {
    // Only real root may use trusted.*; inside a user namespace overlayfs
    // reads user.* (mount option userxattr).
    constexpr char kProbe[] = "trusted.overlay.probe";
    const bool trusted =
        ::fsetxattr(layout_.layers_fd(), kProbe, "y", 1, 0) == 0;
    if (trusted) ::fremovexattr(layout_.layers_fd(), kProbe);
    opaque_xattr_ = trusted ? "trusted.overlay.opaque" : "user.overlay.opaque";
  });
  return opaque_xattr_;
}

bool LocalSnapshotter::Has(const oci::DiffId& diff_id) const {
  unsynced_.Recover();
  return ReadMeta(layout_, diff_id, opaque_xattr()).has_value();
}

std::unique_ptr<PendingLayer> LocalSnapshotter::Begin() {
  unsynced_.Recover();
  return std::make_unique<LocalPending>(layout_, unsynced_, opaque_xattr(),
                                        std::nullopt, nullptr);
}

std::unique_ptr<PendingLayer> LocalSnapshotter::BeginOn(
    const oci::DiffId& base) {
  unsynced_.Recover();
  auto lock =
      std::make_shared<LayerLocks>(LayerLocks::Use(layout_.root_fd(), {base}));
  const auto meta = ReadMeta(layout_, base, opaque_xattr());
  if (!meta || meta->base || !IsSelfContained(*meta) || meta->opaque_root) {
    return nullptr;
  }
  return std::make_unique<LocalPending>(layout_, unsynced_, opaque_xattr(),
                                        base, std::move(lock));
}

std::optional<Snapshotter::Delta> LocalSnapshotter::DeltaOf(
    const oci::DiffId& diff_id) const {
  unsynced_.Recover();
  const auto meta = ReadMeta(layout_, diff_id, opaque_xattr());
  if (!meta || !meta->base) return std::nullopt;
  Delta delta{*meta->base, {}};
  const DirTree files(
      fs::OpenDir(layout_.layers_fd(), diff_id.hex() + "/" + kFilesName).get());
  const std::function<void(const std::string&)> list =
      [&](const std::string& directory) {
        for (const std::string& name : files.List(directory)) {
          std::string path = directory.empty() ? name : directory + "/" + name;
          const auto info = files.Lstat(path);
          if (info && info->type == FileType::kDirectory) list(path);
          delta.paths.push_back(std::move(path));
        }
      };
  list("");
  return delta;
}

std::vector<oci::DiffId> LocalSnapshotter::BasesOf(
    const std::vector<oci::DiffId>& layers) const {
  std::vector<oci::DiffId> bases;
  for (const oci::DiffId& layer : layers) {
    try {
      const auto meta = ReadMeta(layout_, layer, opaque_xattr());
      if (meta && meta->base) bases.push_back(*meta->base);
    } catch (const Error&) {
      // Damaged: it stands on nothing.
    }
  }
  return bases;
}

LocalSnapshotter::Stack LocalSnapshotter::Lock(
    const std::vector<oci::DiffId>& chain) const {
  unsynced_.Recover();
  Stack stack;
  // A layer that comes twice (overlayfs refuses that): the upper one has
  // everything that the lower one has, so the lower one never shows.
  std::set<oci::DiffId> seen;
  for (auto it = chain.rbegin(); it != chain.rend(); ++it) {
    if (seen.insert(*it).second) stack.layers.push_back(*it);
  }
  std::ranges::reverse(stack.layers);
  stack.locks = std::make_shared<LayerLocks>(
      LayerLocks::Use(layout_.root_fd(), stack.layers));
  LockBases(stack);
  std::vector<oci::DiffId> shown;
  for (const oci::DiffId& layer : stack.layers) {
    auto meta = ReadMeta(layout_, layer, opaque_xattr());
    if (!meta) {
      throw Error(ErrorCode::kHost,
                  fmt::format("layer {} is not unpacked in the store",
                              layer.ToString()));
    }
    if (meta->opaque_root) {
      // Overlayfs does not look at this mark on a layer's root.
      shown.clear();
      stack.metas.clear();
    }
    shown.push_back(layer);
    stack.metas.push_back(std::move(*meta));
  }
  stack.layers = std::move(shown);
  return stack;
}

// A base that goes between the look and the lock is missed by the look that
// follows.
void LocalSnapshotter::LockBases(Stack& stack) const {
  const std::vector<oci::DiffId> bases = BasesOf(stack.layers);
  if (!bases.empty()) stack.locks->Add(bases);
}

std::vector<LocalSnapshotter::Piece> LocalSnapshotter::PiecesOf(
    const Stack& stack, size_t count) {
  std::vector<Piece> pieces;
  // The same directory twice: overlayfs refuses it, and only the upper one
  // shows.
  std::set<oci::DiffId> seen;
  for (size_t i = count; i-- > 0;) {
    if (seen.insert(stack.layers[i]).second) {
      pieces.push_back({i, std::nullopt});
    }
    const std::optional<oci::DiffId>& base = stack.metas[i].base;
    if (base && seen.insert(*base).second) pieces.push_back({i, base});
  }
  return pieces;
}

TreeLayer LocalSnapshotter::LayerOf(const oci::DiffId& id,
                                    const LayerMeta& meta,
                                    const std::optional<oci::DiffId>& base) {
  TreeLayer layer;
  layer.name = id.ToString();
  layer.dir = base.value_or(id).hex() + "/" + kFilesName;
  layer.device = std::stoull(id.hex().substr(0, 15), nullptr, 16);
  if (base) {
    // Its root says nothing: the layer's tar does not either.
    layer.implied.emplace_back();
  } else {
    layer.implied = meta.implied;
    layer.links = meta.links;
  }
  return layer;
}

std::shared_ptr<const OverlayTree> LocalSnapshotter::TreeOf(
    const Stack& stack, size_t count) const {
  std::vector<TreeLayer> layers;
  for (const Piece& piece : PiecesOf(stack, count)) {
    layers.push_back(LayerOf(stack.layers[piece.layer],
                             stack.metas[piece.layer], piece.base));
  }
  std::ranges::reverse(layers);
  UniqueFd dir(::fcntl(layout_.layers_fd(), F_DUPFD_CLOEXEC, 3));
  if (!dir) throw ErrnoError("dup", "layers", errno);
  return std::make_shared<OverlayTree>(std::move(dir), std::move(layers),
                                       opaque_xattr(), stack.locks);
}

std::shared_ptr<const FileTree> LocalSnapshotter::View(
    const std::vector<oci::DiffId>& chain) {
  const Stack stack = Lock(chain);
  return TreeOf(stack, stack.layers.size());
}

std::shared_ptr<const FileTree> LocalSnapshotter::ViewOn(
    const FileTree& below, const oci::DiffId& layer) {
  const auto* tree = dynamic_cast<const OverlayTree*>(&below);
  if (tree == nullptr) return nullptr;
  // The locks of `below` get one more, so that a chain of views holds one
  // descriptor.
  const auto locks = std::static_pointer_cast<LayerLocks>(tree->keep());
  locks->Add({layer});
  const std::vector<oci::DiffId> bases = BasesOf({layer});
  locks->Add(bases);
  const auto meta = ReadMeta(layout_, layer, opaque_xattr());
  if (!meta || meta->opaque_root) return nullptr;
  TreeLayer own = LayerOf(layer, *meta, std::nullopt);
  // What comes twice counts once, at its upper place.
  if (tree->HasLayer(own.dir)) return nullptr;
  if (!meta->base) return std::make_shared<OverlayTree>(*tree, std::move(own));
  TreeLayer base = LayerOf(layer, *meta, meta->base);
  if (tree->HasLayer(base.dir)) return nullptr;
  return std::make_shared<OverlayTree>(OverlayTree(*tree, std::move(base)),
                                       std::move(own));
}

std::vector<std::string> LocalSnapshotter::LowerOf(const Stack& stack) const {
  ResolveContext context{layout_, unsynced_, opaque_xattr()};
  std::vector<std::string> lower;
  for (const Piece& piece : PiecesOf(stack, stack.layers.size())) {
    const size_t i = piece.layer;
    std::string dir =
        piece.base.value_or(stack.layers[i]).hex() + "/" + kFilesName;
    if (!piece.base && !IsSelfContained(stack.metas[i])) {
      const std::vector<oci::DiffId> under(
          stack.layers.begin(),
          stack.layers.begin() + static_cast<ptrdiff_t>(i));
      dir = ResolveLayer(context, stack.layers[i], stack.metas[i],
                         *TreeOf(stack, i), *TreeOf(stack, i + 1),
                         oci::ChainOf(under));
    }
    lower.push_back(layout_.PathTo("layers/" + dir));
  }
  return lower;
}

std::unique_ptr<Active> LocalSnapshotter::Prepare(
    const std::vector<oci::DiffId>& chain) {
  fs::TempDir dir(layout_.own_tmp(), "run-");
  const std::string path = layout_.own_tmp_path() + "/" + dir.name();
  const Stack stack = Lock(chain);
  auto lower = TreeOf(stack, stack.layers.size());
  MakeUpper(dir.fd(), *lower);
  OverlayMount mount;
  mount.lower = LowerOf(stack);
  if (mount.lower.empty()) {
    fs::MakeDir(dir.fd(), kEmptyName, 0755);
    mount.lower.push_back(path + "/" + kEmptyName);
  }
  mount.upper = path + "/" + kFilesName;
  mount.work = path + "/" + kWorkName;
  mount.user_xattr = opaque_xattr().starts_with("user.");
  UniqueFd fd = fs::OpenDir(layout_.own_tmp(), dir.name());
  return std::make_unique<LocalActive>(layout_, unsynced_, opaque_xattr(),
                                       std::move(lower), std::move(mount),
                                       std::move(fd), std::move(dir));
}

std::unique_ptr<Active> LocalSnapshotter::PrepareIn(
    const std::vector<oci::DiffId>& chain, const std::string& directory) {
  UniqueFd dir = fs::OpenDir(AT_FDCWD, directory);
  const Stack stack = Lock(chain);
  auto lower = TreeOf(stack, stack.layers.size());
  MakeUpper(dir.get(), *lower);
  OverlayMount mount;
  mount.lower = LowerOf(stack);
  if (mount.lower.empty()) {
    fs::MakeDirs(dir.get(), kEmptyName, 0755);
    mount.lower.push_back(directory + "/" + kEmptyName);
  }
  mount.upper = directory + "/" + kFilesName;
  mount.work = directory + "/" + kWorkName;
  mount.user_xattr = opaque_xattr().starts_with("user.");
  return std::make_unique<LocalActive>(layout_, unsynced_, opaque_xattr(),
                                       std::move(lower), std::move(mount),
                                       std::move(dir), std::nullopt);
}

std::optional<uint64_t> LocalSnapshotter::TryRemove(
    const oci::DiffId& diff_id) {
  unsynced_.Recover();
  const auto lock = LayerLocks::TryRemove(layout_.root_fd(), diff_id);
  if (!lock) return std::nullopt;
  const uint64_t bytes = DiscardLayer(layout_, diff_id);
  unsynced_.ForgetLayer(diff_id);
  return bytes;
}

bool LocalSnapshotter::Remove(const oci::DiffId& diff_id) {
  return TryRemove(diff_id).has_value();
}

std::vector<oci::DiffId> LocalSnapshotter::List() const {
  unsynced_.Recover();
  std::vector<oci::DiffId> layers;
  for (const std::string& name : fs::ListDir(layout_.layers_fd())) {
    const char* algorithm = name.size() == 64 ? "sha256:" : "sha512:";
    if (auto digest = oci::Digest::TryParse(algorithm + name)) {
      layers.emplace_back(std::move(*digest));
    }
  }
  return layers;
}

}  // namespace imgbuild::store
