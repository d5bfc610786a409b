// The network of NetworkMode::kDefault: one namespace, joined to the host's
// network by pasta (user space, with and without root, no bridge and no
// firewall rules). It lasts as long as the object and dies with the program.
#ifndef IMGBUILD_SRC_EXEC_NETWORK_H_
#define IMGBUILD_SRC_EXEC_NETWORK_H_

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// /etc/resolv.conf for a container in its own namespace. Name servers on the
// host's loopback cannot be reached from there: they are left out, and when
// none is left `forward` is set and the container asks kForwardedDns, which
// pasta passes on to the host's server.
struct ResolvConf {
  std::string text;
  bool forward = false;
};
inline constexpr char kForwardedDns[] = "169.254.1.1";
// `taken`: an address that means something else in there; "" for none.
ResolvConf MakeResolvConf(std::string_view host_text,
                          const std::string& taken = "");

// The address of the host's IPv4 default gateway, which means the host itself
// in a network that maps it. Throws Error(kHost) when there is none.
std::string HostGateway();

// The host's resolv.conf; systemd-resolved's list of real servers when
// /etc/resolv.conf names only its stub.
std::string ReadHostResolvConf();

class Network {
 public:
  // Begins to start pasta, which takes some 30 ms; WaitReady() waits until the
  // namespace has its route. On a host without any default route there is
  // nothing to join: loopback only.
  // `run_dir` is where pasta's private mounts go. `ports` are forwarded from
  // the host. `map_gateway`: HostGateway() leads to the host's loopback.
  Network(const std::string& run_dir, std::vector<PortForward> ports,
          bool map_gateway = false);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Throws Error(kHost), also for a port that is taken; then as often as it is
  // called.
  void WaitReady() const { ready_.get(); }
  // The namespace, which is there long before WaitReady() returns. Blocks until
  // then and throws as it does.
  int fd() const {
    made_.get();
    return namespace_.get();
  }
  // Readable as soon as WaitReady() does not block; has_route() tells then
  // whether it would throw. For a child that may do system calls alone.
  int settled_fd() const { return settled_.get(); }
  const std::atomic<bool>& has_route() const { return has_route_; }
  const std::string& resolv_conf() const { return resolv_conf_.text; }
  // Begins to end pasta; the destructor waits for that.
  void Stop();
  // Throws Error(kHost) when pasta has ended.
  void Check() const;

 private:
  void Keep(const std::string& run_dir, std::promise<void> made,
            std::promise<void> ready);

  const std::vector<PortForward> ports_;
  const bool map_gateway_;
  ResolvConf resolv_conf_;
  UniqueFd namespace_;
  UniqueFd stop_;
  UniqueFd settled_;
  std::shared_future<void> made_;
  std::shared_future<void> ready_;
  std::atomic<bool> has_route_ = false;
  std::atomic<bool> ended_ = false;
  // pasta's parent-death signal is tied to a thread: this one waits for it.
  std::thread keeper_;
};

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_NETWORK_H_
