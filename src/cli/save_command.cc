// `imgbuild save` and `imgbuild load`: images as one file, names and digests
// included.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "imgbuild/transfer/archive.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/output_file.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

// One ArchiveImage for each thing that names stand for and each manifest
// behind it: an index that is here for two platforms is two.
class Collection {
 public:
  Collection(App& app, std::string platform)
      : app_(app), platform_(std::move(platform)) {}

  void Add(const std::string& word) {
    const store::Match match = RequireImage(app_, word);
    const store::ImageRecord record = OfPlatform(app_, match, word, platform_);
    const oci::Digest target =
        match.name ? match.name->target : record.manifest;
    transfer::ArchiveImage& image = Of(record, target);
    if (!match.name || match.how == store::Match::How::kId) return;
    const oci::Reference name(
        match.name->repository, match.name->tag,
        match.name->tag ? std::nullopt : std::optional(target));
    if (std::ranges::find(image.names, name) == image.names.end()) {
      image.names.push_back(name);
    }
  }
  // `save REPOSITORY`: all its tags, as Docker has it.
  bool AddRepository(const std::string& word) {
    const auto reference = oci::Reference::TryParse(word);
    if (!reference || reference->tag() || reference->digest()) return false;
    bool any = false;
    for (const store::NamedImage& named : app_.store().images().List()) {
      for (const store::NameRecord& name : named.names) {
        if (!name.tag || name.repository != reference->repository()) continue;
        Add(name.repository.ToString() + ":" + *name.tag);
        any = true;
      }
    }
    return any;
  }

  std::vector<transfer::ArchiveImage> Take() { return std::move(images_); }
  const std::vector<transfer::LayerName>& layers() const { return layers_; }

 private:
  transfer::ArchiveImage& Of(const store::ImageRecord& record,
                             const oci::Digest& target) {
    const auto [it, first] =
        index_.try_emplace({target, record.manifest}, images_.size());
    if (!first) return images_[it->second];
    const LoadedImage loaded = LoadImage(app_, record);
    images_.push_back({oci::ParseDocument(loaded.manifest, ""),
                       loaded.config_bytes,
                       record.id,
                       record.platform,
                       {},
                       std::nullopt});
    if (target != record.manifest) {
      auto bytes = app_.store().content().Read(target, oci::kMaxManifestBytes);
      if (!bytes) {
        throw Error(
            ErrorCode::kHost,
            fmt::format("index {} is gone from the store", target.ToString()));
      }
      images_.back().index = oci::ParseDocument(std::move(*bytes), "");
    }
    for (size_t i = 0; i < record.layers.size(); ++i) {
      layers_.push_back({record.diff_ids.at(i), record.layers[i]});
    }
    return images_.back();
  }

  App& app_;
  std::string platform_;
  std::map<std::pair<oci::Digest, oci::Digest>, size_t> index_;
  std::vector<transfer::ArchiveImage> images_;
  std::vector<transfer::LayerName> layers_;
};

}  // namespace

int SaveCommand(App& app, const Words& words) {
  std::string output;
  std::string platform;
  std::vector<std::string> names;
  Args args("save [OPTIONS] IMAGE…",
            "Write images as a tar: an OCI layout and Docker's archive in "
            "one, with their tags and digests.");
  args.Value("-o,--output", &output, "FILE",
             "the file, instead of standard output");
  args.Value("--platform", &platform, "OS/ARCH[/VARIANT]",
             "that platform's image of an index");
  args.Positionals("IMAGE", &names, true,
                   "NAME[:TAG], NAME@DIGEST, a repository or an image id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (output.empty() && ::isatty(STDOUT_FILENO) == 1) {
    throw Error(ErrorCode::kFailed, "refusing to save to a terminal")
        .WithHint("use -o FILE or redirect");
  }

  const auto lease = app.store().Hold();
  Collection collection(app, platform);
  for (const std::string& name : names) {
    if (!collection.AddRepository(name)) collection.Add(name);
  }
  app.transfer().EnsureBlobs(collection.layers());
  OutputFile file(output.empty() ? "-" : output);
  transfer::WriteArchiveTar(transfer::DockerArchive(collection.Take()), 0,
                            app.store(), app.pool(), file);
  file.Commit();
  return 0;
}

int LoadCommand(App& app, const Words& words) {
  std::string input;
  std::string platform;
  bool quiet = false;
  bool keep_tags = false;
  Args args("load [OPTIONS]",
            "Read images from a tar that save (or docker save) wrote.");
  args.Value("-i,--input", &input, "FILE",
             "the file, instead of standard input; plain, gzip, zstd, bzip2 "
             "or xz");
  args.Value("--platform", &platform, "OS/ARCH[/VARIANT]",
             "only that platform's images");
  args.Flag("--keep-tags", &keep_tags,
            "refuse an archive that would move a tag to another image");
  args.Flag("-q,--quiet", &quiet, "print no progress (there is none)");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  RequireRoot();
  if (input.empty() && ::isatty(STDIN_FILENO) == 1) {
    throw Error(ErrorCode::kFailed,
                "requested load from stdin, but stdin is "
                "empty")
        .WithHint("use -i FILE or redirect");
  }
  std::optional<oci::Platform> wanted;
  if (!platform.empty()) wanted = oci::Platform::Parse(platform);

  UniqueFd file;
  try {
    if (!input.empty()) file = fs::Open(AT_FDCWD, input, O_RDONLY);
  } catch (const Error& error) {
    throw Error(ErrorCode::kFailed, error.message());
  }
  FdReader reader(file ? file.get() : STDIN_FILENO,
                  input.empty() ? "standard input" : input);
  std::vector<oci::Digest> ingested;
  try {
    const auto lease = app.store().Hold();
    for (const transfer::LoadedImage& image :
         transfer::LoadArchive(app.store(), app.transfer(), reader, wanted,
                               &ingested, keep_tags)) {
      for (const auto& [name, old] : image.moved) {
        fmt::print(
            "The image {} already existed, renaming the old one with "
            "ID {} to empty string\n",
            name.Familiar(), old.ToString());
      }
      for (const oci::Reference& name : image.names) {
        fmt::print("Loaded image: {}\n", name.Familiar());
      }
      if (image.names.empty()) {
        fmt::print("Loaded image ID: {}\n", image.id.ToString());
      }
    }
  } catch (const Error& error) {
    // Nothing of a refused archive stays.
    app.store().SweepOnly(ingested);
    if (error.code() != ErrorCode::kRegistry) throw;
    Error failed(ErrorCode::kFailed, error.message());
    for (const std::string& frame : error.frames()) failed.While(frame);
    if (!error.hint().empty()) failed.WithHint(error.hint());
    throw failed;
  }
  // Nor what only the archive needed: its index.json and manifest.json.
  app.store().SweepOnly(ingested);
  return 0;
}

}  // namespace imgbuild::cli
