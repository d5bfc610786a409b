#include <fcntl.h>
#include <fmt/format.h>

#include "imgbuild/build/exporter.h"
#include "imgbuild/context/context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "build/copy_tree.h"
#include "build/export_archive.h"
#include "build/run_mounts.h"

namespace imgbuild::build {
namespace {

// A file that appears whole or not at all; or standard output.
class Destination : public Writer {
 public:
  explicit Destination(const std::string& dest) : dest_(dest) {
    if (dest_ == "-") return;
    temporary_ = dest_ + ".partial";
    file_ = fs::Open(AT_FDCWD, temporary_, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  }
  ~Destination() override {
    if (file_ && !done_) ::unlink(temporary_.c_str());
  }
  void Write(Bytes bytes) override {
    fs::WriteAll(file_ ? file_.get() : 1, bytes,
                 file_ ? std::string_view(dest_) : "standard output");
  }
  void Commit() {
    if (file_) fs::Rename(AT_FDCWD, temporary_, AT_FDCWD, dest_);
    done_ = true;
  }

 private:
  std::string dest_;
  std::string temporary_;
  UniqueFd file_;
  bool done_ = false;
};

int64_t Epoch(const BuildResult& result) {
  const oci::ImageConfig config = oci::ParseImageConfig(result.config);
  return config.created ? ParseRfc3339(*config.created).value_or(0) : 0;
}

struct Files {
  std::shared_ptr<const FileTree> tree;
  std::vector<context::ContextSource::Item> items;
};

Files AllFiles(BuildEnvironment& env, const BuildResult& result) {
  env.transfer.EnsureUnpacked(result.layers);
  std::vector<oci::DiffId> chain;
  for (const transfer::LayerName& layer : result.layers) {
    chain.push_back(layer.diff_id);
  }
  Files files;
  files.tree = env.store.snapshots().View(chain);
  const auto source =
      context::OpenTreeContext(files.tree, "the image", env.pool, env.cancel);
  files.items = source->Walk("", nullptr);
  return files;
}

// The root file system as a tar. The layers' own times are clamped where their
// tars are written, which says nothing of the files on disk.
void WriteRootTar(BuildEnvironment& env, const Files& files, int64_t epoch,
                  Writer& out) {
  CopyTree tree(std::make_shared<const EmptyTree>(), epoch);
  for (const auto& item : files.items) {
    if (item.path.empty() || item.info.type == FileType::kSocket) continue;
    layer::Entry entry = ToEntry(item.info, item.path);
    if (item.info.type == FileType::kDirectory) {
      entry.xattrs = files.tree->Xattrs(item.path);
      tree.PutDirectory(std::move(entry), true);
      continue;
    }
    if (item.info.type == FileType::kSymlink) {
      entry.link_target = files.tree->ReadLink(item.path);
    } else {
      entry.xattrs = files.tree->Xattrs(item.path);
    }
    std::optional<InodeKey> inode;
    if (item.info.nlink > 1) inode = {item.info.device, item.info.inode};
    tree.PutLeaf(std::move(entry), files.tree, item.path, inode);
  }
  layer::LayerWriter writer(out, env.pool, oci::Compression::kNone);
  tree.Write(writer, env.cancel);
  writer.Finish();
}

}  // namespace

void Export(BuildEnvironment& env, const BuildResult& result,
            const OutputSpec& output, const std::vector<oci::Reference>& tags) {
  using Type = OutputSpec::Type;
  switch (output.type) {
    case Type::kImage:
      return;  // it is in the store already
    case Type::kOci:
    case Type::kDocker: {
      const Archive archive = output.type == Type::kOci
                                  ? OciArchive(result, tags)
                                  : DockerArchive(result, tags);
      if (!output.as_tar) {
        fs::MakeDirs(AT_FDCWD, output.dest, 0755);
        const UniqueFd dir = fs::OpenDir(AT_FDCWD, output.dest);
        WriteArchiveDirectory(archive, env.store, dir.get());
        return;
      }
      Destination dest(output.dest);
      WriteArchiveTar(archive, Epoch(result), env.store, env.pool, dest);
      dest.Commit();
      return;
    }
    case Type::kTar: {
      const Files files = AllFiles(env, result);
      Destination dest(output.dest);
      WriteRootTar(env, files, Epoch(result), dest);
      dest.Commit();
      return;
    }
    case Type::kLocal: {
      const Files files = AllFiles(env, result);
      fs::MakeDirs(AT_FDCWD, output.dest, 0755);
      const UniqueFd dir = fs::OpenDir(AT_FDCWD, output.dest);
      WriteItems(files.tree, files.items, "", Epoch(result), dir.get(),
                 env.pool, env.cancel);
      return;
    }
  }
}

}  // namespace imgbuild::build
