// `imgbuild cp` and `imgbuild export`.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "imgbuild/container/copy.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/output_file.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/container_words.h"

namespace imgbuild::cli {
namespace {

// CONTAINER:PATH, or a path of the host: what begins with "/" or ".", or has no
// colon.
struct Place {
  std::optional<std::string> container;
  std::string path;
};

Place ParsePlace(const std::string& word) {
  const size_t colon = word.find(':');
  if (colon == std::string::npos || word.starts_with('/') ||
      word.starts_with('.')) {
    return {std::nullopt, word};
  }
  return {word.substr(0, colon), word.substr(colon + 1)};
}

struct CpFlags {
  container::CopyOptions copy;
  bool quiet = false;
};

// Docker's line, for people alone.
void Tell(const CpFlags& flags, uint64_t bytes, const std::string& where) {
  if (flags.quiet || ::isatty(STDERR_FILENO) != 1) return;
  fmt::print(stderr, "Successfully copied {} to {}\n", HumanSize(bytes), where);
}

void Copy(App& app, const Place& from, const Place& to, const CpFlags& flags) {
  container::Containers containers(app.store());
  const container::Engine engine = MakeEngine(app, containers);
  if (from.container) {
    const container::Container container = containers.Require(*from.container);
    if (to.path == "-") {
      FdWriter out(STDOUT_FILENO, "standard output");
      container::CopyOutAsTar(engine, container, from.path, out, flags.copy,
                              app.cancel);
      return;
    }
    const uint64_t bytes = container::CopyOut(engine, container, from.path,
                                              to.path, flags.copy, app.cancel);
    Tell(flags, bytes, to.path);
    return;
  }
  const container::Container container = containers.Require(*to.container);
  uint64_t bytes = 0;
  if (from.path == "-") {
    FdReader in(STDIN_FILENO, "standard input");
    bytes = container::CopyInTar(engine, container, in, to.path, flags.copy,
                                 app.cancel);
  } else {
    bytes = container::CopyIn(engine, container, from.path, to.path, flags.copy,
                              app.cancel);
  }
  Tell(flags, bytes, *to.container + ":" + to.path);
}

}  // namespace

int CpCommand(App& app, const Words& words) {
  CpFlags flags;
  std::string from_word;
  std::string to_word;
  Args args("cp [OPTIONS] CONTAINER:PATH PATH|-  |  PATH|- CONTAINER:PATH",
            "Copy files between a container and this host. - is a tar stream "
            "on standard input or output; PATH/. is what is in PATH.");
  args.Flag("-a,--archive", &flags.copy.archive,
            "keep owners; into a container: all belongs to its user");
  args.Flag("-L,--follow-link", &flags.copy.follow_link,
            "a link as the source stands for what it points to");
  args.Flag("-q,--quiet", &flags.quiet, "do not tell what was copied");
  args.Positional("SOURCE", &from_word, true, "CONTAINER:PATH, PATH or -");
  args.Positional("DESTINATION", &to_word, true, "PATH, - or CONTAINER:PATH");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  const Place from = ParsePlace(from_word);
  const Place to = ParsePlace(to_word);
  return FailWithOne([&] {
    if (from.container && to.container) {
      throw Error(ErrorCode::kFailed,
                  "copying between containers is not supported");
    }
    if (!from.container && !to.container) {
      throw Error(ErrorCode::kFailed,
                  "must specify at least one container source");
    }
    RequireRoot();
    Copy(app, from, to, flags);
    return 0;
  });
}

int ExportCommand(App& app, const Words& words) {
  std::string output;
  std::string name;
  Args args("export [OPTIONS] CONTAINER",
            "Write all files of a container as a tar, without its volumes.");
  args.Value("-o,--output", &output, "FILE",
             "the file, instead of standard output");
  args.Positional("CONTAINER", &name, true, "name or id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  return FailWithOne([&] {
    if (output.empty() && ::isatty(STDOUT_FILENO) == 1) {
      throw Error(ErrorCode::kFailed, "refusing to export to a terminal")
          .WithHint("use -o FILE or redirect");
    }
    RequireRoot();
    container::Containers containers(app.store());
    const container::Container container = containers.Require(name);
    OutputFile file(output.empty() ? "-" : output);
    container::ExportFiles(MakeEngine(app, containers), container, file,
                           app.cancel);
    file.Commit();
    return 0;
  });
}

}  // namespace imgbuild::cli
