// `imgbuild pull`.
#include <fmt/format.h>

#include <cstdio>
#include <map>

#include "imgbuild/util/error.h"

#include "cli/commands.h"

namespace imgbuild::cli {
namespace {

// One line a layer and state, as `docker pull` writes to a log.
class PullReport {
 public:
  explicit PullReport(bool quiet) : quiet_(quiet) {}
  void operator()(const oci::Descriptor& layer, transfer::LayerState state,
                  uint64_t) {
    using transfer::LayerState;
    if (quiet_) return;
    const auto [it, first] = last_.try_emplace(layer.digest.hex(), state);
    if (!first && it->second == state) return;
    it->second = state;
    const char* text = nullptr;
    switch (state) {
      case LayerState::kExists:
        text = "Already exists";
        break;
      case LayerState::kFetching:
        text = "Pulling fs layer";
        break;
      case LayerState::kFetched:
        text = "Download complete";
        break;
      case LayerState::kUnpacking:
        return;
      case LayerState::kDone:
        text = "Pull complete";
        break;
    }
    fmt::print("{}: {}\n", layer.digest.Short(), text);
    std::fflush(stdout);
  }

 private:
  bool quiet_;
  std::map<std::string, transfer::LayerState> last_;
};

}  // namespace

int PullCommand(App& app, const Words& words) {
  std::string name;
  std::string platform;
  bool quiet = false;
  Args args("pull [OPTIONS] NAME[:TAG][@DIGEST]",
            "Fetch an image from a registry into the store.");
  args.Value("--platform", &platform, "OS/ARCH[/VARIANT]",
             "the platform to take from an index");
  args.Flag("-q,--quiet", &quiet, "print the name only");
  args.Positional("NAME", &name, true, "what to pull");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  const oci::Reference typed = oci::Reference::Parse(name);
  RequireRoot();
  const oci::Reference reference = typed.WithDefaultTag();
  const oci::Platform wanted =
      platform.empty() ? oci::Platform::Host() : oci::Platform::Parse(platform);
  if (!quiet) {
    if (!typed.tag() && !typed.digest()) {
      fmt::print("Using default tag: latest\n");
    }
    fmt::print("{}: Pulling from {}\n",
               reference.digest() ? reference.Familiar()
                                  : reference.tag().value_or("latest"),
               reference.repository().path());
    std::fflush(stdout);
  }
  PullReport report(quiet);
  app.transfer_options.on_layer =
      [&](const oci::Descriptor& layer, transfer::LayerState state,
          uint64_t done) { report(layer, state, done); };
  app.transfer_options.warn = [](const std::string& text) {
    fmt::print(stderr, "warning: {}\n", text);
  };
  const auto lease = app.store().Hold();
  const transfer::PullResult result =
      app.transfer().Pull(reference, wanted, transfer::PullPolicy::kAlways);
  if (!quiet) {
    fmt::print("Digest: {}\n", result.image.target.ToString());
    fmt::print("Status: {} {}\n",
               result.up_to_date ? "Image is up to date for"
                                 : "Downloaded newer image for",
               reference.Familiar());
  }
  fmt::print("{}\n", reference.ToString());
  return 0;
}

}  // namespace imgbuild::cli
