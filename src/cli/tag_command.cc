// `imgbuild tag`.
#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

oci::Reference TargetOf(const std::string& word) {
  try {
    oci::Reference name = oci::Reference::Parse(word).WithDefaultTag();
    if (!name.digest()) return name;
  } catch (const Error& error) {
    Error failed(ErrorCode::kFailed,
                 fmt::format("{} is not a valid repository/tag: {}",
                             Quoted(word), error.message()));
    if (!error.hint().empty()) failed.WithHint(error.hint());
    throw failed;
  }
  throw Error(ErrorCode::kFailed,
              "refusing to create a tag with a digest reference");
}

}  // namespace

int TagCommand(App& app, const Words& words) {
  std::string source;
  std::string target;
  Args args("tag SOURCE NAME[:TAG]", "Give an image another name.");
  args.Positional("SOURCE", &source, true,
                  "a name, a name with a digest, or an image id");
  args.Positional("NAME", &target, true, "the new name");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  const oci::Reference name = TargetOf(target);
  const auto lease = app.store().Hold();
  const store::Match match = RequireImage(app, source);
  const oci::Digest digest =
      match.name ? match.name->target : match.image.manifest;
  app.store().images().SetName({name.repository(), name.tag(), digest,
                                match.image.manifest, std::nullopt, false});
  return 0;
}

}  // namespace imgbuild::cli
