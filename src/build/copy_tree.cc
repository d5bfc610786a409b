#include "build/copy_tree.h"

#include <fmt/format.h>

#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

layer::EntryType ToEntryType(FileType type) {
  switch (type) {
    case FileType::kDirectory:
      return layer::EntryType::kDirectory;
    case FileType::kSymlink:
      return layer::EntryType::kSymlink;
    case FileType::kCharDevice:
      return layer::EntryType::kCharDevice;
    case FileType::kBlockDevice:
      return layer::EntryType::kBlockDevice;
    case FileType::kFifo:
      return layer::EntryType::kFifo;
    case FileType::kRegular:
    case FileType::kSocket:
      break;
  }
  return layer::EntryType::kFile;
}

FileType ToFileType(layer::EntryType type) {
  switch (type) {
    case layer::EntryType::kDirectory:
      return FileType::kDirectory;
    case layer::EntryType::kSymlink:
      return FileType::kSymlink;
    case layer::EntryType::kCharDevice:
      return FileType::kCharDevice;
    case layer::EntryType::kBlockDevice:
      return FileType::kBlockDevice;
    case layer::EntryType::kFifo:
      return FileType::kFifo;
    case layer::EntryType::kFile:
    case layer::EntryType::kHardLink:
      break;
  }
  return FileType::kRegular;
}

}  // namespace

layer::Entry ToEntry(const FileInfo& info, std::string path) {
  layer::Entry entry;
  entry.path = std::move(path);
  entry.type = ToEntryType(info.type);
  entry.mode = info.type == FileType::kSymlink ? 0777 : info.mode;
  entry.uid = info.uid;
  entry.gid = info.gid;
  entry.size = info.type == FileType::kRegular ? info.size : 0;
  entry.mtime_s = info.mtime_s;
  entry.dev_major = info.rdev_major;
  entry.dev_minor = info.rdev_minor;
  return entry;
}

std::optional<FileType> CopyTree::TypeAt(const std::string& path) const {
  const auto it = planned_.find(path);
  if (it != planned_.end()) return ToFileType(it->second.entry.type);
  if (contents_.Covers(path)) {
    if (const auto info = contents_.source->Find(path)) return info->type;
  }
  return TypeBelow(path);
}

// Many files of one directory are asked for one after the other: where that is
// not below they are not looked for.
std::optional<FileType> CopyTree::TypeBelow(const std::string& path) const {
  const std::string parent = fs::ParentPath(path);
  if (parent != parent_below_) {
    parent_below_ = parent;
    has_parent_below_ = parent.empty() || below_->Lstat(parent).has_value();
  }
  if (!has_parent_below_) return std::nullopt;
  const auto info = below_->Lstat(path);
  if (!info) return std::nullopt;
  return info->type;
}

void CopyTree::Plan(Planned planned) {
  planned.entry.mtime_s = std::min(planned.entry.mtime_s, epoch_);
  std::string path = planned.entry.path;
  planned_.insert_or_assign(std::move(path), std::move(planned));
}

// The layer says what the directories on the way are, as they are below: so it
// means the same wherever it is unpacked.
void CopyTree::KeepParents(const std::string& path) {
  const std::string parent = fs::ParentPath(path);
  if (parent.empty() || parent == last_parent_) return;
  if (!planned_.contains(parent)) {
    const auto info = below_->Lstat(parent);
    if (info) {
      KeepParents(parent);
      layer::Entry entry = ToEntry(*info, parent);
      entry.xattrs = below_->Xattrs(parent);
      Plan({std::move(entry), {}, std::nullopt, std::nullopt});
    }
  }
  last_parent_ = parent;
}

void CopyTree::MakeDirs(const std::string& path, uint32_t mode,
                        const Owner& owner) {
  if (path.empty()) return;
  const auto type = TypeAt(path);
  if (type) {
    if (*type != FileType::kDirectory) {
      throw Error(ErrorCode::kStep,
                  fmt::format("{} is not a directory", Quoted("/" + path)));
    }
    return;
  }
  MakeDirs(fs::ParentPath(path), mode, owner);
  layer::Entry entry;
  entry.path = path;
  entry.type = layer::EntryType::kDirectory;
  entry.mode = mode;
  entry.uid = owner.uid;
  entry.gid = owner.gid;
  entry.mtime_s = epoch_;
  PutDirectory(std::move(entry), true);
}

void CopyTree::DropBelow(const std::string& path) {
  const std::string prefix = path + "/";
  auto it = planned_.lower_bound(prefix);
  while (it != planned_.end() && it->first.starts_with(prefix)) {
    it = planned_.erase(it);
  }
  last_parent_.clear();
}

std::optional<FileType> CopyTree::CheckDirectory(const std::string& path,
                                                 ReplaceFile replace) const {
  const auto type = TypeAt(path);
  if (type && *type != FileType::kDirectory && replace == ReplaceFile::kNo) {
    throw Error(ErrorCode::kStep,
                fmt::format("cannot copy to non-directory: /{}", path));
  }
  return type;
}

void CopyTree::CheckLeaf(const std::string& path) const {
  if (TypeAt(path) == FileType::kDirectory) {
    throw Error(ErrorCode::kStep,
                fmt::format("cannot replace to directory /{} with file", path));
  }
}

void CopyTree::PutDirectory(layer::Entry entry, bool overwrite,
                            ReplaceFile replace) {
  if (entry.path.empty()) return;  // the root is nobody's to change
  if (CheckDirectory(entry.path, replace) && !overwrite) return;
  Settle(entry.path);
  KeepParents(entry.path);
  Plan({std::move(entry), {}, std::nullopt, std::nullopt});
}

void CopyTree::PutLeaf(layer::Entry entry, FileBytes from,
                       std::optional<InodeKey> inode,
                       ReplaceDirectory replace) {
  if (replace == ReplaceDirectory::kNo) CheckLeaf(entry.path);
  const bool directory = TypeAt(entry.path) == FileType::kDirectory;
  Settle(entry.path);
  if (directory) DropBelow(entry.path);
  KeepParents(entry.path);
  Plan({std::move(entry), std::move(from), std::nullopt, inode});
}

void CopyTree::PutText(layer::Entry entry, std::string text) {
  CheckLeaf(entry.path);
  Settle(entry.path);
  entry.size = text.size();
  KeepParents(entry.path);
  Plan({std::move(entry), {}, std::move(text), std::nullopt});
}

void CopyTree::PutContents(const std::string& top,
                           std::unique_ptr<const CopyContents> contents) {
  PlanContents();
  Contents added;
  added.source = std::move(contents);
  added.prefix = top.empty() ? "" : top + "/";
  std::set<InodeKey> inodes;
  std::string first;
  added.source->Visit([&](const std::string& path,
                          const context::ContextSource::Item& item, bool) {
    if (added.count++ == 0) first = path;
    if (item.info.type == FileType::kDirectory) {
      CheckDirectory(path, ReplaceFile::kNo);
      return;
    }
    CheckLeaf(path);
    added.has_links =
        added.has_links ||
        (item.info.nlink > 1 &&
         !inodes.insert({item.info.device, item.info.inode}).second);
  });
  if (added.count == 0) return;
  const auto next = planned_.lower_bound(added.prefix);
  const bool meets =
      next != planned_.end() && next->first.starts_with(added.prefix);
  KeepParents(first);
  contents_ = std::move(added);
  if (meets) PlanContents();
}

void CopyTree::Settle(const std::string& path) {
  if (!contents_.source) return;
  const bool meets = contents_.Covers(path) || contents_.prefix == path + "/" ||
                     contents_.prefix.starts_with(path + "/");
  if (meets) PlanContents();
}

void CopyTree::PlanContents() {
  if (!contents_.source) return;
  const Contents contents = std::exchange(contents_, {});
  contents.source->Visit([&](const std::string& path,
                             const context::ContextSource::Item& item,
                             bool may_have_xattrs) {
    Plan(Clamped(contents.source->Make(path, item, may_have_xattrs)));
  });
}

}  // namespace imgbuild::build
