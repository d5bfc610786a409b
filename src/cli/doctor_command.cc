// `imgbuild doctor`.
#include <fmt/format.h>
#include <unistd.h>

#include "imgbuild/util/error.h"

#include "cli/commands.h"

namespace imgbuild::cli {

int DoctorCommand(App& app, const Words& words) {
  Args args("doctor", "Tell what this host can do, and how to mend the rest.");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  exec::ExecutorOptions options;
  options.state_dir = app.store().root() + "/containers";
  options.runtime = app.options.runtime;
  bool ok = true;
  for (const auto& item : exec::ProbeHost(options).items) {
    fmt::print("{:<5} {}: {}\n", item.ok ? "ok" : "FAIL", item.what,
               item.detail);
    if (!item.ok) {
      fmt::print("      fix: {}\n", item.fix);
      ok = false;
    }
  }
  return ok ? 0 : 5;
}

void RequireRoot() {
  if (::geteuid() == 0) return;
  throw Error(ErrorCode::kHost, "this needs root")
      .WithHint(
          "run it with sudo; building as a plain user is not supported "
          "yet");
}

void AddGlobalFlags(Args& args, GlobalOptions& options) {
  args.Value("--root", &options.root, "DIR",
             "the store (default: $IMGBUILD_ROOT, else the user's own)");
  args.List("--insecure-registry", &options.insecure_registries, "HOST",
            "allow http and unverified TLS for this registry");
  args.Value("--runtime", &options.runtime, "PROGRAM",
             "the OCI runtime (default: crun, else runc)");
}

}  // namespace imgbuild::cli
