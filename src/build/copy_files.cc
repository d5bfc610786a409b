#include "build/copy_files.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgbuild/layer/extract.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::build {
namespace {

constexpr size_t kPipeBytes = 4u << 20;
// A layer that differs in more than every fourth entry is made anew: layers on
// layers cost every later look-up a little.
constexpr size_t kMaxShare = 4;

using Paths = std::set<std::string>;

bool IsWhiteoutName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return path.substr(slash == std::string_view::npos ? 0 : slash + 1)
      .starts_with(layer::kWhiteoutPrefix);
}

// Finds out in what a tree differs from the layer before.
class Difference {
 public:
  Difference(store::Snapshotter& snapshots, const CopyTree& tree,
             const layer::MemberIndex& index, const EarlierLayer& earlier)
      : snapshots_(snapshots), tree_(tree), index_(index), earlier_(earlier) {}

  const oci::DiffId& base() const { return *base_; }

  // What the new directory holds when it is stacked on that of base();
  // nullopt when it cannot be.
  std::optional<Paths> Find() {
    if (tree_.HasLinks() || !snapshots_.Has(earlier_.diff_id)) {
      return std::nullopt;
    }
    Paths candidates;
    if (!Compare(&candidates)) return std::nullopt;
    base_ = earlier_.diff_id;
    if (const auto delta = snapshots_.DeltaOf(earlier_.diff_id)) {
      base_ = delta->base;
      candidates.insert(delta->paths.begin(), delta->paths.end());
    }
    if (std::ranges::any_of(candidates, IsWhiteoutName)) return std::nullopt;
    return Narrow(candidates);
  }

 private:
  // Members that both have tell nothing. False: an overlay of the two would
  // show something that the new layer does not have.
  bool Compare(Paths* candidates) const {
    using Key = std::pair<std::string_view, std::string_view>;
    std::set<Key> before;
    std::set<Key> now;
    for (const auto& member : earlier_.blob.members()) {
      before.emplace(member.identity, member.entries);
    }
    for (const auto& member : index_.members) {
      now.emplace(member.identity, member.entries);
    }
    for (const Key& key : now) {
      if (before.contains(key)) continue;
      const auto entries = layer::ReadEntries(key.second);
      if (!entries) return false;
      for (const auto& entry : *entries) candidates->insert(entry.path);
    }
    for (const Key& key : before) {
      if (now.contains(key)) continue;
      const auto entries = layer::ReadEntries(key.second);
      if (!entries || !std::ranges::all_of(*entries, [this](const auto& entry) {
            return MayBeCovered(entry);
          })) {
        return false;
      }
    }
    return true;
  }

  // Nothing may go, nor may a directory appear where a file was: overlayfs
  // would hide what the layers below have there.
  bool MayBeCovered(const layer::MemberEntry& before) const {
    const auto now = tree_.Find(before.path);
    return now && before.type != layer::EntryType::kHardLink &&
           (before.type == layer::EntryType::kDirectory ||
            now->type != layer::EntryType::kDirectory);
  }

  // Those of the candidates that really differ, and the directories above.
  std::optional<Paths> Narrow(const Paths& candidates) const {
    const auto files = snapshots_.View({*base_});
    Paths paths;
    for (const std::string& path : candidates) {
      const auto entry = tree_.Find(path);
      if (!entry) return std::nullopt;
      if (IsSame(*entry, *files)) continue;
      for (std::string at = path; !at.empty() && paths.insert(at).second;) {
        at = fs::ParentPath(at);
        // A directory that the tar only implies looks different on each stack.
        if (!at.empty() && !tree_.Find(at)) return std::nullopt;
      }
    }
    if (paths.size() > tree_.size() / kMaxShare) return std::nullopt;
    return paths;
  }

  bool IsSame(const layer::Entry& entry, const FileTree& files) const {
    const auto info = files.Lstat(entry.path);
    if (!info || !entry.xattrs.empty()) return false;
    layer::Entry there = ToEntry(*info, entry.path);
    if (there.type != entry.type || there.uid != entry.uid ||
        there.gid != entry.gid || there.mtime_s != entry.mtime_s ||
        info->mtime_ns != 0) {
      return false;
    }
    if (entry.type == layer::EntryType::kSymlink) {
      return files.ReadLink(entry.path) == entry.link_target;
    }
    if (there.mode != entry.mode || !files.Xattrs(entry.path).empty()) {
      return false;
    }
    if (entry.type == layer::EntryType::kDirectory) return true;
    if (entry.type != layer::EntryType::kFile || there.size != entry.size) {
      return false;
    }
    return tree_.HasBytes(entry.path, files.Open(entry.path).get());
  }

  store::Snapshotter& snapshots_;
  const CopyTree& tree_;
  const layer::MemberIndex& index_;
  const EarlierLayer& earlier_;
  std::optional<oci::DiffId> base_;
};

}  // namespace

FilesFromTar::FilesFromTar(store::Snapshotter& snapshots,
                           std::unique_ptr<store::PendingLayer> pending,
                           const CancelToken& cancel)
    : pending_(std::move(pending)),
      pipe_(kPipeBytes),
      thread_([this, &cancel, opaque_xattr = snapshots.opaque_xattr()] {
        Unpack(opaque_xattr, cancel);
      }) {}

FilesFromTar::~FilesFromTar() {
  if (!thread_.joinable()) return;
  pipe_.CloseWrite(std::make_exception_ptr(
      Error(ErrorCode::kInterrupted, "the layer was given up")));
  thread_.join();
}

void FilesFromTar::Unpack(const std::string& opaque_xattr,
                          const CancelToken& cancel) {
  try {
    layer::ExtractOptions options;
    options.opaque_xattr = opaque_xattr;
    result_ = layer::Extract(pipe_, pending_->fd(), options, cancel);
  } catch (...) {
    error_ = std::current_exception();
    pipe_.CloseRead(error_);
  }
}

void FilesFromTar::Write(Bytes bytes) { pipe_.Write(bytes); }

void FilesFromTar::Commit(const oci::DiffId& diff_id) {
  pipe_.CloseWrite();
  thread_.join();
  if (error_) std::rethrow_exception(error_);
  pending_->Commit(diff_id, result_);
}

void MakeFiles(store::Snapshotter& snapshots, const CopyTree& tree,
               const oci::DiffId& diff_id, const layer::MemberIndex& index,
               const EarlierLayer& earlier, ThreadPool& pool,
               const CancelToken& cancel) {
  if (snapshots.Has(diff_id)) return;
  Difference difference(snapshots, tree, index, earlier);
  std::optional<Paths> paths = difference.Find();
  std::unique_ptr<store::PendingLayer> pending;
  if (paths) pending = snapshots.BeginOn(difference.base());
  if (!pending) {
    paths.reset();
    pending = snapshots.Begin();
  }
  FilesFromTar files(snapshots, std::move(pending), cancel);
  layer::LayerWriter writer(files, pool, oci::Compression::kNone);
  tree.Write(writer, pool, cancel, paths ? &*paths : nullptr);
  writer.Finish();
  files.Commit(diff_id);
}

}  // namespace imgbuild::build
