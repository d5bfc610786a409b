// `imgbuild pull`.
#include <fmt/format.h>

#include <cstdio>
#include <map>

#include "imgbuild/util/error.h"

#include "cli/commands.h"
#include "cli/image_lock.h"

namespace imgbuild::cli {
namespace {

// One line a layer and state, as `docker pull` writes to a log.
class PullReport {
 public:
  void operator()(const oci::Descriptor& layer, transfer::LayerState state) {
    const auto [it, first] = last_.try_emplace(layer.digest.hex(), state);
    if (!first && it->second == state) return;
    it->second = state;
    const char* text = Text(state);
    if (text == nullptr) return;
    // Docker says nothing of the layers of an image that is there already.
    if (state == transfer::LayerState::kExists && !began_) {
      held_ += fmt::format("{}: {}\n", layer.digest.Short(), text);
      return;
    }
    Begin();
    fmt::print("{}: {}\n", layer.digest.Short(), text);
    std::fflush(stdout);
  }
  void Finish(bool up_to_date) {
    if (!up_to_date) Begin();
  }

 private:
  static const char* Text(transfer::LayerState state) {
    switch (state) {
      case transfer::LayerState::kExists:
        return "Already exists";
      case transfer::LayerState::kFetching:
        return "Pulling fs layer";
      case transfer::LayerState::kFetched:
        return "Download complete";
      case transfer::LayerState::kUnpacking:
        break;
      case transfer::LayerState::kDone:
        return "Pull complete";
    }
    return nullptr;
  }
  void Begin() {
    began_ = true;
    fmt::print("{}", held_);
    held_.clear();
  }

  bool began_ = false;
  std::string held_;
  std::map<std::string, transfer::LayerState> last_;
};

// What Docker calls the image in its lines: a tag beside a digest is left out.
std::string Shown(const oci::Reference& reference) {
  if (!reference.digest()) return reference.Familiar();
  return oci::Reference(reference.repository(), std::nullopt,
                        reference.digest())
      .Familiar();
}

struct PullFlags {
  bool all_tags = false;
  bool quiet = false;
  bool no_trust = false;
  std::string platform;
  ImageLock lock;
};

// Docker's words, where --platform was given.
void WarnOfPlatform(const oci::Reference& reference,
                    const oci::Platform& wanted,
                    const transfer::PullResult& result) {
  const oci::Platform& platform = result.image.config.platform;
  if (oci::MatchRank(wanted, platform)) return;
  fmt::print(stderr,
             "WARNING: image with reference {} was found but its platform ({}) "
             "does not match the specified platform ({})\n",
             reference.Familiar(), platform.ToString(), wanted.ToString());
}

// True when there was nothing to do.
bool PullOne(App& app, const oci::Reference& reference,
             const oci::Platform& wanted, const PullFlags& flags,
             PullReport& report) {
  if (!flags.quiet) {
    fmt::print("{}: Pulling from {}\n",
               reference.digest() ? Shown(reference)
                                  : reference.tag().value_or("latest"),
               reference.repository().path());
    std::fflush(stdout);
  }
  const transfer::PullResult result =
      app.transfer().Pull(reference, wanted, transfer::PullPolicy::kAlways);
  if (!flags.quiet) {
    report.Finish(result.up_to_date);
    fmt::print("Digest: {}\n", result.image.target.ToString());
  }
  if (!flags.platform.empty()) WarnOfPlatform(reference, wanted, result);
  return result.up_to_date;
}

// Every tag; what cannot be pulled is told and the rest goes on.
int PullAll(App& app, const oci::Repository& repository,
            const oci::Platform& wanted, const PullFlags& flags,
            PullReport& report, bool* up_to_date) {
  int status = 0;
  for (const std::string& tag : app.client().ListTags(repository, app.cancel)) {
    try {
      report = {};
      const oci::Reference name(repository, tag, std::nullopt);
      if (!PullOne(app, name, wanted, flags, report)) *up_to_date = false;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInterrupted) throw;
      std::fflush(stdout);
      std::fputs(error.Render().c_str(), stderr);
      status = static_cast<int>(error.code());
    }
  }
  return status;
}

}  // namespace

int PullCommand(App& app, const Words& words) {
  std::string name;
  PullFlags flags;
  Args args("pull [OPTIONS] NAME[:TAG][@DIGEST]",
            "Fetch an image from a registry into the store.");
  args.Flag("-a,--all-tags", &flags.all_tags,
            "fetch every tag of the repository");
  args.Value("--platform", &flags.platform, "OS/ARCH[/VARIANT]",
             "the platform to take from an index");
  args.Flag("--disable-content-trust", &flags.no_trust,
            "for scripts: there is no content trust to disable");
  args.Flag("-q,--quiet", &flags.quiet, "print the name only");
  flags.lock.AddTo(args);
  args.Positional("NAME", &name, true, "what to pull");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  const oci::Reference typed = oci::Reference::Parse(name);
  if (flags.all_tags && (typed.tag() || typed.digest())) {
    throw Error(ErrorCode::kUsage, "tag can't be used with --all-tags/-a");
  }
  const bool locked = flags.lock.given();
  if (locked && flags.all_tags) {
    throw Error(ErrorCode::kUsage, "--locked and --all-tags exclude each other")
        .WithHint("the lock has single names");
  }
  RequireRoot();
  const oci::Platform wanted = flags.platform.empty()
                                   ? oci::Platform::Host()
                                   : oci::Platform::Parse(flags.platform);
  PullReport report;
  if (!flags.quiet) {
    app.transfer_options.on_layer = [&](const oci::Descriptor& layer,
                                        transfer::LayerState state,
                                        uint64_t) { report(layer, state); };
  }
  if (flags.platform.empty()) {
    app.transfer_options.warn = [](const std::string& text) {
      fmt::print(stderr, "warning: {}\n", text);
    };
  }
  const auto lease = app.store().Hold();
  oci::Reference reference = flags.all_tags ? typed : typed.WithDefaultTag();
  int status = 0;
  bool up_to_date = true;
  if (flags.all_tags) {
    status =
        PullAll(app, typed.repository(), wanted, flags, report, &up_to_date);
    if (status != 0) return status;
  } else {
    if (!flags.quiet && !typed.tag() && !typed.digest()) {
      fmt::print("Using default tag: latest\n");
    }
    if (locked) {
      const plan::ResolvedImage image = flags.lock.Resolve(
          app, reference, wanted, transfer::PullPolicy::kMissing);
      reference = reference.WithDigest(image.target);
    }
    up_to_date = PullOne(app, reference, wanted, flags, report);
  }
  if (!flags.quiet) {
    fmt::print(
        "Status: {} {}\n",
        up_to_date ? "Image is up to date for" : "Downloaded newer image for",
        Shown(reference));
  }
  fmt::print("{}\n", reference.ToString());
  return 0;
}

}  // namespace imgbuild::cli
