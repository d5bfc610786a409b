#include "container/monitor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "imgbuild/container/mounts.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "container/files.h"
#include "container/health.h"
#include "container/layers.h"
#include "container/log.h"

namespace imgbuild::container {
namespace {

// A missing source is likelier a typing error than a wish for an empty
// directory of root's, which Docker makes.
void CheckVolumes(exec::ProcessSpec& spec) {
  for (exec::Mount& mount : spec.mounts) {
    if (mount.type != exec::Mount::Type::kBind) continue;
    struct ::stat st = {};
    if (::stat(mount.source.c_str(), &st) != 0) {
      throw ErrnoError("mount", mount.source, errno, ErrorCode::kUsage);
    }
    mount.target_is_file = !S_ISDIR(st.st_mode);
  }
}

// Any free port of the host. Between here and its use somebody may take it;
// then the start fails with the port's number.
uint16_t FreePort(bool udp) {
  const UniqueFd socket(
      ::socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) !=
          0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address),
                    &size) != 0) {
    throw ErrnoError("find", "free port", errno);
  }
  return ntohs(address.sin_port);
}

}  // namespace

Monitor::Monitor(const Engine& engine, Container container)
    : engine_(engine),
      container_(std::move(container)),
      dir_(engine.containers.Directory(container_.record.id)) {
  lock_ = engine_.containers.store().containers().TryLock(container_.record.id);
  if (!lock_) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("container {} is running already", container_.record.name));
  }
  image_ = engine_.containers.ImageConfigOf(container_.record);
  DropFile(dir_, kStopFile);
  DropFile(dir_, kHealthFile);
}

Monitor::~Monitor() = default;

void Monitor::ChoosePorts(exec::ProcessSpec& spec) {
  if (spec.network != exec::NetworkMode::kDefault) return;
  if (container_.config.publish_all) {
    for (const std::string& exposed : image_.exposed_ports) {
      for (const exec::PortForward& port : ParsePorts(exposed)) {
        spec.ports.push_back(port);
      }
    }
  }
  for (exec::PortForward& port : spec.ports) {
    if (port.host_port == 0) port.host_port = FreePort(port.udp);
  }
  ports_ = spec.ports;
}

exec::ProcessSpec Monitor::Prepare() {
  store::Store& store = engine_.containers.store();
  lease_ = store.Hold();
  EnsureLayers(engine_, container_.record, image_);
  active_ = store.snapshots().PrepareIn(image_.diff_ids, dir_);
  exec::ProcessSpec spec =
      MakeProcess(image_, container_.config, *active_->lower());
  CheckVolumes(spec);
  spec.rootfs = active_->mount();
  spec.id = container_.record.id;
  spec.limits.own_cgroup = !container_.config.auto_remove;
  if (spec.network == exec::NetworkMode::kJoin) {
    const Container other = engine_.containers.Require(
        container_.config.network.substr(std::strlen("container:")));
    joined_network_ = engine_.containers.RequireRunning(other).OpenNetwork();
    spec.join_network = joined_network_.get();
  }
  ChoosePorts(spec);
  return spec;
}

void Monitor::Record() {
  engine_.containers.store().containers().Update(container_.record);
}

void Monitor::OnStarted(const exec::StartedContainer& started) {
  // From here on the layers are locked one by one, and the rest of the store
  // may be swept while the container runs.
  lease_.reset();
  ReplaceFile(dir_, kRunningFile, ToJson(RunningRecord{started, ports_}));
  container_.record.started_ns = NowNs();
  container_.record.exit_code = 0;
  container_.record.out_of_memory = false;
  container_.record.error.clear();
  Record();
}

void Monitor::RecordEnd(const exec::ExitResult& result) {
  health_.reset();
  DropFile(dir_, kRunningFile);
  store::ContainerRecord& record = container_.record;
  record.exit_code = result.exit_code;
  record.out_of_memory = result.out_of_memory;
  record.error = result.start_error;
  // Never started: it stays "created".
  if (result.start_error.empty()) record.finished_ns = NowNs();
  // One that is about to be removed leaves its exit code in the file alone.
  if (!container_.config.auto_remove) Record();
  const UniqueFd file =
      fs::OpenIfExists(AT_FDCWD, dir_ + "/" + kExitFile, O_WRONLY | O_TRUNC);
  if (file) {
    fs::WriteAll(file.get(), AsBytes(std::to_string(result.exit_code)),
                 kExitFile);
  }
}

exec::ExitResult Monitor::Run(exec::ExecIo io, const CancelToken& cancel) {
  const auto started = std::move(io.on_started);
  const auto running = std::move(io.on_running);
  io.on_started = [&](const exec::StartedContainer& world) {
    OnStarted(world);
    if (started) started(world);
  };
  io.on_running = [&] {
    if (const auto check = HealthcheckOf(image_, container_.config)) {
      health_ = std::make_unique<HealthChecker>(engine_.containers, container_,
                                                *check);
    }
    if (running) running();
  };
  try {
    const exec::ProcessSpec spec = Prepare();
    exec::ExitResult result = engine_.executor.Run(spec, io, cancel);
    RecordEnd(result);
    return result;
  } catch (const Error& error) {
    exec::ExitResult result;
    const bool was_running =
        container_.record.started_ns > container_.record.finished_ns;
    result.exit_code = was_running ? 137 : 125;
    if (!was_running) result.start_error = error.message();
    RecordEnd(result);
    if (was_running) {
      // Nobody listens any more: `inspect` tells why it was lost.
      container_.record.error = error.message();
      Record();
    }
    throw;
  }
}

void Monitor::CountRestart() {
  ++container_.record.restarts;
  Record();
}

bool Monitor::StopWanted() const {
  return ::access((dir_ + "/" + kStopFile).c_str(), F_OK) == 0;
}

void Monitor::Finish() {
  active_.reset();
  if (!container_.config.auto_remove) return;
  Unmount(engine_.containers.store(), container_.record.id, /*force=*/true);
  engine_.containers.store().containers().Remove(container_.record.id);
}

exec::ExitResult RunForeground(const Engine& engine, const Container& container,
                               int signal_fd, const CancelToken& cancel) {
  Monitor monitor(engine, container);
  const Config& config = container.config;
  exec::ExecIo io;
  io.signal_fd = signal_fd;
  io.stdin_fd = config.interactive ? 0 : -1;
  // One that is gone afterwards needs no log: it writes right to our streams.
  std::optional<LogWriter> log;
  if (!config.auto_remove) {
    log.emplace(engine.containers.Directory(container.record.id) + "/" +
                kLogFile);
  }
  if (config.terminal || log) {
    io.on_output = [&](int stream, std::string_view bytes) {
      if (log) log->Write(stream, bytes);
      fs::WriteAll(stream, AsBytes(bytes), "output");
    };
  }
  if (config.terminal) {
    io.terminal = true;
    io.user_tty_fd = config.interactive ? 0 : -1;
  } else if (!log) {
    io.stdout_fd = 1;
    io.stderr_fd = 2;
  }
  try {
    exec::ExitResult result = monitor.Run(io, cancel);
    // The network ends while the container is removed.
    engine.executor.Dismiss();
    monitor.Finish();
    return result;
  } catch (const Error&) {
    monitor.Finish();
    throw;
  }
}

}  // namespace imgbuild::container
