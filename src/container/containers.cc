#include "imgbuild/container/containers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <thread>

#include "imgbuild/container/mounts.h"
#include "imgbuild/exec/user.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "container/files.h"

namespace imgbuild::container {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(10);
constexpr uint64_t kMinMemory = 6 << 20;
constexpr int kKilled = 137;
// What SIGKILL may take: a process in the kernel's hands, a slow disk.
constexpr auto kKillTimeout = std::chrono::seconds(30);
// How often the store is asked whether a writer has let go of a lock.
constexpr auto kLockTimeout = std::chrono::seconds(10);

Error NotRunning(const std::string& id) {
  return Error(ErrorCode::kUsage,
               fmt::format("container {} is not running", id));
}

void CheckCapability(const char* what, const std::string& name) {
  if (exec::IsCapabilityName(name)) return;
  std::string full = name;
  for (char& c : full) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (!full.starts_with("CAP_")) full.insert(0, "CAP_");
  throw Error(
      ErrorCode::kUsage,
      fmt::format("invalid {}: unknown capability: {}", what, Quoted(full)));
}

// What Docker finds out when it makes a container.
void CheckConfig(const oci::ImageConfig& image, const Config& config) {
  if (CommandOf(image, config).empty()) {
    throw Error(ErrorCode::kUsage, "no command specified")
        .WithHint(
            "the image has neither ENTRYPOINT nor CMD: give a command "
            "after its name");
  }
  if (config.limits.memory_bytes != 0 &&
      config.limits.memory_bytes < kMinMemory) {
    throw Error(ErrorCode::kUsage, "Minimum memory limit allowed is 6MB");
  }
  if (!config.working_dir.empty() && !config.working_dir.starts_with('/')) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the working directory '{}' is invalid, it needs "
                            "to be an absolute path",
                            config.working_dir));
  }
  for (const std::string& name : config.cap_add) {
    CheckCapability("CapAdd", name);
  }
  for (const std::string& name : config.cap_drop) {
    CheckCapability("CapDrop", name);
  }
  StopSignalOf(image, config);
  std::set<std::string> targets;
  for (const Volume& volume : config.volumes) {
    if (!targets.insert(fs::CleanRelative(volume.target)).second) {
      throw Error(ErrorCode::kUsage, "Duplicate mount point: " + volume.target);
    }
    if (volume.type == Volume::Type::kBind &&
        ::access(volume.source.c_str(), F_OK) != 0) {
      throw ErrnoError("mount", volume.source, errno, ErrorCode::kUsage);
    }
  }
}

std::string StoredBlob(store::Store& store, const oci::Digest& digest,
                       size_t cap, const store::ContainerRecord& record) {
  auto bytes = store.content().Read(digest, cap);
  if (bytes) return std::move(*bytes);
  throw Error(ErrorCode::kHost,
              fmt::format("blob {} of the image of container {} is gone from "
                          "the store",
                          digest.ToString(), record.name))
      .WithHint("pull or build the image again");
}

}  // namespace

std::optional<Container> Containers::Find(const std::string& text) {
  auto record = store_.containers().Find(text);
  if (!record) return std::nullopt;
  const Status status = StatusOf(*record);
  Config config = ConfigFromJson(record->config);
  return Container{std::move(*record), std::move(config), status};
}

Container Containers::Require(const std::string& text) {
  if (auto container = Find(text)) return std::move(*container);
  Error error(ErrorCode::kUsage, "No such container: " + text);
  std::vector<std::string> names;
  for (const store::ContainerRecord& record : store_.containers().List()) {
    names.push_back(record.name);
  }
  if (const auto near = Suggest(text, names)) {
    error.WithHint(fmt::format("did you mean {}?", *near));
  }
  throw error;
}

std::vector<Container> Containers::List() {
  std::vector<Container> out;
  for (store::ContainerRecord& record : store_.containers().List()) {
    const Status status = StatusOf(record);
    Config config = ConfigFromJson(record.config);
    out.push_back({std::move(record), std::move(config), status});
  }
  return out;
}

Status Containers::StatusOf(const store::ContainerRecord& record) {
  Status status;
  status.exit_code = record.exit_code;
  status.started_ns = record.started_ns;
  status.finished_ns = record.finished_ns;
  const bool locked = store_.containers().IsLocked(record.id);
  if (record.started_ns > record.finished_ns) {
    if (locked) {
      status.state = State::kRunning;
      if (const auto text = ReadSmallFile(Directory(record.id), kHealthFile)) {
        if (const auto health = HealthFromJson(*text)) {
          status.health = health->status;
        }
      }
      if (const auto running = RunningOf(record.id)) {
        if (exec::IsFrozen(running->started)) status.state = State::kPaused;
      }
    } else {
      // Its monitor was killed, and the container with it.
      status.state = State::kExited;
      status.exit_code = kKilled;
      status.dead_monitor = true;
      status.finished_ns = record.started_ns;
      struct ::stat st = {};
      if (::stat((Directory(record.id) + "/" + kLogFile).c_str(), &st) == 0) {
        status.finished_ns = std::max(
            record.started_ns, int64_t{st.st_mtim.tv_sec} * 1'000'000'000);
      }
    }
    return status;
  }
  if (record.started_ns == 0) return status;
  status.state = locked ? State::kRestarting : State::kExited;
  return status;
}

store::ContainerRecord Containers::Create(const store::ImageRecord& image,
                                          const std::string& reference,
                                          const std::string& name,
                                          const Config& config) {
  if (!name.empty()) CheckName(name);
  const auto lease = store_.Hold();
  store::ContainerRecord record{RandomId(), name, image.manifest, image.id,
                                reference};
  const oci::ImageConfig image_config = ImageConfigOf(record);
  CheckConfig(image_config, config);
  Config kept = config;
  if (kept.hostname.empty()) kept.hostname = record.id.substr(0, 12);
  record.config = ToJson(kept);
  record.created_ns = NowNs();
  if (name.empty()) {
    std::vector<std::string> taken;
    for (const auto& other : store_.containers().List()) {
      taken.push_back(other.name);
    }
    record.name = RandomName(taken);
  }
  store_.containers().Add(record);
  ReplaceFile(Directory(record.id), kExitFile, "");
  return record;
}

void Containers::Rename(const Container& container, const std::string& name) {
  CheckName(name);
  if (name == container.record.name) {
    throw Error(ErrorCode::kUsage,
                "Renaming a container with the same name as its current name");
  }
  store_.containers().Rename(container.record.id, name);
}

void Containers::Remove(const Container& container, bool force) {
  const std::string& id = container.record.id;
  store::ContainerStore& containers = store_.containers();
  if (const auto mounted = FindMounted(store_, id); mounted && !force) {
    throw Error(ErrorCode::kFailed,
                fmt::format("cannot remove container {}: its files are mounted "
                            "at {}",
                            Quoted(container.record.name), mounted->path))
        .WithHint("imgbuild umount, or rm -f");
  }
  if (containers.IsLocked(id)) {
    if (!force) {
      const char* state =
          container.status.state == State::kPaused
              ? "paused and must be unpaused first"
              : "running: stop the container before removing or force remove";
      throw Error(ErrorCode::kUsage,
                  fmt::format("cannot remove container {}: container is {}",
                              Quoted(container.record.name), state));
    }
    Stop(container, SIGKILL, -1, CancelToken());
  }
  const auto deadline = std::chrono::steady_clock::now() + kLockTimeout;
  std::unique_ptr<store::ContainerLock> lock;
  while (!lock) {
    if (!containers.Find(id)) return;  // it removed itself
    try {
      lock = containers.TryLock(id);
    } catch (const Error&) {
      if (!containers.Find(id)) return;
      // A record whose directory is gone: the record is all there is.
      break;
    }
    if (lock) break;
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("cannot remove container {}: another command "
                              "holds it",
                              Quoted(container.record.name)));
    }
    std::this_thread::sleep_for(kPoll);
  }
  Unmount(store_, id, /*force=*/true);
  containers.Remove(id);
  containers.SweepAbandoned();
}

oci::ImageConfig Containers::ImageConfigOf(
    const store::ContainerRecord& record) {
  return oci::ParseImageConfig(
      StoredBlob(store_, record.image.digest(), oci::kMaxConfigBytes, record));
}

std::optional<RunningRecord> Containers::RunningOf(const std::string& id) {
  if (!store_.containers().IsLocked(id)) return std::nullopt;
  const auto text = ReadSmallFile(Directory(id), kRunningFile);
  return text ? RunningFromJson(*text) : std::nullopt;
}

exec::Running Containers::RequireRunning(const Container& container,
                                         RunningRecord* record) {
  if (auto running = RunningOf(container.record.id)) {
    if (auto found = exec::Running::Find(running->started)) {
      if (record != nullptr) *record = std::move(*running);
      return std::move(*found);
    }
  }
  throw NotRunning(container.record.id);
}

void Containers::Kill(const Container& container, int signal) {
  const exec::Running running = RequireRunning(container);
  if (signal == SIGKILL) {
    // Nothing starts it again, and it has ended when this returns.
    ReplaceFile(Directory(container.record.id), kStopFile, "");
    if (container.status.state == State::kPaused) SetPaused(container, false);
  }
  if (!running.Signal(signal)) throw NotRunning(container.record.id);
  if (signal != SIGKILL) return;
  const auto deadline = std::chrono::steady_clock::now() + kLockTimeout;
  while (store_.containers().IsLocked(container.record.id) &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kPoll);
  }
}

void Containers::Stop(const Container& container, std::optional<int> signal,
                      int timeout_s, const CancelToken& cancel) {
  const std::string& id = container.record.id;
  const store::ContainerStore& containers = store_.containers();
  if (!containers.IsLocked(id)) return;
  // Before the signal: its monitor must not start it again.
  ReplaceFile(Directory(id), kStopFile, "");
  if (container.status.state == State::kPaused) SetPaused(container, false);
  const auto send = [&](int number) {
    const auto record = RunningOf(id);
    if (!record) return false;
    const auto running = exec::Running::Find(record->started);
    return running && running->Signal(number);
  };
  const int first =
      signal ? *signal
             : StopSignalOf(ImageConfigOf(container.record), container.config);
  bool sent = send(first);
  auto start = std::chrono::steady_clock::now();
  bool killed = first == SIGKILL;
  while (containers.IsLocked(id)) {
    cancel.Check();
    const auto waited = std::chrono::steady_clock::now() - start;
    // One that was just being started had no process yet.
    if (!sent) sent = send(killed ? SIGKILL : first);
    if (!killed && timeout_s >= 0 &&
        waited >= std::chrono::seconds(timeout_s)) {
      sent = send(SIGKILL);
      killed = true;
      start = std::chrono::steady_clock::now();
    } else if (killed && waited > kKillTimeout) {
      throw Error(ErrorCode::kHost,
                  fmt::format("container {} does not end, although it was "
                              "killed",
                              container.record.name));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

int Containers::Wait(const Container& container, const CancelToken& cancel) {
  const std::string& id = container.record.id;
  const UniqueFd exit_file =
      fs::OpenIfExists(AT_FDCWD, Directory(id) + "/" + kExitFile, O_RDONLY);
  while (store_.containers().IsLocked(id)) {
    cancel.Check();
    std::this_thread::sleep_for(kPoll);
  }
  if (const auto now = Find(id)) return now->status.exit_code;
  // It removed itself when it ended.
  if (exit_file) {
    const auto code = ParseInt(Trim(fs::ReadFd(exit_file.get(), 64, "exit")));
    if (code) return static_cast<int>(*code);
  }
  return container.status.exit_code;
}

void Containers::SetPaused(const Container& container, bool paused) {
  RunningRecord record;
  RequireRunning(container, &record);
  exec::SetFrozen(record.started, paused);
}

std::optional<std::string> Containers::HealthJson(const std::string& id) {
  return ReadSmallFile(Directory(id), kHealthFile);
}

namespace {

uint64_t TreeBytes(int dirfd) {
  uint64_t bytes = 0;
  for (const std::string& name : fs::ListDir(dirfd)) {
    const auto st = fs::LstatIfExists(dirfd, name);
    if (!st) continue;
    if (S_ISREG(st->st_mode)) bytes += static_cast<uint64_t>(st->st_size);
    if (!S_ISDIR(st->st_mode)) continue;
    const UniqueFd inner =
        fs::OpenIfExists(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (inner) bytes += TreeBytes(inner.get());
  }
  return bytes;
}

}  // namespace

uint64_t Containers::WritableSize(const std::string& id) {
  const UniqueFd dir =
      fs::OpenIfExists(AT_FDCWD, Directory(id) + "/fs", O_RDONLY | O_DIRECTORY);
  return dir ? TreeBytes(dir.get()) : 0;
}

std::string_view ToString(State state) {
  switch (state) {
    case State::kCreated:
      return "created";
    case State::kRunning:
      return "running";
    case State::kPaused:
      return "paused";
    case State::kRestarting:
      return "restarting";
    case State::kExited:
      break;
  }
  return "exited";
}

std::string StatusText(const Status& status, int64_t now_s) {
  const auto ago = [&](int64_t then_ns) {
    return HumanDuration(std::max<int64_t>(0, now_s - then_ns / 1'000'000'000));
  };
  switch (status.state) {
    case State::kCreated:
      return "Created";
    case State::kExited:
      return fmt::format("Exited ({}) {} ago", status.exit_code,
                         ago(status.finished_ns));
    case State::kRestarting:
      return fmt::format("Restarting ({}) {} ago", status.exit_code,
                         ago(status.finished_ns));
    case State::kPaused:
      return fmt::format("Up {} (Paused)", ago(status.started_ns));
    case State::kRunning:
      break;
  }
  std::string text = "Up " + ago(status.started_ns);
  if (status.health == "starting") return text + " (health: starting)";
  return status.health.empty() ? text
                               : fmt::format("{} ({})", text, status.health);
}

}  // namespace imgbuild::container
