#include <fcntl.h>
#include <fmt/format.h>

#include "imgbuild/build/exporter.h"
#include "imgbuild/context/context.h"
#include "imgbuild/transfer/archive.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/output_file.h"
#include "imgbuild/util/strings.h"

#include "build/copy_tree.h"
#include "build/run_mounts.h"

namespace imgbuild::build {
namespace {

transfer::ArchiveImage ToArchive(const BuildResult& result,
                                 const std::vector<oci::Reference>& tags) {
  return {result.manifest, result.config, result.image_id,
          result.platform, tags,          std::nullopt};
}

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
    tree.PutLeaf(std::move(entry), {files.tree, item.path, std::nullopt},
                 inode);
  }
  layer::LayerWriter writer(out, env.pool, oci::Compression::kNone);
  tree.Write(writer, env.pool, env.cancel);
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
      env.transfer.EnsureBlobs(result.layers);
      const transfer::Archive archive =
          output.type == Type::kOci
              ? transfer::OciArchive({ToArchive(result, tags)})
              : transfer::DockerArchive({ToArchive(result, tags)});
      if (!output.as_tar) {
        fs::MakeDirs(AT_FDCWD, output.dest, 0755);
        const UniqueFd dir = fs::OpenDir(AT_FDCWD, output.dest);
        transfer::WriteArchiveDirectory(archive, env.store, dir.get());
        return;
      }
      OutputFile dest(output.dest);
      transfer::WriteArchiveTar(archive, Epoch(result), env.store, env.pool,
                                dest);
      dest.Commit();
      return;
    }
    case Type::kTar: {
      const Files files = AllFiles(env, result);
      OutputFile dest(output.dest);
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
