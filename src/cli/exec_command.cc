// `imgbuild exec`, `attach` and `logs`.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/container_words.h"
#include "cli/run_options.h"

namespace imgbuild::cli {

int ExecCommand(App& app, const Words& words) {
  container::ExecOptions options;
  std::vector<std::string> env;
  std::vector<std::string> env_files;
  std::vector<std::string> rest;
  Args args("exec [OPTIONS] CONTAINER COMMAND [ARG…]",
            "Run a further command in a running container.");
  args.Flag("-d,--detach", &options.detach, "do not wait for it");
  args.Flag("-i,--interactive", &options.interactive, "pass standard input on");
  args.Flag("-t,--tty", &options.terminal, "give it a terminal");
  args.List("-e,--env", &env, "K[=V]", "set a variable");
  args.List("--env-file", &env_files, "FILE", "variables, one a line");
  args.Value("-u,--user", &options.user, "USER[:GROUP]", "who it runs as");
  args.Value("-w,--workdir", &options.working_dir, "DIR", "where it starts");
  args.Flag("--privileged", &options.privileged, "with all capabilities");
  AddGlobalFlags(args, app.options);
  args.Rest(&rest);
  if (!args.Parse(words)) return 0;
  if (rest.size() < 2) {
    throw Error(ErrorCode::kUsage, "exec needs a container and a command")
        .WithHint("usage: imgbuild exec [OPTIONS] CONTAINER COMMAND [ARG…]");
  }
  return FailWithOne([&] {
    for (const std::string& path : env_files) {
      for (std::string& pair : ReadEnvFile(path)) {
        options.env.push_back(std::move(pair));
      }
    }
    for (std::string& pair : ResolveEnv(env)) {
      options.env.push_back(std::move(pair));
    }
    options.command.assign(rest.begin() + 1, rest.end());
    if (!options.detach) CheckTerminal(options.terminal, options.interactive);
    container::Containers containers(app.store());
    const exec::ExitResult result =
        container::ExecInside(containers, containers.Require(rest[0]), options);
    if (!result.start_error.empty()) {
      fmt::print(stderr, "error: {}\n", result.start_error);
    }
    return result.exit_code;
  });
}

int AttachCommand(App& app, const Words& words) {
  AttachFlags flags;
  std::string name;
  Args args("attach [OPTIONS] CONTAINER",
            "Connect this terminal with a running container.");
  args.Flag("--no-stdin", &flags.no_stdin, "only show its output");
  args.Value("--detach-keys", &flags.detach_keys, "KEYS",
             "what leaves it again, where it has a terminal (ctrl-p,ctrl-q)");
  args.Positional("CONTAINER", &name, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  return FailWithOne([&] {
    container::Containers containers(app.store());
    const container::Container container = containers.Require(name);
    switch (container.status.state) {
      case container::State::kRunning:
        break;
      case container::State::kPaused:
        throw Error(ErrorCode::kUsage,
                    "You cannot attach to a paused container, unpause it "
                    "first");
      case container::State::kRestarting:
        throw Error(ErrorCode::kUsage,
                    "You cannot attach to a restarting container, wait until "
                    "it is running");
      default:
        throw Error(ErrorCode::kUsage,
                    "You cannot attach to a stopped container, start it first");
    }
    return AttachAndWait(app, containers, container, flags, nullptr);
  });
}

int LogsCommand(App& app, const Words& words) {
  container::LogOptions options;
  std::string tail = "all";
  std::string since;
  std::string until;
  std::string name;
  Args args("logs [OPTIONS] CONTAINER", "Show what a container has put out.");
  args.Flag("-f,--follow", &options.follow, "go on until it ends");
  args.Flag("-t,--timestamps", &options.timestamps, "when each line came");
  args.Value("-n,--tail", &tail, "N", "only the last N lines (all)");
  args.Value("--since", &since, "TIME", "RFC 3339, seconds, or 10m ago");
  args.Value("--until", &until, "TIME", "likewise");
  args.Positional("CONTAINER", &name, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  return FailWithOne([&] {
    const int64_t now = container::NowNs();
    if (!since.empty()) {
      options.since_ns = container::ParseLogTime(since, now);
    }
    if (!until.empty()) {
      options.until_ns = container::ParseLogTime(until, now);
    }
    // Docker takes what is no number, and what is negative, for all.
    if (const auto lines = ParseUint(tail)) options.tail = *lines;
    container::Containers containers(app.store());
    // Whoever reads them may have seen enough (`logs -f | head`). Nothing is
    // written to the store here: to end at once is safe.
    std::signal(SIGPIPE, SIG_DFL);
    container::ReadLogs(
        containers, containers.Require(name), options,
        [](int stream, std::string_view bytes) {
          fs::WriteAll(stream, AsBytes(bytes), "output");
        },
        app.cancel);
    return 0;
  });
}

}  // namespace imgbuild::cli
