#include "build/agent_proxy.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::build {
namespace {

std::string Message(char type, const std::string& rest = "") {
  const size_t length = rest.size() + 1;
  std::string out = {static_cast<char>(length >> 24),
                     static_cast<char>(length >> 16),
                     static_cast<char>(length >> 8), static_cast<char>(length)};
  return out + type + rest;
}

const std::string kFailure("\0\0\0\1\5", 5);

std::string Ask(int fd, const std::string& message, size_t size) {
  EXPECT_EQ(::send(fd, message.data(), message.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(message.size()));
  std::string reply(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t n = ::read(fd, reply.data() + have, size - have);
    if (n <= 0) break;
    have += static_cast<size_t>(n);
  }
  reply.resize(have);
  return reply;
}

TEST(AgentProxyTest, Requests) {
  EXPECT_FALSE(NextAgentRequest(""));
  EXPECT_FALSE(NextAgentRequest(std::string("\0\0\0\2\13", 5)));
  for (int type = 0; type < 256; ++type) {
    const auto request =
        NextAgentRequest(Message(static_cast<char>(type), "x") + "more");
    ASSERT_TRUE(request);
    EXPECT_EQ(request->size, 6u);
    EXPECT_EQ(request->allowed, type == 11 || type == 13) << type;
  }
  EXPECT_THROW(NextAgentRequest(std::string("\0\0\0\0", 4)), Error);
  EXPECT_THROW(NextAgentRequest("\xff\xff\xff\xff"), Error);
  EXPECT_THROW(NextAgentRequest(std::string("\0\4\0\1", 4)), Error);
}

class ProxyTest : public ::testing::Test {
 protected:
  // An agent that answers everything with its own message, type 42.
  void SetUp() override {
    agent_ = std::make_unique<AgentProxyTestAgent>(dir_.path() + "/agent");
  }

  struct AgentProxyTestAgent {
    explicit AgentProxyTestAgent(const std::string& path)
        : listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
      sockaddr_un address = {};
      address.sun_family = AF_UNIX;
      path.copy(address.sun_path, sizeof(address.sun_path) - 1);
      if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) != 0 ||
          ::listen(listener.get(), 4) != 0) {
        std::abort();
      }
      thread = std::thread([this] {
        for (;;) {
          const UniqueFd client(
              ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
          if (!client) return;
          char buffer[4096];
          while (::read(client.get(), buffer, sizeof(buffer)) > 0) {
            const std::string reply = Message(42, "seen");
            if (::send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL) <
                0) {
              break;
            }
            ++asked;
          }
        }
      });
    }
    ~AgentProxyTestAgent() {
      ::shutdown(listener.get(), SHUT_RDWR);
      thread.join();
    }
    UniqueFd listener;
    std::atomic<int> asked{0};
    std::thread thread;
  };

  fs::TempDir dir_ = fs::TempDir::InTmp();
  std::unique_ptr<AgentProxyTestAgent> agent_;
};

TEST_F(ProxyTest, LetsThroughWhatOnlyAsks) {
  {
    const AgentProxy proxy(dir_.path() + "/proxy", dir_.path() + "/agent");
    const UniqueFd client = ConnectUnix(dir_.path() + "/proxy");
    EXPECT_EQ(Ask(client.get(), Message(11), 9), Message(42, "seen"));
    EXPECT_EQ(Ask(client.get(), Message(13, "data"), 9), Message(42, "seen"));
    // Add, remove, remove all, lock, extension.
    for (const char type : {17, 18, 19, 22, 27}) {
      EXPECT_EQ(Ask(client.get(), Message(type, "x"), 5), kFailure);
    }
    EXPECT_EQ(agent_->asked, 2);
    // What breaks the protocol is hung up on.
    EXPECT_EQ(Ask(client.get(), std::string(8, '\xff'), 5), "");
    // Another client does not suffer.
    const UniqueFd other = ConnectUnix(dir_.path() + "/proxy");
    EXPECT_EQ(Ask(other.get(), Message(11), 9), Message(42, "seen"));
  }
  EXPECT_THROW(ConnectUnix(dir_.path() + "/proxy"), Error);
}

TEST_F(ProxyTest, AnAgentThatIsGoneEndsTheConnection) {
  const AgentProxy proxy(dir_.path() + "/proxy", dir_.path() + "/nobody");
  const UniqueFd client = ConnectUnix(dir_.path() + "/proxy");
  EXPECT_EQ(Ask(client.get(), Message(11), 5), "");
}

}  // namespace
}  // namespace imgbuild::build
