// `imgbuild copy`: an image from one place to another, byte for byte.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/transfer/copy.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/place.h"

namespace imgbuild::cli {
namespace {

std::string Word(const registry::PushOutcome& outcome) {
  switch (outcome.kind) {
    case registry::PushOutcome::kExists:
      return "Already exists";
    case registry::PushOutcome::kMounted:
      return "Mounted from " + outcome.mounted_from;
    case registry::PushOutcome::kUploaded:
      break;
  }
  return "Copied";
}

// NAME without a tag is NAME:latest, unless the digest alone is wanted.
void DecideTag(Place& place, bool by_digest) {
  if (place.kind != Place::Kind::kRegistry) {
    if (!by_digest) return;
    throw Error(ErrorCode::kUsage, "--by-digest is for registries");
  }
  const oci::Reference name = oci::Reference::Parse(place.name);
  if (!by_digest) {
    place.name = name.WithDefaultTag().ToString();
  } else if (name.tag()) {
    throw Error(ErrorCode::kUsage,
                "--by-digest moves no tag, and " + place.name + " has one");
  }
}

}  // namespace

int CopyCommand(App& app, const Words& words) {
  std::string from;
  std::string to;
  std::string platform;
  bool by_digest = false;
  bool referrers = false;
  bool quiet = false;
  Args args("copy [OPTIONS] SOURCE DESTINATION",
            "Copy an image from one place to another, byte for byte: the "
            "digest stays. All platforms of an index, unless one is asked for. "
            "A place is NAME (a registry), store:NAME, oci:DIR[:TAG], "
            "docker-archive:FILE[:NAME] or oci-archive:FILE[:NAME].");
  args.Value("--platform", &platform, "OS/ARCH[/VARIANT]",
             "the image of an index for this platform alone");
  args.Flag("--by-digest", &by_digest, "under the digest, move no tag");
  args.Flag("--referrers", &referrers,
            "signatures and other artifacts that refer to it, too");
  args.Flag("-q,--quiet", &quiet, "print the digest only");
  args.Positional("SOURCE", &from, true, "where it is");
  args.Positional("DESTINATION", &to, true, "where it goes");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  Place destination = ParsePlace(to);
  DecideTag(destination, by_digest);
  const Place origin = ParsePlace(from);
  transfer::CopyOptions options;
  options.referrers = referrers;
  if (!platform.empty()) options.platform = oci::Platform::Parse(platform);
  options.on_blob = [&](const oci::Descriptor& blob,
                        const registry::PushOutcome& outcome) {
    if (quiet) return;
    fmt::print("{}: {} {}\n", blob.digest.Short(), Word(outcome),
               HumanSize(blob.size));
    std::fflush(stdout);
  };
  const bool has_store = origin.kind == Place::Kind::kStore ||
                         destination.kind == Place::Kind::kStore;
  const auto lease = has_store ? app.store().Hold() : nullptr;
  const auto source = OpenSource(app, origin);
  // A docker archive has one image.
  if (destination.kind == Place::Kind::kDockerArchive && !options.platform &&
      source->Root().index) {
    options.platform = oci::Platform::Host();
  }
  const auto target =
      OpenTarget(app, destination, source->reference(),
                 options.platform.value_or(oci::Platform::Host()));
  const transfer::CopyResult result =
      transfer::Copy(*source, *target, options, app.cancel);
  fmt::print("{}{}\n", quiet ? "" : "Digest: ", result.digest.ToString());
  return 0;
}

}  // namespace imgbuild::cli
