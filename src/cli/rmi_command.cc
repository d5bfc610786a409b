// `imgbuild rmi`: names first, the image when its last name is gone.
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"
#include "cli/image_remover.h"

namespace imgbuild::cli {

int RmiCommand(App& app, const Words& words) {
  std::vector<std::string> images;
  bool force = false;
  bool no_prune = false;
  std::vector<std::string> platforms;
  Args args("rmi [OPTIONS] IMAGE…",
            "Remove names; an image goes with its last name.");
  args.Flag("-f,--force", &force, "remove an image with all its names");
  args.Flag("--no-prune", &no_prune,
            "keep untagged parents (there are none here)");
  args.List(
      "--platform", &platforms, "OS/ARCH[/VARIANT]",
      "with -f: only that platform's image of an index; a list, may repeat");
  args.Positionals("IMAGE", &images, true,
                   "NAME[:TAG], NAME@DIGEST or an image id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  ImageRemover remover(app, force, "Untagged: ", "Deleted: ");
  bool in_the_way = false;
  const int status = ForEachWord(images, [&](const std::string& word) {
    // With -f it is no failure that there is nothing to remove, as in docker;
    // a word that means nothing, or too much, is one.
    bool found = false;
    try {
      found = FindImage(app, word).has_value();
    } catch (const Error&) {
      in_the_way = true;
      throw;
    }
    if (!found) RequireImage(app, word);
    try {
      if (platforms.empty()) remover.Remove(word);
      for (const std::string& list : platforms) {
        for (const std::string& platform : Split(list, ',')) {
          remover.RemovePlatform(word, platform);
        }
      }
    } catch (const Error&) {
      in_the_way = true;
      throw;
    }
  });
  remover.Sweep();
  return force && !in_the_way && status == 1 ? 0 : status;
}

}  // namespace imgbuild::cli
