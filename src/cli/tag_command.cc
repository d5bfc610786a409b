// `imgbuild tag`.
#include "imgbuild/util/error.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {

int TagCommand(App& app, const Words& words) {
  std::string source;
  std::string target;
  Args args("tag SOURCE NAME[:TAG]", "Give an image another name.");
  args.Positional("SOURCE", &source, true,
                  "a name, a name with a digest, or an image id");
  args.Positional("NAME", &target, true, "the new name");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  const oci::Reference name = oci::Reference::Parse(target).WithDefaultTag();
  if (name.digest()) {
    throw Error(ErrorCode::kUsage,
                "refusing to create a tag with a digest reference");
  }
  const auto lease = app.store().Hold();
  const store::Match match = RequireImage(app, source);
  const oci::Digest digest =
      match.name ? match.name->target : match.image.manifest;
  app.store().images().SetName({name.repository(), name.tag(), digest,
                                match.image.manifest, std::nullopt, false});
  return 0;
}

}  // namespace imgbuild::cli
