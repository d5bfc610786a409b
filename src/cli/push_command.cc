// `imgbuild push`.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/transfer/push.h"
#include "imgbuild/util/error.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

const char* Word(registry::PushOutcome outcome) {
  switch (outcome) {
    case registry::PushOutcome::kExists:
      return "Layer already exists";
    case registry::PushOutcome::kMounted:
      return "Mounted";
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

}  // namespace

int PushCommand(App& app, const Words& words) {
  std::string name;
  bool all_tags = false;
  bool by_digest = false;
  bool quiet = false;
  Args args("push [OPTIONS] NAME[:TAG]",
            "Send an image to its registry, byte for byte.");
  args.Flag("-a,--all-tags", &all_tags, "push every tag of the repository");
  args.Flag("--by-digest", &by_digest, "push under the digest, move no tag");
  args.Flag("-q,--quiet", &quiet, "print the name with its digest only");
  args.Positional("NAME", &name, true, "what to push");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  const oci::Reference typed = oci::Reference::Parse(name);
  if (typed.digest() && !by_digest) {
    throw Error(ErrorCode::kUsage, "cannot push a digest reference")
        .WithHint("--by-digest pushes it without a tag");
  }
  const auto lease = app.store().Hold();
  std::vector<store::NameRecord> names;
  if (typed.digest()) {
    const store::Match match = RequireImage(app, name);
    names.push_back({typed.repository(), std::nullopt, *typed.digest(),
                     match.image.manifest, std::nullopt, false});
  } else {
    names = NamesToPush(app, name, all_tags);
  }
  if (!quiet) {
    fmt::print("The push refers to repository [{}]\n",
               typed.repository().ToString());
  }
  for (const store::NameRecord& record : names) {
    const std::optional<std::string> tag =
        by_digest ? std::nullopt : record.tag;
    transfer::CopyOptions options;
    options.on_blob = [&](const oci::Descriptor& blob,
                          registry::PushOutcome outcome) {
      if (quiet || blob.media_type == oci::media_type::kOciConfig ||
          blob.media_type == oci::media_type::kDockerConfig) {
        return;
      }
      fmt::print("{}: {}\n", blob.digest.Short(), Word(outcome));
      std::fflush(stdout);
    };
    const transfer::CopyResult result =
        transfer::Push(app.store(), app.client(), app.transfer(), record.target,
                       oci::Reference(record.repository, tag, std::nullopt),
                       options, app.cancel);
    if (quiet) {
      fmt::print("{}@{}\n", record.repository.ToString(),
                 result.digest.ToString());
    } else {
      fmt::print("{}: digest: {} size: {}\n", tag.value_or("(no tag)"),
                 result.digest.ToString(), result.size);
    }
  }
  return 0;
}

}  // namespace imgbuild::cli
