#include "exec/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include "exec/clone.h"
#include "exec/launch.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxResolvConf = 256 << 10;
constexpr size_t kMaxRoutes = 16 << 20;
constexpr size_t kMaxPastaOutput = 64 << 10;
constexpr char kTunDevice[] = "/dev/net/tun";
constexpr auto kPastaTimeout = std::chrono::seconds(10);

bool IsLoopback(const std::string& address) {
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  return address == "::1";
}

std::string ReadOrEmpty(const char* path, size_t cap) {
  UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY);
  return fd ? fs::ReadFd(fd.get(), cap, path) : "";
}

// The calling thread's namespace has a default route.
bool HasDefaultRoute() {
  for (const std::string& line :
       Split(ReadOrEmpty("/proc/thread-self/net/route", kMaxRoutes), '\n')) {
    std::vector<std::string> fields = Split(line, '\t');
    if (fields.size() > 7 && fields[1] == "00000000" &&
        fields[7] == "00000000") {
      return true;
    }
  }
  // destination prefix-length … device; the loopback device always has a
  // rejecting entry.
  for (const std::string& line : Split(
           ReadOrEmpty("/proc/thread-self/net/ipv6_route", kMaxRoutes), '\n')) {
    if (line.starts_with("00000000000000000000000000000000 00 ") &&
        !line.ends_with(" lo")) {
      return true;
    }
  }
  return false;
}

struct NewNamespace {
  int fd = -1;
  int error = 0;
};

// In a child that shares memory and descriptors: system calls only.
int MakeNamespaceMain(void* argument) {
  NewNamespace& out = *static_cast<NewNamespace*>(argument);
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  int device = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (device < 0 || ioctl(device, SIOCGIFFLAGS, &request) != 0) {
    out.error = errno;
    _exit(1);
  }
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  if (ioctl(device, SIOCSIFFLAGS, &request) != 0) {
    out.error = errno;
    _exit(1);
  }
  close(device);
  out.fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  out.error = errno;
  _exit(0);
}

// A namespace with its loopback device up. Made by a child, because a thread
// that leaves the host's namespace may not come back without root.
UniqueFd MakeNamespace() {
  NewNamespace made;
  CloneRequest request;
  request.flags = CLONE_NEWNET | CLONE_FILES;
  request.function = MakeNamespaceMain;
  request.argument = &made;
  const pid_t pid = CloneShared(request);
  const int error = errno;
  UniqueFd pidfd(request.pidfd);
  if (pid < 0) throw ErrnoError("create", "network namespace", error);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (made.fd < 0) {
    throw ErrnoError("set up", "network namespace", made.error);
  }
  return UniqueFd(made.fd);
}

void Enter(int fd) {
  if (setns(fd, CLONE_NEWNET) != 0) {
    throw ErrnoError("enter", "network namespace", errno);
  }
}

std::string FindPasta() {
  if (std::optional<std::string> path = FindProgram("pasta")) return *path;
  throw Error(ErrorCode::kHost,
              "network: pasta is not installed, and a container's own network "
              "needs it")
      .WithHint(
          "apt-get install passt, or use --network=none or "
          "--network=host");
}

// pasta's own words for a missing or forbidden device are hard to read.
void CheckTunDevice() {
  UniqueFd device(open(kTunDevice, O_RDWR | O_CLOEXEC));
  if (device) return;
  throw ErrnoError("network: open", kTunDevice, errno)
      .WithHint(
          "as root: modprobe tun && chmod 666 /dev/net/tun, or use "
          "--network=none or --network=host");
}

// What pasta complained about, without its noise about syslog.
std::string PastaMessage(int fd) {
  fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string text(kMaxPastaOutput, '\0');
  ssize_t n = read(fd, text.data(), text.size());
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  std::vector<std::string> lines;
  for (const std::string& line : Split(text, '\n')) {
    if (!line.empty() && !line.starts_with("Failed to send")) {
      lines.push_back(line);
    }
  }
  return Join(lines, "; ");
}

struct Pasta {
  Launched process;
  UniqueFd messages;  // its standard error
};

// pasta's form: [ADDRESS/]HOST:CONTAINER, or "none".
void AddPorts(const std::vector<PortForward>& ports, bool udp,
              std::vector<std::string>& argv) {
  const char* flag = udp ? "-u" : "-t";
  bool any = false;
  for (const PortForward& port : ports) {
    if (port.udp != udp) continue;
    any = true;
    std::string address =
        port.host_address.empty() ? "" : port.host_address + "/";
    argv.insert(argv.end(),
                {flag, fmt::format("{}{}:{}", address, port.host_port,
                                   port.container_port)});
  }
  if (!any) argv.insert(argv.end(), {flag, "none"});
}

Pasta StartPasta(const std::string& run_dir, int namespace_fd, bool forward,
                 const std::vector<PortForward>& ports, bool map_gateway) {
  std::string program = FindPasta();
  CheckTunDevice();
  // Given as a bind mount, because pasta drops what it would need to open
  // another process's descriptor.
  std::string name = fmt::format("/proc/self/fd/{}", namespace_fd);
  UniqueFd file(
      open_tree(AT_FDCWD, name.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!file) throw ErrnoError("mount", "network namespace", errno);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw ErrnoError("create", "pipe", errno);
  UniqueFd messages(ends[0]);
  UniqueFd write_end(ends[1]);
  LaunchPlan plan;
  plan.dir = run_dir;
  plan.mounts.push_back({file.get(), "net", false});
  // Nothing of the host's loopback from inside, and from outside only the
  // published ports: no gateway address that means the host.
  plan.argv = {program, "--foreground", "--quiet", "--runas", "0"};
  plan.argv.insert(plan.argv.end(), {"--netns-only", "--config-net"});
  if (!map_gateway) plan.argv.push_back("--no-map-gw");
  plan.argv.push_back("--no-netns-quit");
  AddPorts(ports, /*udp=*/false, plan.argv);
  AddPorts(ports, /*udp=*/true, plan.argv);
  plan.argv.insert(plan.argv.end(), {"-T", "none", "-U", "none"});
  if (forward) {
    plan.argv.insert(plan.argv.end(), {"--dns-forward", kForwardedDns});
  }
  plan.argv.insert(plan.argv.end(), {"--netns", run_dir + "/net"});
  plan.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  plan.stderr_fd = write_end.get();
  return {Launch(plan), std::move(messages)};
}

// REQUIRES: the calling thread is in pasta's namespace.
void WaitForRoute(const Pasta& pasta) {
  auto fail = [&](std::string_view what) {
    throw Error(ErrorCode::kHost,
                fmt::format("network: pasta {}: {}", what,
                            PastaMessage(pasta.messages.get())))
        .WithHint("use --network=none or --network=host");
  };
  auto deadline = std::chrono::steady_clock::now() + kPastaTimeout;
  while (!HasDefaultRoute()) {
    pollfd end{pasta.process.pidfd(), POLLIN, 0};
    if (poll(&end, 1, 1) > 0) fail("failed");
    if (std::chrono::steady_clock::now() > deadline) {
      fail("made no route within 10 seconds");
    }
  }
}

}  // namespace

std::string HostGateway() {
  for (const std::string& line :
       Split(ReadOrEmpty("/proc/thread-self/net/route", kMaxRoutes), '\n')) {
    const std::vector<std::string> fields = Split(line, '\t');
    if (fields.size() < 8 || fields[1] != "00000000" ||
        fields[7] != "00000000" || fields[2] == "00000000") {
      continue;
    }
    in_addr address{};  // as it lies in memory
    address.s_addr =
        static_cast<in_addr_t>(std::strtoul(fields[2].c_str(), nullptr, 16));
    char text[INET_ADDRSTRLEN];
    if (inet_ntop(AF_INET, &address, text, sizeof text) != nullptr) return text;
  }
  throw Error(ErrorCode::kHost,
              "network: host-gateway: this host has no IPv4 gateway whose "
              "address could stand for it")
      .WithHint("name an address of the host itself");
}

ResolvConf MakeResolvConf(std::string_view host_text,
                          const std::string& taken) {
  ResolvConf out;
  bool any = false;
  for (const std::string& line : Split(host_text, '\n')) {
    std::string_view text = Trim(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (text.starts_with("nameserver") && text.size() > 10) {
      std::string address(Trim(text.substr(10)));
      if (IsLoopback(address) || address == taken) continue;
      any = true;
    }
    out.text += std::string(text) + "\n";
  }
  if (!any) {
    out.forward = true;
    out.text += fmt::format("nameserver {}\n", kForwardedDns);
  }
  return out;
}

std::string ReadHostResolvConf() {
  std::string text = ReadOrEmpty("/etc/resolv.conf", kMaxResolvConf);
  if (!MakeResolvConf(text).forward) return text;
  std::string real =
      ReadOrEmpty("/run/systemd/resolve/resolv.conf", kMaxResolvConf);
  return MakeResolvConf(real).forward ? text : real;
}

Network::Network(const std::string& run_dir, std::vector<PortForward> ports,
                 bool map_gateway)
    : ports_(std::move(ports)),
      map_gateway_(map_gateway),
      resolv_conf_(MakeResolvConf(ReadHostResolvConf(),
                                  map_gateway ? HostGateway() : "")),
      stop_(eventfd(0, EFD_CLOEXEC)),
      settled_(eventfd(0, EFD_CLOEXEC)) {
  if (!stop_ || !settled_) throw ErrnoError("create", "eventfd", errno);
  std::promise<void> made;
  std::promise<void> ready;
  made_ = made.get_future().share();
  ready_ = ready.get_future().share();
  keeper_ = std::thread([this, run_dir, made = std::move(made),
                         ready = std::move(ready)]() mutable {
    Keep(run_dir, std::move(made), std::move(ready));
  });
}

void Network::Stop() { eventfd_write(stop_.get(), 1); }

Network::~Network() {
  Stop();
  keeper_.join();
}

void Network::Check() const {
  if (ended_) {
    throw Error(ErrorCode::kHost, "network: pasta has ended unexpectedly");
  }
}

void Network::Keep(const std::string& run_dir, std::promise<void> made,
                   std::promise<void> ready) {
  std::optional<Pasta> pasta;
  try {
    namespace_ = MakeNamespace();
    made.set_value();
    if (HasDefaultRoute() || !ports_.empty()) {
      pasta.emplace(StartPasta(run_dir, namespace_.get(), resolv_conf_.forward,
                               ports_, map_gateway_));
      Enter(namespace_.get());
      WaitForRoute(*pasta);
    }
  } catch (...) {
    pasta.reset();
    ready.set_exception(std::current_exception());
    if (!namespace_) made.set_exception(std::current_exception());
    eventfd_write(settled_.get(), 1);
    return;
  }
  has_route_ = true;
  ready.set_value();
  eventfd_write(settled_.get(), 1);
  pollfd fds[2] = {{stop_.get(), POLLIN, 0},
                   {pasta ? pasta->process.pidfd() : -1, POLLIN, 0}};
  while (poll(fds, 2, -1) < 0 && errno == EINTR) {
  }
  if (fds[0].revents == 0) {
    ended_ = true;
    while (poll(fds, 1, -1) < 0 && errno == EINTR) {
    }
  }
}

}  // namespace imgbuild::exec
