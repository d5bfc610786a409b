// What stands between a step and the user's ssh agent: a socket that lets the
// step list keys and have things signed, and nothing else. Whoever holds the
// real socket could also add, remove and lock keys.
#ifndef IMGBUILD_SRC_BUILD_AGENT_PROXY_H_
#define IMGBUILD_SRC_BUILD_AGENT_PROXY_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::build {

// The longest message of the agent protocol that either side may send.
inline constexpr uint32_t kMaxAgentMessage = 256 * 1024;

// The message at the front of what a client has sent.
struct AgentRequest {
  size_t size = 0;       // with its length field
  bool allowed = false;  // list identities, sign
};
// nullopt: more bytes are needed. Throws Error(kStep) for a length of zero or
// above the cap.
std::optional<AgentRequest> NextAgentRequest(std::string_view bytes);

// Serves `path` until it goes: every connection is closed then.
class AgentProxy {
 public:
  // Makes the socket `path`, which must fit a sockaddr_un; its mode is the
  // caller's business. `upstream` is the agent's socket.
  AgentProxy(const std::string& path, std::string upstream);
  AgentProxy(const AgentProxy&) = delete;
  AgentProxy& operator=(const AgentProxy&) = delete;
  ~AgentProxy();

 private:
  struct Connection;
  void Accept();
  void Serve(Connection& connection);

  const std::string upstream_;
  UniqueFd listener_;
  CancelToken stop_;
  std::list<Connection> connections_;  // of the accepting thread
  std::thread thread_;
};

// A stream socket connected to `path`. Throws Error(kHost).
UniqueFd ConnectUnix(const std::string& path);

}  // namespace imgbuild::build

#endif  // IMGBUILD_SRC_BUILD_AGENT_PROXY_H_
