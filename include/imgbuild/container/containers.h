// Containers: made, started, watched, entered and removed. There is no daemon.
// Whoever runs a container is its monitor and holds its lock: the `run` in the
// foreground itself, or a process of this program that `run -d` and `start`
// leave behind. Everything else learns from the record, from that lock and
// from the processes themselves; nothing is believed because of a number.
#ifndef IMGBUILD_CONTAINER_CONTAINERS_H_
#define IMGBUILD_CONTAINER_CONTAINERS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/container/config.h"
#include "imgbuild/exec/executor.h"
#include "imgbuild/exec/running.h"
#include "imgbuild/store/store.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::container {

enum class State {
  kCreated,
  kRunning,
  kPaused,
  kRestarting,  // between two runs
  kExited,
};
std::string_view ToString(State state);  // "running"

// What a container is doing right now.
struct Status {
  State state = State::kCreated;
  int exit_code = 0;
  int64_t started_ns = 0;
  int64_t finished_ns = 0;
  std::string health;         // "", "starting", "healthy", "unhealthy"
  bool dead_monitor = false;  // ended because its monitor was killed
};

struct Container {
  store::ContainerRecord record;
  Config config;
  Status status;
};

// What a monitor writes down for the others.
struct RunningRecord {
  exec::StartedContainer started;
  std::vector<exec::PortForward> ports;  // with the real host ports
};

class Containers {
 public:
  explicit Containers(store::Store& store) : store_(store) {}

  // By name, id or unique prefix. Throws Error(kUsage) "No such container: X".
  Container Require(const std::string& text);
  std::optional<Container> Find(const std::string& text);
  std::vector<Container> List();

  // Makes one of that image. `name` empty: two words. Throws Error(kUsage) for
  // a name that is taken or malformed, or options that cannot be.
  store::ContainerRecord Create(const store::ImageRecord& image,
                                const std::string& reference,
                                const std::string& name, const Config& config);
  void Rename(const Container& container, const std::string& name);
  // Throws Error(kUsage) while it runs, unless `force`, which kills it.
  void Remove(const Container& container, bool force);

  // Its config, from the store: also when no name leads to the image any more.
  oci::ImageConfig ImageConfigOf(const store::ContainerRecord& record);

  // nullopt when it does not run (any longer).
  std::optional<RunningRecord> RunningOf(const std::string& id);
  // Throws Error(kUsage) "container ID is not running".
  exec::Running RequireRunning(const Container& container,
                               RunningRecord* record = nullptr);

  // Sends a signal to the first process.
  void Kill(const Container& container, int signal);
  // The stop signal, and SIGKILL when it still runs after the time (negative:
  // never). A stopped container is fine. No restart policy starts it again.
  void Stop(const Container& container, std::optional<int> signal,
            int timeout_s, const CancelToken& cancel);
  // Blocks until nobody runs it; its last exit code.
  int Wait(const Container& container, const CancelToken& cancel);
  void SetPaused(const Container& container, bool paused);

  // What its monitor last saw of its health, as Docker's JSON object.
  std::optional<std::string> HealthJson(const std::string& id);
  // Bytes of the writable layer on the disk.
  uint64_t WritableSize(const std::string& id);

  store::Store& store() { return store_; }
  std::string Directory(const std::string& id) const {
    return store_.containers().Directory(id);
  }

 private:
  Status StatusOf(const store::ContainerRecord& record);

  store::Store& store_;
};

// Files in a container's directory.
inline constexpr char kRunningFile[] = "running";
inline constexpr char kLogFile[] = "log";
inline constexpr char kHealthFile[] = "health";
inline constexpr char kStopFile[] = "stop";  // the user wants it stopped

// "Up 3 minutes (healthy)", "Exited (1) 2 hours ago", "Created".
std::string StatusText(const Status& status, int64_t now_s);

// "brave_turing": not taken by any of `taken`.
std::string RandomName(const std::vector<std::string>& taken);
// [a-zA-Z0-9][a-zA-Z0-9_.-]+; Throws Error(kUsage) in Docker's words.
void CheckName(const std::string& name);
std::string RandomId();  // 64 hex digits
int64_t NowNs();

}  // namespace imgbuild::container

#endif  // IMGBUILD_CONTAINER_CONTAINERS_H_
