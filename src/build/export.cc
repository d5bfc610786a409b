#include <fcntl.h>
#include <fmt/format.h>

#include "imgbuild/build/exporter.h"
#include "imgbuild/context/context.h"
#include "imgbuild/transfer/archive.h"
#include "imgbuild/transfer/place.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/output_file.h"
#include "imgbuild/util/strings.h"

#include "build/copy_tree.h"
#include "build/run_mounts.h"

namespace imgbuild::build {
namespace {

// The image as it was made, or as the output wants its layers.
transfer::ArchiveImage ToArchive(BuildEnvironment& env,
                                 const BuildResult& result,
                                 const OutputSpec& output,
                                 const std::vector<oci::Reference>& tags) {
  transfer::ArchiveImage image{result.manifest,
                               result.config,
                               result.image_id,
                               result.platform,
                               tags,
                               std::nullopt,
                               result.descriptor_annotations};
  if (!output.compression) return image;
  const VertexId row = env.progress.AddVertex("compressing layers");
  env.progress.Started(row);
  const auto source = transfer::StoreSource(
      env.store, env.transfer, result.manifest.digest, std::nullopt);
  image.manifest =
      transfer::Recompress(*source, env.store, result.manifest,
                           *output.compression, env.pool, env.cancel);
  env.progress.Log(row, 1,
                   fmt::format("the manifest of {} is {}\n", output.dest,
                               image.manifest.digest.ToString()));
  env.progress.Finished(row, VertexOutcome::kDone, "");
  return image;
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
              ? transfer::OciArchive({ToArchive(env, result, output, tags)})
              : transfer::DockerArchive({ToArchive(env, result, output, tags)});
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
