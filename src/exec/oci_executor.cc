#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <mutex>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/fs.h"

#include "exec/launch.h"
#include "exec/overlay.h"
#include "exec/runtime_probe.h"
#include "exec/runtime_spec.h"
#include "exec/streams.h"
#include "exec/stub_layer.h"

namespace imgbuild::exec {
namespace {

// What is found out once, with the first Run.
struct Host {
  Runtime runtime;
  HostFacts facts;
  CapabilitySet capabilities = 0;
  std::string bottom_stub;
  std::string run_dir;  // where each runtime mounts its private tmpfs
};

class OciExecutor : public Executor {
 public:
  explicit OciExecutor(ExecutorOptions options)
      : options_(std::move(options)) {}
  ExitResult Run(const ProcessSpec& spec, const ExecIo& io,
                 const CancelToken& cancel) override;

 private:
  const Host& GetHost();

  const ExecutorOptions options_;
  std::mutex mutex_;
  std::unique_ptr<const Host> host_;  // guarded by mutex_ until set
};

const Host& OciExecutor::GetHost() {
  std::lock_guard lock(mutex_);
  if (host_) return *host_;
  auto host = std::make_unique<Host>();
  host->runtime = FindRuntime(options_.runtime);
  host->facts = ReadHostFacts();
  host->capabilities = OwnCapabilities();
  host->bottom_stub = EnsureBottomStub(options_.state_dir);
  host->run_dir = options_.state_dir + "/run";
  fs::MakeDirs(AT_FDCWD, host->run_dir, 0700);
  host_ = std::move(host);
  return *host_;
}

ExitResult OciExecutor::Run(const ProcessSpec& spec, const ExecIo& io,
                            const CancelToken& cancel) {
  cancel.Check();
  const Host& host = GetHost();
  store::OverlayMount overlay = spec.rootfs;
  overlay.lower.push_back(host.bottom_stub);
  UniqueFd root = MountOverlay(overlay, options_.state_dir);

  LaunchPlan plan;
  plan.dir = host.run_dir;
  plan.directories = {"state"};
  plan.mounts.push_back({root.get(), "rootfs", true});
  RuntimeLayout layout;
  layout.rootfs = plan.dir + "/rootfs";
  layout.capabilities = ContainerCapabilities(spec, host.capabilities);
  layout.tty_group = host.facts.tty_group;
  layout.seccomp = host.facts.seccomp;
  layout.new_network_namespace = spec.network == NetworkMode::kNone;
  plan.files.push_back({"config.json", MakeRuntimeSpec(spec, layout), 0600});
  plan.private_cgroup2 =
      host.runtime.kind == RuntimeKind::kCrun && !host.facts.pure_cgroup2;
  UniqueFd log(memfd_create("runtime-log", MFD_CLOEXEC));
  plan.log_fd = log.get();
  plan.argv = {host.runtime.path,
               "--root",
               plan.dir + "/state",
               "--log",
               fmt::format("/proc/self/fd/{}", log.get()),
               "--log-format",
               "json"};
  if (host.runtime.kind == RuntimeKind::kCrun) {
    plan.argv.push_back("--cgroup-manager=disabled");
  }
  plan.argv.insert(plan.argv.end(), {"run", "--bundle", plan.dir, "c"});
  plan.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  Streams streams(io, spec.user.uid);
  plan.stdin_fd = streams.child_in();
  plan.stdout_fd = streams.child_out();
  plan.stderr_fd = streams.child_err();
  Launched process = Launch(plan);
  streams.CloseChildSide();
  root.reset();
  if (!streams.Pump(process, cancel)) {
    process.Signal(SIGKILL);
    process.Wait();
    cancel.Check();
  }
  int status = process.Wait();
  ExitResult result;
  result.exit_code =
      WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  lseek(log.get(), 0, SEEK_SET);
  result.start_error = fs::ReadFd(log.get(), 1 << 20, "log");
  return result;
}

}  // namespace

std::unique_ptr<Executor> NewOciExecutor(ExecutorOptions options) {
  return std::make_unique<OciExecutor>(std::move(options));
}

}  // namespace imgbuild::exec
