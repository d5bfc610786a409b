// The composition root: which command, with which words; the only place that
// turns an Error into an exit status.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/version.h"

namespace imgbuild::cli {
namespace {

// The one thing a signal handler can reach. Set once, before the handlers are.
CancelToken* interrupted = nullptr;

extern "C" void HandleInterrupt(int signal_number) {
  interrupted->Cancel();
  // A second Ctrl-C ends the process at once; the store survives that.
  std::signal(signal_number, SIG_DFL);
}

void InstallSignals(CancelToken& token) {
  interrupted = &token;
  struct sigaction action = {};
  action.sa_handler = HandleInterrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void PrintHelp() {
  std::string text =
      "Usage: imgbuild [build] [OPTIONS] PATH\n"
      "       imgbuild COMMAND [OPTIONS] …\n\n"
      "Builds images from Dockerfiles whose inputs are pinned by digest, and\n"
      "keeps, runs and removes them by tag or by digest.\n";
  const char* group = "";
  for (const Command& command : Commands()) {
    if (command.group == nullptr) continue;
    if (std::string_view(group) != command.group) {
      group = command.group;
      text += std::string("\n") + group + ":\n";
    }
    text += fmt::format("  {:<10}{}\n", command.name, command.summary);
  }
  text +=
      "\nimgbuild COMMAND --help tells the options of a command.\n\n"
      "Exit status: 0 ok, 1 a step failed, 2 usage, 3 Dockerfile or lock\n"
      "invalid, 4 registry or network, 5 store or host, 6 lock or policy\n"
      "violated, 130 interrupted. `run` exits as its container does.\n";
  std::fputs(text.c_str(), stdout);
}

// `imgbuild --root DIR build .`: the flags of every command may also stand
// before its name. They are put after it, where the command reads them.
Words CommandFirst(const Words& words) {
  size_t i = 0;
  while (i < words.size()) {
    const std::string flag = words[i].substr(0, words[i].find('='));
    if (flag != "--root" && flag != "--runtime" &&
        flag != "--insecure-registry") {
      break;
    }
    i += words[i].find('=') == std::string::npos ? 2 : 1;
  }
  if (i >= words.size()) return OwnSpelling(words);
  const auto begin = words.begin() + static_cast<std::ptrdiff_t>(i);
  Words out = OwnSpelling(Words(begin, words.end()));
  for (const Command& command : Commands()) {
    if (out[0] != command.name) continue;
    // A verb stays beside its command; the words of others may be a
    // container's (`run IMAGE …`).
    constexpr std::string_view kWithVerbs[] = {"config", "context", "index",
                                               "lock",   "prune",   "store"};
    const bool verb =
        std::ranges::find(kWithVerbs, out[0]) != std::end(kWithVerbs) &&
        out.size() > 1 && !out[1].starts_with('-');
    out.insert(out.begin() + (verb ? 2 : 1), words.begin(), begin);
    return out;
  }
  return i == 0 ? out : words;
}

int Dispatch(App& app, const Words& all_words) {
  const Words words = CommandFirst(all_words);
  if (words.empty() || words[0] == "--help" || words[0] == "-h" ||
      words[0] == "help") {
    PrintHelp();
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version" || words[0] == "version") {
    std::printf("imgbuild %s\n", kVersion);
    return 0;
  }
  for (const Command& command : Commands()) {
    if (words[0] == command.name) {
      return command.run(app, Words(words.begin() + 1, words.end()));
    }
  }
  // `imgbuild -f Dockerfile .`: build is what it is for.
  const bool looks_like_build = words[0].starts_with('-') ||
                                words.size() == 1 ||
                                words[0].find('/') != std::string::npos;
  if (looks_like_build && (words.size() > 1 || words[0] == "-" ||
                           ::access(words[0].c_str(), F_OK) == 0)) {
    return BuildCommand(app, words);
  }
  std::vector<std::string> names;
  for (const Command& command : Commands()) names.emplace_back(command.name);
  Error error(ErrorCode::kUsage, "unknown command: " + words[0]);
  const auto near = Suggest(words[0], names);
  throw error.WithHint(near ? "did you mean " + *near + "?"
                            : "see imgbuild --help");
}

}  // namespace

}  // namespace imgbuild::cli

int main(int argc, char** argv) {
  using imgbuild::Error;
  imgbuild::CancelToken cancel;
  imgbuild::cli::InstallSignals(cancel);
  try {
    imgbuild::cli::App app(cancel);
    const int status = imgbuild::cli::Dispatch(
        app, imgbuild::cli::Words(argv + 1, argv + argc));
    if (std::fflush(stdout) != 0) return 5;
    return status;
  } catch (const Error& error) {
    std::fflush(stdout);
    std::fputs(error.Render().c_str(), stderr);
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 5;
  }
}
