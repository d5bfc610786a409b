// `imgbuild run`.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "imgbuild/container/run.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"

namespace imgbuild::cli {
namespace {

// As Docker has them: the engine failed; not executable; not found.
constexpr int kRunFailed = 125;

struct RunFlags {
  bool interactive = false;
  bool terminal = false;
  bool remove = false;
  bool read_only = false;
  std::vector<std::string> env;
  std::vector<std::string> volumes;
  std::string working_dir;
  std::string user;
  std::string entrypoint = "\x01";  // not given
  std::string network = "default";
  std::string hostname;
  std::string platform;
  std::string pull = "missing";
  std::vector<std::string> add_hosts;
  std::vector<std::string> tmpfs;
  std::vector<std::string> words;  // IMAGE [COMMAND…]
};

// What Docker gives a container without a name: twelve hex digits.
std::string RandomHostname() {
  std::random_device random;
  return fmt::format("{:08x}{:04x}", random(), random() & 0xffff);
}

exec::NetworkMode ParseNetwork(const std::string& text) {
  if (text == "default" || text == "bridge") return exec::NetworkMode::kDefault;
  if (text == "none") return exec::NetworkMode::kNone;
  if (text == "host") return exec::NetworkMode::kHost;
  throw Error(ErrorCode::kUsage,
              fmt::format("unknown --network {}", Quoted(text)))
      .WithHint("it is default, none or host");
}

container::RunOptions ToOptions(const RunFlags& flags) {
  container::RunOptions options;
  options.command.assign(flags.words.begin() + 1, flags.words.end());
  if (flags.entrypoint != "\x01") options.entrypoint = flags.entrypoint;
  for (const std::string& word : flags.env) {
    if (word.empty() || word.front() == '=') {
      throw Error(ErrorCode::kUsage,
                  fmt::format("invalid --env {}", Quoted(word)));
    }
    if (word.find('=') != std::string::npos) {
      options.env.push_back(word);
    } else if (const char* value = std::getenv(word.c_str())) {
      options.env.push_back(word + "=" + value);
    }
  }
  for (const std::string& word : flags.volumes) {
    options.volumes.push_back(container::ParseVolume(word));
  }
  options.working_dir = flags.working_dir;
  options.user = flags.user;
  options.hostname = flags.hostname.empty() ? RandomHostname() : flags.hostname;
  options.network = ParseNetwork(flags.network);
  for (const std::string& word : flags.add_hosts) {
    const size_t colon = word.find(':');
    if (colon == std::string::npos || colon == 0) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("invalid --add-host {}", Quoted(word)))
          .WithHint("the form is NAME:IP");
    }
    options.extra_hosts.emplace_back(word.substr(0, colon),
                                     word.substr(colon + 1));
  }
  options.tmpfs = flags.tmpfs;
  options.read_only = flags.read_only;
  options.interactive = flags.interactive;
  options.terminal = flags.terminal;
  if (flags.terminal && flags.interactive && ::isatty(0) == 0) {
    throw Error(ErrorCode::kUsage, "the input device is not a TTY")
        .WithHint("leave out -t where standard input is no terminal");
  }
  return options;
}

store::ImageRecord FindOrPull(App& app, const RunFlags& flags) {
  const std::string& word = flags.words.front();
  if (flags.pull != "missing" && flags.pull != "always" &&
      flags.pull != "never") {
    throw Error(ErrorCode::kUsage,
                fmt::format("unknown --pull {}", Quoted(flags.pull)))
        .WithHint("it is missing, always or never");
  }
  const oci::Platform platform = flags.platform.empty()
                                     ? oci::Platform::Host()
                                     : oci::Platform::Parse(flags.platform);
  if (flags.pull != "always") {
    const auto match = app.store().images().Find(word);
    if (match && (flags.platform.empty() ||
                  oci::MatchRank(platform, match->image.platform))) {
      return match->image;
    }
    if (flags.pull == "never") {
      throw Error(ErrorCode::kUsage, "no such image: " + word);
    }
  }
  const oci::Reference reference = oci::Reference::Parse(word).WithDefaultTag();
  if (flags.pull != "always") {
    fmt::print(stderr, "Unable to find image '{}' locally\n",
               reference.Familiar());
  }
  const transfer::PullResult pulled =
      app.transfer().Pull(reference, platform, transfer::PullPolicy::kAlways);
  fmt::print(stderr, "Digest: {}\nStatus: {} {}\n",
             pulled.image.target.ToString(),
             pulled.up_to_date ? "Image is up to date for"
                               : "Downloaded newer image for",
             reference.Familiar());
  const auto record = app.store().images().FindManifest(pulled.image.manifest);
  if (!record) {
    throw Error(ErrorCode::kHost, "the image that was pulled is gone again");
  }
  return *record;
}

}  // namespace

int RunCommand(App& app, const Words& words) {
  RunFlags flags;
  Args args("run [OPTIONS] IMAGE [COMMAND [ARG…]]",
            "Run a command in an image, in the foreground. The container's "
            "own files are removed when it ends.");
  args.Flag("-i,--interactive", &flags.interactive, "pass standard input on");
  args.Flag("-t,--tty", &flags.terminal, "give it a terminal");
  args.Flag("--rm", &flags.remove,
            "remove the container afterwards (always done)");
  args.List("-e,--env", &flags.env, "K[=V]", "set a variable");
  args.List("-v,--volume", &flags.volumes, "HOST:PATH[:ro]",
            "mount a file or directory of the host");
  args.List("--tmpfs", &flags.tmpfs, "PATH", "mount an empty tmpfs");
  args.Value("-w,--workdir", &flags.working_dir, "DIR", "where it starts");
  args.Value("-u,--user", &flags.user, "USER[:GROUP]", "who it runs as");
  args.Value("--entrypoint", &flags.entrypoint, "PROGRAM",
             "in place of the image's");
  args.Value("--network", &flags.network, "MODE", "default, none or host");
  args.Value("--hostname", &flags.hostname, "NAME", "its host name");
  args.List("--add-host", &flags.add_hosts, "NAME:IP", "a line of /etc/hosts");
  args.Flag("--read-only", &flags.read_only, "its root is read-only");
  args.Value("--platform", &flags.platform, "OS/ARCH", "which one to run");
  args.Value("--pull", &flags.pull, "POLICY", "missing, always or never");
  AddGlobalFlags(args, app.options);
  args.Rest(&flags.words);
  try {
    if (!args.Parse(words)) return 0;
    if (flags.words.empty()) {
      throw Error(ErrorCode::kUsage, "run needs an image")
          .WithHint("usage: imgbuild run [OPTIONS] IMAGE [COMMAND…]");
    }
    const container::RunOptions options = ToOptions(flags);
    RequireRoot();
    const store::ImageRecord image = FindOrPull(app, flags);
    std::fflush(stdout);
    const exec::ExitResult result =
        container::RunForeground(app.store(), app.transfer(), app.executor(),
                                 image, options, app.cancel);
    if (!result.start_error.empty()) {
      fmt::print(stderr, "error: {}\n", result.start_error);
    }
    return result.exit_code;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInterrupted) throw;
    // The container's own statuses end at 124: ours must not look like one.
    std::fputs(error.Render().c_str(), stderr);
    return kRunFailed;
  }
}

}  // namespace imgbuild::cli
