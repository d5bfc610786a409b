// `imgbuild lock export`: the lock for other builders.
#include <fcntl.h>
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/lock/interchange.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/dockerfile_set.h"
#include "cli/text_file.h"

namespace imgbuild::cli {

int LockExportCommand(App& app, const Words& words) {
  std::string file;
  std::string path;
  std::string format = "source-policy";
  std::string output;
  Args args("lock export [OPTIONS] [PATH]",
            "Write the lock of a Dockerfile in another tool's form: a source "
            "policy makes BuildKit, buildah and nerdctl build from the locked "
            "digests.");
  args.Value("-f,--file", &file, "FILE",
             "the Dockerfile whose lock it is (default: PATH/Dockerfile)");
  args.Value("--format", &format, "source-policy", "the form");
  args.Value("-o,--output", &output, "FILE",
             "write it here instead of to standard output");
  args.Positional("PATH", &path, false, "a directory; the current one");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (format != "source-policy") {
    throw Error(ErrorCode::kUsage,
                fmt::format("unknown --format {}", Quoted(format)))
        .WithHint("it is source-policy");
  }
  const std::string dockerfile =
      FindDockerfiles(
          file.empty() ? std::vector<std::string>() : std::vector{file},
          path.empty() ? std::vector<std::string>() : std::vector{path}, false)
          .front();
  const lock::Lockfile lockfile = lock::Parse(
      ReadTextFile(lock::LockPathOf(dockerfile), lock::kMaxLockBytes, "lock"));
  const std::string text = lock::ExportSourcePolicy(lockfile);
  if (output.empty()) {
    std::fputs(text.c_str(), stdout);
  } else {
    fs::WriteFileAtomic(AT_FDCWD, output, text);
  }
  return 0;
}

}  // namespace imgbuild::cli
