#include "cli/container_words.h"

#include <unistd.h>

#include <cstdio>

#include "imgbuild/util/error.h"

#include "cli/commands.h"

namespace imgbuild::cli {

int FailWithOne(const std::function<int()>& act) {
  try {
    return act();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInterrupted ||
        error.code() == ErrorCode::kPolicy) {
      throw;
    }
    std::fflush(stdout);
    std::fputs(error.Render().c_str(), stderr);
    return 1;
  }
}

container::Engine MakeEngine(App& app, container::Containers& containers) {
  return {containers, app.executor(),
          [&app]() -> transfer::Transfer& { return app.transfer(); }};
}

container::DetachedStart StartMonitor(App& app, const std::string& id) {
  std::vector<std::string> argv = {"imgbuild", kMonitorCommand, "--root",
                                   app.store().root()};
  if (!app.options.runtime.empty()) {
    argv.insert(argv.end(), {"--runtime", app.options.runtime});
  }
  argv.push_back(id);
  std::fflush(stdout);
  return container::DetachedStart(argv);
}

int AttachAndWait(App& app, container::Containers& containers,
                  const container::Container& container,
                  const AttachFlags& flags,
                  const std::function<void()>& when_attached) {
  exec::Attachment attachment(containers.RequireRunning(container));
  exec::AttachIo io;
  const bool input = container.config.interactive && !flags.no_stdin;
  io.stdin_fd = input ? STDIN_FILENO : -1;
  io.stdout_fd = STDOUT_FILENO;
  io.stderr_fd = STDERR_FILENO;
  io.terminal = container.config.terminal;
  io.detach_keys = exec::ParseDetachKeys(flags.detach_keys);
  if (when_attached) when_attached();
  if (attachment.Run(io, app.cancel) == exec::Attachment::End::kDetached) {
    std::fputs("read escape sequence\n", stderr);
    return 0;
  }
  return containers.Wait(container, app.cancel);
}

void CheckTerminal(bool terminal, bool interactive) {
  if (terminal && interactive && ::isatty(STDIN_FILENO) == 0) {
    throw Error(ErrorCode::kUsage, "the input device is not a TTY")
        .WithHint("leave out -t where standard input is no terminal");
  }
}

}  // namespace imgbuild::cli
