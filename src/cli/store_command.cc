// `imgbuild store check`: is everything in the store what it says it is?
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/util/error.h"

#include "cli/commands.h"

namespace imgbuild::cli {

int StoreCommand(App& app, const Words& words) {
  std::string verb;
  bool repair = false;
  Args args("store check [--repair]",
            "Verify every digest of the store; with --repair drop what is "
            "broken, and only that.");
  args.Flag("--repair", &repair, "drop what is broken");
  args.Positional("VERB", &verb, true, "check");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (verb != "check") {
    throw Error(ErrorCode::kUsage, "unknown command: store " + verb)
        .WithHint("did you mean store check?");
  }
  const std::vector<store::Damage> damages =
      app.store().Check(repair, app.cancel);
  size_t left = 0;
  for (const store::Damage& damage : damages) {
    fmt::print("{}: {}{}\n", damage.what, damage.reason,
               damage.dropped ? " (dropped)" : "");
    if (!damage.dropped) ++left;
  }
  if (damages.empty()) {
    fmt::print("the store is sound\n");
    return 0;
  }
  std::fflush(stdout);
  if (left == 0) {
    fmt::print(stderr, "repaired: pull or build again what was dropped\n");
    return 0;
  }
  Error error(ErrorCode::kHost,
              fmt::format("{} of the store {} damaged", left,
                          left == 1 ? "part is" : "parts are"));
  throw repair ? error : error.WithHint("imgbuild store check --repair");
}

}  // namespace imgbuild::cli
