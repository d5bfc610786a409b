// `imgbuild index create`: one name for the images of several platforms.
#include <fmt/format.h>

#include "imgbuild/transfer/copy.h"
#include "imgbuild/util/error.h"

#include "cli/commands.h"
#include "cli/place.h"

namespace imgbuild::cli {
namespace {

std::map<std::string, std::string> ParseAnnotations(
    const std::vector<std::string>& words) {
  std::map<std::string, std::string> out;
  for (const std::string& word : words) {
    const size_t equal = word.find('=');
    // imagetools' prefix for the same thing.
    std::string key = word.substr(0, equal);
    if (key.starts_with("index:")) key.erase(0, 6);
    if (equal == std::string::npos || key.empty() ||
        key.find(':') != std::string::npos) {
      throw Error(ErrorCode::kUsage, "malformed annotation " + word)
          .WithHint("--annotation KEY=VALUE, of the index");
    }
    out[key] = word.substr(equal + 1);
  }
  return out;
}

// "sha256:…" alone is in the repository of the first tag.
std::string WithRepository(const std::string& word,
                           const std::vector<oci::Reference>& names) {
  if (!oci::Digest::TryParse(word)) return word;
  if (names.empty()) {
    throw Error(ErrorCode::kUsage, word + " names no repository")
        .WithHint("NAME@" + word + ", or -t to take that name's repository");
  }
  return names[0].repository().ToString() + "@" + word;
}

}  // namespace

int IndexCommand(App& app, const Words& words) {
  std::string verb;
  std::vector<std::string> tags;
  std::vector<std::string> images;
  std::vector<std::string> annotations;
  bool dry_run = false;
  bool quiet = false;
  Args args("index create [OPTIONS] IMAGE…",
            "Make one name for images of several platforms, each built or "
            "pushed by itself, and push it. What the name's repository lacks "
            "is copied there first. IMAGE is NAME[:TAG][@DIGEST], a digest in "
            "the repository of -t, or a place as in `copy`; an index counts as "
            "the images in it.");
  args.List("-t,--tag", &tags, "NAME[:TAG]", "the name to give; may repeat");
  args.List("--annotation", &annotations, "KEY=VALUE",
            "annotate the index; may repeat");
  args.Flag("--dry-run", &dry_run, "print the index and push nothing");
  args.Flag("-q,--quiet", &quiet, "print the digest only");
  args.Positional("create", &verb, true, "the only thing to do");
  args.Positionals("IMAGE", &images, true, "what goes into it");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (verb != "create") {
    throw Error(ErrorCode::kUsage, "unknown word after index: " + verb)
        .WithHint("imgbuild index create -t NAME IMAGE…");
  }
  std::vector<oci::Reference> names;
  for (const std::string& tag : tags) {
    names.push_back(oci::Reference::Parse(tag).WithDefaultTag());
    if (names.back().digest()) {
      throw Error(ErrorCode::kUsage, "-t takes a tag, not a digest: " + tag);
    }
  }
  if (names.empty() && !dry_run) {
    throw Error(ErrorCode::kUsage, "the index needs a name")
        .WithHint("-t NAME[:TAG], or --dry-run to see it only");
  }

  std::unique_ptr<store::Store::Lease> lease;
  std::vector<std::unique_ptr<transfer::ImageSource>> sources;
  std::vector<transfer::IndexPart> parts;
  for (const std::string& word : images) {
    const Place place = ParsePlace(WithRepository(word, names));
    if (place.kind == Place::Kind::kStore && !lease) {
      lease = app.store().Hold();
    }
    sources.push_back(OpenSource(app, place));
    parts.push_back({sources.back().get(), sources.back()->Root()});
  }
  const oci::Document index =
      transfer::MakeIndex(parts, ParseAnnotations(annotations));
  if (dry_run) {
    fmt::print("{}\n", index.bytes);
    return 0;
  }
  for (const oci::Reference& name : names) {
    const auto target = transfer::RegistryTarget(
        app.client(), name.repository(), name.tag(), app.cancel);
    for (const transfer::IndexPart& part : parts) {
      transfer::CopyImages(*part.source, *target, part.document, {},
                           app.cancel);
    }
    target->Name(index);
    if (!quiet) fmt::print("{}\n", name.ToString());
  }
  fmt::print("{}{}\n", quiet ? "" : "Digest: ", index.digest.ToString());
  return 0;
}

}  // namespace imgbuild::cli
