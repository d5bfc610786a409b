// `imgbuild stop`, `kill`, `wait`, `pause`, `unpause`, `rename` and `rm`.
#include <fmt/format.h>

#include <cstdio>
#include <optional>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/container_words.h"

namespace imgbuild::cli {
namespace {

int SetPaused(App& app, const Words& words, bool paused) {
  std::vector<std::string> names;
  Args args(paused ? "pause CONTAINER…" : "unpause CONTAINER…",
            paused ? "Freeze all processes of containers."
                   : "Let frozen containers go on.");
  args.Positionals("CONTAINER", &names, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  container::Containers containers(app.store());
  return ForEachWord(names, [&](const std::string& name) {
    const container::Container container = containers.Require(name);
    const bool is_paused = container.status.state == container::State::kPaused;
    if (is_paused == paused) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("Container {} is {}", container.record.id,
                              paused ? "already paused" : "not paused"));
    }
    containers.SetPaused(container, paused);
    fmt::print("{}\n", name);
  });
}

int ParseStopTime(const std::string& text, int standard) {
  if (text.empty()) return standard;
  const auto seconds = ParseInt(text);
  if (!seconds || *seconds < -1 || *seconds > 1'000'000) {
    throw Error(ErrorCode::kUsage, "invalid --time " + Quoted(text))
        .WithHint("it is a number of seconds, -1 for no end");
  }
  return static_cast<int>(*seconds);
}

}  // namespace

void StopFlags::AddTo(Args& args) {
  args.Value("-t,--time,--timeout", &time_, "SECONDS",
             "how long to wait before it is killed (10); -1: for ever");
  args.Value("-s,--signal", &signal_, "SIGNAL", "in place of its stop signal");
}

void StopFlags::Stop(App& app, container::Containers& containers,
                     const container::Container& container) const {
  const std::optional<int> number =
      signal_.empty() ? std::nullopt
                      : std::optional(container::ParseSignal(signal_));
  containers.Stop(container, number,
                  ParseStopTime(time_, container.config.stop_timeout_s),
                  app.cancel);
}

int StopCommand(App& app, const Words& words) {
  StopFlags flags;
  std::vector<std::string> names;
  Args args("stop [OPTIONS] CONTAINER…",
            "Stop containers: their stop signal, then SIGKILL.");
  flags.AddTo(args);
  args.Positionals("CONTAINER", &names, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  container::Containers containers(app.store());
  return ForEachWord(names, [&](const std::string& name) {
    flags.Stop(app, containers, containers.Require(name));
    fmt::print("{}\n", name);
    std::fflush(stdout);
  });
}

int KillCommand(App& app, const Words& words) {
  std::string signal = "KILL";
  std::vector<std::string> names;
  Args args("kill [OPTIONS] CONTAINER…", "Send a signal to containers.");
  args.Value("-s,--signal", &signal, "SIGNAL", "which (KILL)");
  args.Positionals("CONTAINER", &names, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  container::Containers containers(app.store());
  return ForEachWord(names, [&](const std::string& name) {
    try {
      containers.Kill(containers.Require(name), container::ParseSignal(signal));
    } catch (const Error& error) {
      // Docker's words.
      Error told(error.code(), fmt::format("cannot kill container: {}: {}",
                                           name, error.message()));
      throw error.hint().empty() ? told : told.WithHint(error.hint());
    }
    fmt::print("{}\n", name);
  });
}

int WaitCommand(App& app, const Words& words) {
  std::vector<std::string> names;
  Args args("wait CONTAINER…",
            "Wait until containers have ended; prints their exit codes.");
  args.Positionals("CONTAINER", &names, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  container::Containers containers(app.store());
  return ForEachWord(names, [&](const std::string& name) {
    fmt::print("{}\n", containers.Wait(containers.Require(name), app.cancel));
    std::fflush(stdout);
  });
}

int PauseCommand(App& app, const Words& words) {
  return SetPaused(app, words, true);
}

int UnpauseCommand(App& app, const Words& words) {
  return SetPaused(app, words, false);
}

int RenameCommand(App& app, const Words& words) {
  std::string name;
  std::string new_name;
  Args args("rename CONTAINER NAME", "Give a container another name.");
  args.Positional("CONTAINER", &name, true, "name or id");
  args.Positional("NAME", &new_name, true, "the new name");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  return FailWithOne([&] {
    if (name.empty() || new_name.empty()) {
      throw Error(ErrorCode::kUsage, "Neither old nor new names may be empty");
    }
    container::Containers containers(app.store());
    containers.Rename(containers.Require(name), new_name);
    return 0;
  });
}

int RmCommand(App& app, const Words& words) {
  bool force = false;
  bool volumes = false;
  std::vector<std::string> names;
  Args args("rm [OPTIONS] CONTAINER…", "Remove containers.");
  args.Flag("-f,--force", &force, "kill one that runs; absent is fine");
  args.Flag("-v,--volumes", &volumes,
            "anonymous volumes too (they always go with their container)");
  args.Positionals("CONTAINER", &names, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  container::Containers containers(app.store());
  return ForEachWord(names, [&](const std::string& name) {
    if (force && !containers.Find(name)) {
      // Told, and no failure: Docker's rm -f.
      fmt::print(stderr, "error: No such container: {}\n", name);
      return;
    }
    containers.Remove(containers.Require(name), force);
    fmt::print("{}\n", name);
  });
}

}  // namespace imgbuild::cli
