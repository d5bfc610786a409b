#include "imgbuild/build/ssh_agents.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "build/agent_proxy.h"
#include "build/memory_dir.h"

namespace imgbuild::build {
namespace {

constexpr size_t kMaxKeyBytes = size_t{100} * 1024;
constexpr int kStartTries = 500;  // of 10 ms

Error Usage(const SshForward& forward, std::string_view what) {
  return Error(ErrorCode::kUsage,
               fmt::format("--ssh {}: {}", forward.id, what));
}

bool IsSocket(const std::string& path) {
  struct ::stat st = {};
  return ::stat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode);
}

std::vector<std::string> AgentEnvironment(const std::string& socket) {
  std::vector<std::string> env = {"LC_ALL=C", "SSH_AUTH_SOCK=" + socket,
                                  "SSH_ASKPASS_REQUIRE=never"};
  for (const char* name : {"PATH", "HOME"}) {
    if (const char* value = std::getenv(name)) {
      env.push_back(fmt::format("{}={}", name, value));
    }
  }
  return env;
}

std::string ReadKey(const SshForward& forward, const std::string& path) {
  const UniqueFd file = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!file || !S_ISREG(fs::Fstat(file.get()).st_mode)) {
    throw Usage(forward, fmt::format("there is no key file {}", Quoted(path)));
  }
  return fs::ReadFd(file.get(), kMaxKeyBytes, path);
}

// Through standard input: ssh-add refuses files that others may read, which
// is not this build's business.
void AddKey(const SshForward& forward, const std::string& path,
            const std::string& socket, const CancelToken& cancel) {
  ProcessOptions options;
  options.argv = {"ssh-add", "-q", "-"};
  options.env = AgentEnvironment(socket);
  options.new_session = true;  // no terminal to ask for a passphrase on
  const CommandResult result =
      RunCommand(options, ReadKey(forward, path), 1 << 16, &cancel);
  if (result.status.ok()) return;
  if (result.err.find("passphrase") != std::string::npos) {
    throw Usage(forward,
                fmt::format("the key {} has a passphrase", Quoted(path)))
        .WithHint(
            "give it to an agent with ssh-add, and forward that: --ssh "
            "default");
  }
  throw Usage(forward, fmt::format("{} is no private key that ssh-add takes: "
                                   "{}",
                                   Quoted(path), Trim(result.err)));
}

}  // namespace

SshForward ParseSshForward(const std::string& text) {
  SshForward forward;
  const size_t eq = text.find('=');
  forward.id = text.substr(0, eq);
  const std::string paths = eq == std::string::npos ? "" : text.substr(eq + 1);
  if (forward.id.empty() || (eq != std::string::npos && paths.empty())) {
    throw Error(ErrorCode::kUsage,
                fmt::format("invalid --ssh {}", Quoted(text)))
        .WithHint("the form is default or ID[=SOCKET|KEY[,KEY…]]");
  }
  if (!paths.empty()) forward.paths = Split(paths, ',');
  return forward;
}

SshAgents::SshAgents(const std::vector<SshForward>& forwards,
                     const CancelToken& cancel) {
  for (const SshForward& forward : forwards) {
    if (sockets_.contains(forward.id)) {
      throw Usage(forward, "it is given twice");
    }
    sockets_[forward.id] = SocketOf(forward, cancel);
  }
}

std::optional<std::string> SshAgents::Socket(const std::string& id) const {
  const auto it = sockets_.find(id);
  if (it == sockets_.end()) return std::nullopt;
  return it->second;
}

std::string SshAgents::SocketOf(const SshForward& forward,
                                const CancelToken& cancel) {
  if (forward.paths.empty()) {
    const char* socket = std::getenv("SSH_AUTH_SOCK");
    if (socket == nullptr || *socket == '\0') {
      throw Usage(forward, "there is no agent: SSH_AUTH_SOCK is not set")
          .WithHint(
              fmt::format("start one, or name keys: --ssh {}=KEY", forward.id));
    }
    ConnectUnix(socket);  // known now, not in the last step
    return socket;
  }
  if (forward.paths.size() == 1 && IsSocket(forward.paths[0])) {
    return forward.paths[0];
  }
  for (const std::string& path : forward.paths) {
    if (IsSocket(path)) {
      throw Usage(forward, "it is one socket or keys, not both");
    }
  }
  return StartAgent(forward, cancel);
}

std::string SshAgents::StartAgent(const SshForward& forward,
                                  const CancelToken& cancel) {
  if (!FindProgram("ssh-agent") || !FindProgram("ssh-add")) {
    throw Error(ErrorCode::kHost, "ssh-agent is not installed")
        .WithHint("install openssh-client, or forward a running agent");
  }
  dirs_.push_back(MemoryDir());
  std::string socket = dirs_.back().path() + "/agent";
  ProcessOptions options;
  options.argv = {"ssh-agent", "-D", "-a", socket};
  options.env = AgentEnvironment("");
  options.new_session = true;
  agents_.push_back(Process::Start(options));
  for (int i = 0; !IsSocket(socket); ++i) {
    cancel.Check();
    if (i == kStartTries || agents_.back().TryWait()) {
      throw Error(ErrorCode::kHost, "ssh-agent does not start");
    }
    ::usleep(10'000);
  }
  for (const std::string& path : forward.paths) {
    AddKey(forward, path, socket, cancel);
  }
  return socket;
}

}  // namespace imgbuild::build
