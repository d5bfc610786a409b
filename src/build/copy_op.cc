// COPY and ADD: where each selected file goes.
#include <fmt/format.h>

#include "imgbuild/exec/user.h"
#include "imgbuild/plan/chmod.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "build/copy_layer.h"
#include "build/copy_tree.h"
#include "build/remote_source.h"
#include "build/selection.h"
#include "build/step.h"
#include "build/unpack.h"

namespace imgbuild::build {
namespace {

using context::ContextSource;

std::string JoinPath(const std::string& dir, const std::string& name) {
  return dir.empty() ? name : name.empty() ? dir : dir + "/" + name;
}

class CopyRunner {
 private:
  class Contents;

 public:
  CopyRunner(Step& step, const plan::CopyOp& op)
      : step_(step),
        op_(op),
        below_(op.link ? std::make_shared<const EmptyTree>()
                       : step.ParentTree()),
        tree_(below_, step.vertex().epoch) {
    if (!op.chown.empty()) owner_ = ResolveOwner();
    if (!op.chmod.empty()) chmod_ = plan::Chmod::Parse(op.chmod);
  }

  std::optional<store::StoredLayer> Run() {
    if (!op_.patterns.empty()) {
      source_ = step_.Source(op_.source);
      std::optional<Selection> taken = step_.TakeSelection();
      selection_ = taken ? std::move(*taken) : Select(*source_, op_);
    }
    CheckDestination(selection_);
    // As written: what comes later wins.
    auto match = selection_.matches.begin();
    for (size_t i = 0; i < op_.remotes.size(); ++i) {
      for (; match != selection_.matches.end() &&
             match->pattern < op_.remotes[i].patterns_before;
           ++match) {
        CopyMatch(*match);
      }
      CopyRemote(i);
    }
    for (; match != selection_.matches.end(); ++match) CopyMatch(*match);
    for (const plan::CopyOp::Inline& file : op_.inlines) CopyInline(file);
    return WriteCopyLayer(step_, tree_);
  }

 private:
  Owner ResolveOwner() const {
    try {
      const exec::Ownership found = exec::ResolveChown(*below_, op_.chown);
      return {found.uid, found.gid};
    } catch (Error& error) {
      throw error.At(op_.chown_range);
    }
  }

  // Several files need a directory to go to (the manual's rule; BuildKit lets
  // the last one win).
  void CheckDestination(const Selection& selection) const {
    const size_t sources =
        selection.matches.size() + op_.inlines.size() + op_.remotes.size();
    if (sources < 2 || op_.destination.ends_with('/')) return;
    const std::string path =
        ResolveInTree(*below_, op_.destination.substr(1), true);
    if (tree_.TypeAt(path) == FileType::kDirectory) return;
    bool only_directories = true;
    for (const Selected& match : selection.matches) {
      only_directories = only_directories && match.directory();
    }
    for (const plan::CopyOp::Remote& remote : op_.remotes) {
      only_directories = only_directories && remote.git.has_value();
    }
    if (only_directories && op_.inlines.empty()) return;
    Error error(ErrorCode::kStep,
                fmt::format("when more than one file is copied, the "
                            "destination must be a directory and end with a /, "
                            "but it is {}",
                            Quoted(op_.destination)));
    throw error.At(op_.destination_range);
  }

  uint32_t ParentMode() const {
    // Set-id bits are for what is copied.
    return chmod_ && chmod_->octal() ? *chmod_->octal() & 0777 : 0755;
  }

  // The destination with its links resolved; as a directory it exists after.
  std::string DestinationDirectory() {
    return DestinationDirectory(ParentMode());
  }

  std::string DestinationDirectory(uint32_t mode) {
    std::string path =
        op_.link ? fs::CleanRelative(op_.destination)
                 : ResolveInTree(*below_, op_.destination.substr(1), true);
    tree_.MakeDirs(path, mode, owner_.value_or(Owner{}));
    return path;
  }

  // Where a single file called `name` goes.
  std::string FileDestination(const std::string& name) {
    if (op_.destination.ends_with('/')) {
      return JoinPath(DestinationDirectory(), name);
    }
    std::string path =
        op_.link ? fs::CleanRelative(op_.destination)
                 : ResolveInTree(*below_, op_.destination.substr(1), true);
    if (tree_.TypeAt(path) == FileType::kDirectory) {
      return JoinPath(path, name);
    }
    tree_.MakeDirs(fs::ParentPath(path), ParentMode(),
                   owner_.value_or(Owner{}));
    return path;
  }

  // With --parents the source's own directories are kept below the
  // destination; a "/./" in the pattern says from where on.
  std::string KeptParents(const Selected& match) const {
    std::string name = match.name;
    for (const plan::CopyOp::Pattern& pattern : op_.patterns) {
      const size_t pivot = pattern.text.find("/./");
      if (pivot == std::string::npos) continue;
      const std::string before =
          fs::CleanRelative(pattern.text.substr(0, pivot));
      if (name.starts_with(before + "/")) {
        name = name.substr(before.size() + 1);
        break;
      }
    }
    return name;
  }

  // Names of one file are links of one another within one source.
  InodeKey Inode(const FileInfo& info) const {
    return {info.device, info.inode, match_};
  }

  void CopyMatch(const Selected& match) {
    ++match_;
    if (op_.parents) {
      CopyWithParents(match);
      return;
    }
    if (match.directory()) {
      CopyDirectory(match, DestinationDirectory());
      return;
    }
    const ContextSource::Item item{match.path, match.info};
    if (op_.unpack_archives && item.info.type == FileType::kRegular &&
        IsArchive(*source_, item.path)) {
      AddArchive(*source_, item.path);
      return;
    }
    CopyItem(item, FileDestination(fs::BaseName(match.name)));
  }

  // Contents only. Those of the context are not listed: they may be many, and
  // asking for them again costs nothing.
  void CopyDirectory(const Selected& match, const std::string& top);

  // A repository is copied like a directory, a URL like a file that only its
  // owner may read; a URL is unpacked only when --unpack says so.
  void CopyRemote(size_t index) {
    ++match_;
    const RemoteSource::Files files = step_.Remote(index).Open();
    if (files.directory) {
      CopyCheckout(files, *op_.remotes[index].git);
      return;
    }
    if (op_.unpack.value_or(false) && IsArchive(*files.tree, files.path)) {
      AddArchive(*files.tree, files.path);
      return;
    }
    const auto info = files.tree->Lstat(files.path);
    layer::Entry entry = ToEntry(*info, FileDestination(files.name));
    entry.mode = 0600;
    entry.uid = entry.gid = 0;
    ApplyFlags(entry, true);
    tree_.PutLeaf(std::move(entry), {files.tree, files.path, std::nullopt},
                  std::nullopt);
  }

  void CopyCheckout(const RemoteSource::Files& files,
                    const plan::GitSource& git) {
    std::optional<context::PatternList> exclude;
    if (!op_.excludes.empty()) {
      exclude = context::PatternList::FromPatterns(op_.excludes);
    }
    const auto source = context::OpenTreeContext(
        files.tree, "the repository", step_.env().pool, step_.state().cancel);
    const std::string top = DestinationDirectory();
    const bool keep = git.keep_git_dir.value_or(false);
    for (const ContextSource::Item& item :
         source->Walk(files.path, exclude ? &*exclude : nullptr)) {
      if (item.path == files.path) continue;
      const std::string relative = item.path.substr(files.path.size() + 1);
      const std::string name = relative.substr(0, relative.find('/'));
      if (name == ".git" && !keep) continue;
      layer::Entry entry = ToEntry(item.info, JoinPath(top, relative));
      entry.uid = entry.gid = 0;
      const bool directory = item.info.type == FileType::kDirectory;
      if (item.info.type != FileType::kSymlink) {
        entry.mode = directory || (item.info.mode & 0100) != 0 ? 0755 : 0644;
      } else {
        entry.link_target = files.tree->ReadLink(item.path);
      }
      ApplyFlags(entry, true);
      if (directory) {
        tree_.PutDirectory(std::move(entry), true);
      } else {
        tree_.PutLeaf(std::move(entry), {files.tree, item.path, std::nullopt},
                      std::nullopt);
      }
    }
  }

  void CopyWithParents(const Selected& match) {
    const std::string kept = KeptParents(match);
    std::string parent = DestinationDirectory();
    const std::string skipped =
        match.name.substr(0, match.name.size() - kept.size());
    // The kept parents carry the metadata that they have in the source.
    for (size_t slash = kept.find('/'); slash != std::string::npos;
         slash = kept.find('/', slash + 1)) {
      const std::string relative = kept.substr(0, slash);
      const std::string in_source =
          ResolveInTree(*source_, skipped + relative, true);
      const auto info = source_->Lstat(in_source);
      if (info) CopyItem({in_source, *info}, JoinPath(parent, relative));
    }
    const std::string top = JoinPath(parent, kept);
    selection_.Visit(*source_, match, [&](const auto& item, bool xattrs) {
      const std::string rest = item.path.substr(match.path.size());
      CopyItem(item, fs::CleanRelative(top + "/" + rest), xattrs);
    });
  }

  void ApplyFlags(layer::Entry& entry, bool chmod_too) const {
    if (owner_) {
      entry.uid = owner_->uid;
      entry.gid = owner_->gid;
    }
    if (chmod_too && chmod_ && entry.type != layer::EntryType::kSymlink) {
      entry.mode =
          chmod_->Apply(entry.mode, entry.type == layer::EntryType::kDirectory);
    }
    // Files from outside get the epoch; a stage's keep their time (clamped
    // when the layer is planned).
    if (op_.source.kind == plan::FileSource::Kind::kContext && chmod_too) {
      entry.mtime_s = step_.vertex().epoch;
    }
  }

  CopyContents::Leaf LeafOf(const ContextSource::Item& item, std::string path,
                            bool may_have_xattrs, uint64_t match) const {
    layer::Entry entry = ToEntry(item.info, std::move(path));
    ApplyFlags(entry, true);
    if (item.info.type == FileType::kSymlink) {
      entry.link_target = source_->ReadLink(item.path);
    } else if (may_have_xattrs) {
      entry.xattrs = source_->Xattrs(item.path);
    }
    FileBytes from{source_, item.path, std::nullopt};
    // Files of stages do not change; layers that share them by hard links move
    // their times.
    if (op_.source.kind == plan::FileSource::Kind::kContext) {
      from.ctime = item.info.ctime_s * 1'000'000'000 + item.info.ctime_ns;
      if (entry.size > 0) {
        if (auto known = source_->KnownDigest(item.info)) {
          from.digest = std::move(known->digest);
        }
      }
    }
    // Names of one file are links of one another within one source.
    std::optional<InodeKey> inode;
    if (item.info.nlink > 1 && item.info.type != FileType::kDirectory) {
      inode = {item.info.device, item.info.inode, match};
    }
    return {std::move(entry), std::move(from), inode};
  }

  void CopyItem(const ContextSource::Item& item, std::string path,
                bool may_have_xattrs = true) {
    if (item.info.type == FileType::kSocket) return;
    CopyContents::Leaf leaf =
        LeafOf(item, std::move(path), may_have_xattrs, match_);
    if (item.info.type == FileType::kDirectory) {
      tree_.PutDirectory(std::move(leaf.entry), true);
    } else {
      tree_.PutLeaf(std::move(leaf.entry), std::move(leaf.from), leaf.inode);
    }
  }

  std::shared_ptr<UnpackedArchive> Unpack(const FileTree& source,
                                          const std::string& path) const {
    try {
      return std::make_shared<UnpackedArchive>(step_.env().store, source, path,
                                               step_.state().cancel);
    } catch (Error& error) {
      throw error.While(fmt::format("while unpacking {}", Quoted(path)));
    }
  }

  // A tar goes into the destination as a directory; owners, modes and times
  // are the archive's, --chown overrides the owner, --chmod does not apply.
  void AddArchive(const FileTree& source, const std::string& path) {
    const std::string top = DestinationDirectory(0755);
    const auto unpacked = Unpack(source, path);
    unpacked_.push_back(unpacked);
    for (const ContextSource::Item& item : unpacked->items()) {
      if (item.path.empty()) continue;
      layer::Entry entry = ToEntry(item.info, JoinPath(top, item.path));
      ApplyFlags(entry, false);
      if (item.info.type == FileType::kSymlink) {
        entry.link_target = unpacked->tree()->ReadLink(item.path);
      } else {
        entry.xattrs = unpacked->tree()->Xattrs(item.path);
      }
      if (item.info.type == FileType::kDirectory) {
        tree_.PutDirectory(std::move(entry), true, ReplaceFile::kYes);
        continue;
      }
      std::optional<InodeKey> inode;
      if (item.info.nlink > 1) inode = Inode(item.info);
      tree_.PutLeaf(std::move(entry),
                    {unpacked->tree(), item.path, std::nullopt}, inode,
                    ReplaceDirectory::kYes);
    }
  }

  void CopyInline(const plan::CopyOp::Inline& file) {
    layer::Entry entry;
    entry.path = FileDestination(file.name);
    entry.mode = 0644;
    entry.mtime_s = step_.vertex().epoch;
    ApplyFlags(entry, true);
    tree_.PutText(std::move(entry), file.text);
  }

  Step& step_;
  const plan::CopyOp& op_;
  std::shared_ptr<const FileTree> below_;
  CopyTree tree_;
  std::optional<Owner> owner_;
  std::optional<plan::Chmod> chmod_;
  uint64_t match_ = 0;  // counts the sources
  std::shared_ptr<const ContextSource> source_;
  Selection selection_;
  std::vector<std::shared_ptr<UnpackedArchive>> unpacked_;
};

// What one match has below a place of the layer. Nothing is excluded, so that
// a path alone tells whether it is there.
class CopyRunner::Contents : public CopyContents {
 public:
  Contents(const CopyRunner& runner, const Selected& match,
           const std::string& top, uint64_t number)
      : runner_(runner),
        match_(match),
        prefix_(top.empty() ? "" : top + "/"),
        skip_(match.path.empty() ? 0 : match.path.size() + 1),
        number_(number) {}

  void Visit(const Visitor& visit) const override {
    std::string path = prefix_;
    runner_.selection_.Visit(
        *runner_.source_, match_,
        [&](const ContextSource::Item& item, bool may_have_xattrs) {
          if (item.path == match_.path) return;
          path.resize(prefix_.size());
          path.append(item.path, skip_);
          visit(path, item, may_have_xattrs);
        });
  }
  Leaf Make(const std::string& path, const ContextSource::Item& item,
            bool may_have_xattrs) const override {
    return runner_.LeafOf(item, path, may_have_xattrs, number_);
  }
  std::optional<FileInfo> Find(const std::string& path) const override {
    if (path.size() <= prefix_.size()) return std::nullopt;
    auto info = runner_.source_->Lstat(InSource(path));
    if (info && info->type == FileType::kSocket) return std::nullopt;
    return info;
  }
  std::optional<Leaf> MakeAt(const std::string& path) const override {
    const auto info = Find(path);
    if (!info) return std::nullopt;
    return Make(path, {InSource(path), *info}, true);
  }

 private:
  std::string InSource(const std::string& path) const {
    return JoinPath(match_.path, path.substr(prefix_.size()));
  }

  const CopyRunner& runner_;
  const Selected& match_;
  const std::string prefix_;
  const size_t skip_;
  const uint64_t number_;
};

void CopyRunner::CopyDirectory(const Selected& match, const std::string& top) {
  if (op_.source.kind == plan::FileSource::Kind::kContext &&
      !selection_.exclude) {
    tree_.PutContents(top,
                      std::make_unique<Contents>(*this, match, top, match_));
    return;
  }
  const size_t skip = match.path.empty() ? 0 : match.path.size() + 1;
  selection_.Visit(*source_, match, [&](const auto& item, bool xattrs) {
    if (item.path == match.path) return;
    CopyItem(item, JoinPath(top, item.path.substr(skip)), xattrs);
  });
}

}  // namespace

std::optional<store::StoredLayer> PerformCopy(Step& step,
                                              const plan::CopyOp& op) {
  return CopyRunner(step, op).Run();
}

}  // namespace imgbuild::build
