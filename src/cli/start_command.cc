// `imgbuild start` and `imgbuild restart`.
#include <fmt/format.h>

#include <cstdio>
#include <optional>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/container_words.h"
#include "cli/run_options.h"

namespace imgbuild::cli {
namespace {

struct StartFlags {
  bool attach = false;
  bool interactive = false;
  std::string detach_keys = "ctrl-p,ctrl-q";
};

Error StartFailed(const exec::ExitResult& result) {
  return Error(ErrorCode::kUsage, result.start_error);
}

void StartOne(App& app, const container::Container& container) {
  // One that runs is fine, as Docker has it.
  if (container.status.state == container::State::kRunning ||
      container.status.state == container::State::kPaused) {
    return;
  }
  container::DetachedStart start = StartMonitor(app, container.record.id);
  if (start.failure()) throw StartFailed(*start.failure());
  start.Go();
}

int StartAttached(App& app, container::Containers& containers,
                  const std::string& word, const StartFlags& flags) {
  container::Container container = containers.Require(word);
  if (container.status.state == container::State::kRunning) {
    return AttachAndWait(app, containers, container,
                         {!flags.interactive, flags.detach_keys}, nullptr);
  }
  CheckTerminal(container.config.terminal, flags.interactive);
  container::DetachedStart start = StartMonitor(app, container.record.id);
  if (start.failure()) {
    fmt::print(stderr, "error: {}\n", start.failure()->start_error);
    return start.failure()->exit_code;
  }
  container = containers.Require(container.record.id);
  return AttachAndWait(app, containers, container,
                       {!flags.interactive, flags.detach_keys},
                       [&] { start.Go(); });
}

}  // namespace

int StartCommand(App& app, const Words& words) {
  StartFlags flags;
  std::vector<std::string> names;
  Args args("start [OPTIONS] CONTAINER…", "Run stopped containers again.");
  args.Flag("-a,--attach", &flags.attach, "show its output, end as it ends");
  args.Flag("-i,--interactive", &flags.interactive, "pass standard input on");
  args.Value("--detach-keys", &flags.detach_keys, "KEYS",
             "what leaves a container with a terminal (ctrl-p,ctrl-q)");
  args.Positionals("CONTAINER", &names, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  RequireRoot();
  container::Containers containers(app.store());
  if (flags.attach || flags.interactive) {
    if (names.size() > 1) {
      throw Error(ErrorCode::kUsage,
                  "you cannot start and attach multiple containers at once");
    }
    return FailWithOne(
        [&] { return StartAttached(app, containers, names.front(), flags); });
  }
  return ForEachWord(names, [&](const std::string& name) {
    StartOne(app, containers.Require(name));
    fmt::print("{}\n", name);
  });
}

int RestartCommand(App& app, const Words& words) {
  StopFlags flags;
  std::vector<std::string> names;
  Args args("restart [OPTIONS] CONTAINER…",
            "Stop containers and run them again.");
  flags.AddTo(args);
  args.Positionals("CONTAINER", &names, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  RequireRoot();
  container::Containers containers(app.store());
  return ForEachWord(names, [&](const std::string& name) {
    const container::Container container = containers.Require(name);
    flags.Stop(app, containers, container);
    StartOne(app, containers.Require(container.record.id));
    fmt::print("{}\n", name);
  });
}

}  // namespace imgbuild::cli
