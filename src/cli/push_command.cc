// `imgbuild push`.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/transfer/push.h"
#include "imgbuild/transfer/recompress.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

std::string Word(const registry::PushOutcome& outcome) {
  switch (outcome.kind) {
    case registry::PushOutcome::kExists:
      return "Layer already exists";
    case registry::PushOutcome::kMounted:
      return "Mounted from " + outcome.mounted_from;
    case registry::PushOutcome::kUploaded:
      break;
  }
  return "Pushed";
}

// The names that one word means: a tag, or with -a every tag of a repository.
std::vector<store::NameRecord> NamesToPush(App& app, const std::string& word,
                                           bool all_tags) {
  const oci::Reference typed = oci::Reference::Parse(word);
  std::vector<store::NameRecord> names;
  if (all_tags) {
    if (typed.tag()) {
      throw Error(ErrorCode::kUsage, "tag can't be used with --all-tags/-a");
    }
    for (const store::NamedImage& image : app.store().images().List()) {
      for (const store::NameRecord& name : image.names) {
        if (name.tag && name.repository == typed.repository()) {
          names.push_back(name);
        }
      }
    }
  } else if (const auto match =
                 app.store().images().Find(typed.WithDefaultTag().ToString());
             match && match->name) {
    names.push_back(*match->name);
  }
  if (names.empty()) {
    throw Error(ErrorCode::kUsage,
                fmt::format("an image does not exist locally with the tag: {}",
                            typed.repository().Familiar()))
        .WithHint("imgbuild tag gives it that name");
  }
  return names;
}

struct PushFlags {
  bool all_tags = false;
  bool by_digest = false;
  bool quiet = false;
  bool no_trust = false;
  std::string platform;
  std::string compression;
  std::string level;
};

std::optional<transfer::WantedCompression> ParseCompression(
    const PushFlags& flags) {
  transfer::WantedCompression wanted;
  if (flags.compression == "gzip") {
    wanted.compression = oci::Compression::kGzip;
  } else if (flags.compression == "zstd") {
    wanted.compression = oci::Compression::kZstd;
  } else if (flags.compression == "uncompressed") {
    wanted.compression = oci::Compression::kNone;
  } else if (!flags.compression.empty()) {
    throw Error(ErrorCode::kUsage, "unknown --compression " + flags.compression)
        .WithHint("gzip, zstd or uncompressed");
  }
  if (!flags.level.empty()) {
    const auto level = ParseUint(flags.level);
    if (!level || *level > 99 || flags.compression.empty() ||
        wanted.compression == oci::Compression::kNone) {
      throw Error(ErrorCode::kUsage, level && *level <= 99
                                         ? "--compression-level needs "
                                           "--compression gzip or zstd"
                                         : "--compression-level " +
                                               flags.level + " is not a level");
    }
    wanted.level = static_cast<int>(*level);
  }
  if (flags.compression.empty()) return std::nullopt;
  return wanted;
}

bool IsConfig(const oci::Descriptor& blob) {
  return blob.media_type == oci::media_type::kOciConfig ||
         blob.media_type == oci::media_type::kDockerConfig;
}

void PushOne(App& app, const store::NameRecord& record, const PushFlags& flags,
             const std::optional<transfer::WantedCompression>& wanted) {
  const std::optional<std::string> tag =
      flags.by_digest ? std::nullopt : record.tag;
  transfer::CopyOptions options;
  if (!flags.quiet) {
    // Docker names the last layer first.
    options.on_plan = [](const std::vector<oci::Descriptor>& blobs) {
      for (auto blob = blobs.rbegin(); blob != blobs.rend(); ++blob) {
        if (!IsConfig(*blob))
          fmt::print("{}: Preparing\n", blob->digest.Short());
      }
    };
    options.on_blob = [](const oci::Descriptor& blob,
                         const registry::PushOutcome& outcome) {
      if (IsConfig(blob)) return;
      fmt::print("{}: {}\n", blob.digest.Short(), Word(outcome));
      std::fflush(stdout);
    };
  }
  oci::Digest target = record.target;
  const auto source = transfer::StoreSource(
      app.store(), app.transfer(), target,
      oci::Reference(record.repository, record.tag, std::nullopt));
  if (!flags.platform.empty() || wanted) {
    oci::Document document = source->Root();
    if (!flags.platform.empty()) {
      document = transfer::ChooseImage(*source, std::move(document),
                                       oci::Platform::Parse(flags.platform));
    }
    if (wanted) {
      document = transfer::Recompress(*source, app.store(), document, *wanted,
                                      app.pool(), app.cancel);
    }
    target = document.digest;
  }
  const transfer::CopyResult result =
      transfer::Push(app.store(), app.client(), app.transfer(), target,
                     oci::Reference(record.repository, tag, std::nullopt),
                     options, app.cancel);
  if (flags.quiet) {
    fmt::print("{}@{}\n", record.repository.ToString(),
               result.digest.ToString());
  } else {
    fmt::print("{}: digest: {} size: {}\n", tag.value_or("(no tag)"),
               result.digest.ToString(), result.size);
  }
}

}  // namespace

int PushCommand(App& app, const Words& words) {
  std::string name;
  PushFlags flags;
  Args args("push [OPTIONS] NAME[:TAG]",
            "Send an image to its registry, byte for byte. With --compression "
            "the layers are compressed anew: the digest is another one, and is "
            "printed; the image in the store stays as it is.");
  args.Flag("-a,--all-tags", &flags.all_tags,
            "push every tag of the repository");
  args.Flag("--by-digest", &flags.by_digest,
            "push under the digest, move no tag");
  args.Value("--platform", &flags.platform, "OS/ARCH[/VARIANT]",
             "push the image of an index for this platform alone");
  args.Value("--compression", &flags.compression, "gzip|zstd|uncompressed",
             "change how the layers are compressed");
  args.Value("--compression-level", &flags.level, "N",
             "gzip 0-12 (default 3), zstd 1-22 (default 3); compresses "
             "every layer again");
  args.Flag("--disable-content-trust", &flags.no_trust,
            "for scripts: there is no content trust to disable");
  args.Flag("-q,--quiet", &flags.quiet, "print the name with its digest only");
  args.Positional("NAME", &name, true, "what to push");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  const oci::Reference typed = oci::Reference::Parse(name);
  if (typed.digest() && !flags.by_digest) {
    throw Error(ErrorCode::kUsage, "cannot push a digest reference")
        .WithHint("--by-digest pushes it without a tag");
  }
  const auto wanted = ParseCompression(flags);
  const auto lease = app.store().Hold();
  std::vector<store::NameRecord> names;
  if (typed.digest()) {
    const store::Match match = RequireImage(app, name);
    names.push_back({typed.repository(), std::nullopt, *typed.digest(),
                     match.image.manifest, std::nullopt, false});
  } else {
    names = NamesToPush(app, name, flags.all_tags);
  }
  if (!flags.quiet) {
    if (!typed.tag() && !typed.digest() && !flags.all_tags) {
      fmt::print("Using default tag: latest\n");
    }
    fmt::print("The push refers to repository [{}]\n",
               typed.repository().ToString());
  }
  for (const store::NameRecord& record : names) {
    PushOne(app, record, flags, wanted);
  }
  return 0;
}

}  // namespace imgbuild::cli
