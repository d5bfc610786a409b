// --ssh: the agents that steps may use. Keys in files are given to an
// ssh-agent program of this build's own, so that no key is ever parsed here
// and none enters a step.
#ifndef IMGBUILD_BUILD_SSH_AGENTS_H_
#define IMGBUILD_BUILD_SSH_AGENTS_H_

#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/process.h"

namespace imgbuild::build {

// default | ID[=SOCKET|KEY[,KEY…]]
struct SshForward {
  std::string id;
  std::vector<std::string> paths;  // none: $SSH_AUTH_SOCK
};
// Throws Error(kUsage).
SshForward ParseSshForward(const std::string& text);

class SshAgents {
 public:
  // Starts an agent for each forward that names keys; they end with this
  // object. Throws Error(kUsage): no agent to forward, an unreadable key, one
  // with a passphrase; Error(kHost) when ssh-agent is not installed. The
  // thread that calls it must outlive the object.
  SshAgents(const std::vector<SshForward>& forwards, const CancelToken& cancel);

  // The socket of an agent; nullopt when none was given for this id.
  std::optional<std::string> Socket(const std::string& id) const;

 private:
  std::string SocketOf(const SshForward& forward, const CancelToken& cancel);
  std::string StartAgent(const SshForward& forward, const CancelToken& cancel);

  std::map<std::string, std::string> sockets_;
  std::list<fs::TempDir> dirs_;
  std::list<Process> agents_;  // killed before their directories go
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_SSH_AGENTS_H_
