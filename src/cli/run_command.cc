// `imgbuild run` and `imgbuild create`.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "imgbuild/container/run.h"
#include "imgbuild/util/error.h"

#include "cli/commands.h"
#include "cli/container_words.h"
#include "cli/run_options.h"
#include "cli/signal_proxy.h"

namespace imgbuild::cli {
namespace {

struct RunFlags {
  bool detach = false;
  std::string detach_keys = "ctrl-p,ctrl-q";
};

void RequireImageWord(const char* command, const RunOptions& options) {
  if (!options.words.empty()) return;
  throw Error(ErrorCode::kUsage, fmt::format("{} needs an image", command))
      .WithHint(fmt::format("usage: imgbuild {} [OPTIONS] IMAGE [COMMAND…]",
                            command));
}

int ReportStart(const exec::ExitResult& result) {
  if (!result.start_error.empty()) {
    fmt::print(stderr, "error: {}\n", result.start_error);
  }
  return result.exit_code;
}

// A container that never ran and was to be removed is not left behind.
void DropFailed(container::Containers& containers, const std::string& id) {
  const auto container = containers.Find(id);
  if (container && container->config.auto_remove) {
    containers.Remove(*container, /*force=*/true);
  }
}

int RunDetached(App& app, const std::string& id) {
  fmt::print("{}\n", id);
  container::DetachedStart start = StartMonitor(app, id);
  if (start.failure()) return ReportStart(*start.failure());
  start.Go();
  return 0;
}

// With a terminal: under conmon, so that the user may leave and come back.
int RunOnTerminal(App& app, container::Containers& containers,
                  const std::string& id, const RunFlags& flags) {
  container::DetachedStart start = StartMonitor(app, id);
  if (start.failure()) return ReportStart(*start.failure());
  const container::Container container = containers.Require(id);
  return AttachAndWait(app, containers, container, {false, flags.detach_keys},
                       [&] { start.Go(); });
}

int RunForeground(App& app, container::Containers& containers,
                  const std::string& id) {
  const SignalProxy signals(app.cancel);
  return ReportStart(container::RunForeground(MakeEngine(app, containers),
                                              containers.Require(id),
                                              signals.fd(), app.cancel));
}

int Run(App& app, RunOptions& options, const RunFlags& flags) {
  const container::Config config = options.ToConfig();
  if (!flags.detach) CheckTerminal(config.terminal, config.interactive);
  RequireRoot();
  // pasta starts while the image is looked up.
  const bool known_ports = std::ranges::all_of(
      config.ports,
      [](const exec::PortForward& port) { return port.host_port != 0; });
  if (!flags.detach && !config.terminal && config.network == "default" &&
      known_ports && !config.publish_all) {
    app.executor().Expect(exec::NetworkMode::kDefault, config.ports);
  }
  const store::ContainerRecord record = options.Create(app);
  container::Containers containers(app.store());
  std::fflush(stdout);
  try {
    if (flags.detach) return RunDetached(app, record.id);
    if (config.terminal) {
      return RunOnTerminal(app, containers, record.id, flags);
    }
    return RunForeground(app, containers, record.id);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) {
      DropFailed(containers, record.id);
    }
    throw;
  }
}

}  // namespace

int RunCommand(App& app, const Words& words) {
  RunOptions options;
  RunFlags flags;
  Args args("run [OPTIONS] IMAGE [COMMAND [ARG…]]",
            "Make a container of an image and run it, in the foreground unless "
            "-d is given.");
  args.Flag("-d,--detach", &flags.detach, "in the background: prints its id");
  args.Value("--detach-keys", &flags.detach_keys, "KEYS",
             "what leaves a container with -it (ctrl-p,ctrl-q)");
  options.AddTo(args);
  AddGlobalFlags(args, app.options);
  try {
    if (!args.Parse(words)) return 0;
    RequireImageWord("run", options);
    return Run(app, options, flags);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInterrupted) throw;
    // The lock's own status, as for a build.
    if (error.code() == ErrorCode::kPolicy) throw;
    // The container's own statuses end at 124: ours must not look like one.
    std::fputs(error.Render().c_str(), stderr);
    return kRunFailed;
  }
}

int CreateCommand(App& app, const Words& words) {
  RunOptions options;
  Args args("create [OPTIONS] IMAGE [COMMAND [ARG…]]",
            "Make a container that `start` runs later. Prints its id.");
  options.AddTo(args);
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  try {
    RequireImageWord("create", options);
    options.CheckSyntax();
  } catch (const Error& error) {
    // What the flags say is wrong by itself: Docker's client ends so.
    std::fputs(error.Render().c_str(), stderr);
    return kRunFailed;
  }
  return FailWithOne([&] {
    fmt::print("{}\n", options.Create(app).id);
    return 0;
  });
}

}  // namespace imgbuild::cli
