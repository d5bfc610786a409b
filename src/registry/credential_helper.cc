#include "registry/credential_helper.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "registry/http_headers.h"

namespace imgbuild::registry {
namespace {

constexpr std::chrono::seconds kTimeout{30};
constexpr size_t kMaxAnswer = 1u << 20;

// Cancels a token after a while, unless it is destroyed before.
class Deadline {
 public:
  Deadline(CancelToken token, std::chrono::seconds after)
      : thread_([this, token, after]() mutable {
          std::unique_lock lock(mutex_);
          if (!over_.wait_for(lock, after, [this] { return done_; })) {
            token.Cancel();
          }
        }) {}
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    over_.notify_all();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;
  std::thread thread_;
};

// A name from a file of the user's; a slash would run something else.
std::string ProgramOf(const std::string& helper) {
  const bool is_plain =
      !helper.empty() &&
      helper.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
          "+") == std::string::npos;
  if (!is_plain) {
    throw Error(ErrorCode::kHost,
                "credential helper " + Quoted(helper) + ": not a valid name");
  }
  return "docker-credential-" + helper;
}

CommandResult Run(const std::string& helper, const std::string& verb,
                  const std::string& input) {
  const std::string program = ProgramOf(helper);
  if (!FindProgram(program)) {
    throw Error(ErrorCode::kHost, program + ": not found in PATH");
  }
  CancelToken token;
  const Deadline deadline(token, kTimeout);
  try {
    ProcessOptions options;
    options.argv = {program, verb};
    return RunCommand(options, input, kMaxAnswer, &token);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    throw Error(ErrorCode::kHost, program + ": no answer for 30 seconds");
  }
}

bool SaysNotFound(const CommandResult& result) {
  return (result.out + result.err).find("credentials not found") !=
         std::string::npos;
}

Error Failed(const std::string& helper, const std::string& verb,
             const CommandResult& result) {
  // stdout may hold a secret, stderr is for people.
  std::string text(Trim(result.err));
  text = Printable(text.substr(0, text.find('\n')), 200);
  return Error(ErrorCode::kHost, "docker-credential-" + helper + " " + verb +
                                     ": " + result.status.ToString() +
                                     (text.empty() ? "" : ": ") + text);
}

}  // namespace

std::optional<Credentials> HelperGet(const std::string& helper,
                                     const std::string& server) {
  const CommandResult result = Run(helper, "get", server);
  if (!result.status.ok()) {
    if (SaysNotFound(result)) return std::nullopt;
    throw Failed(helper, "get", result);
  }
  const auto json = nlohmann::json::parse(result.out, nullptr, false);
  const auto text = [&json](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>()
                                                     : std::string();
  };
  if (!json.is_object()) {
    throw Error(ErrorCode::kHost,
                "docker-credential-" + helper + " get: malformed answer");
  }
  const std::string username = text("Username");
  const std::string secret = text("Secret");
  if (username.empty() && secret.empty()) return std::nullopt;
  Credentials credentials;
  credentials.source = "docker-credential-" + helper;
  if (username == "<token>") {
    credentials.identity_token = secret;
  } else {
    credentials.username = username;
    credentials.password = secret;
  }
  return credentials;
}

void HelperStore(const std::string& helper, const std::string& server,
                 const Credentials& credentials) {
  const bool is_token = !credentials.identity_token.empty();
  const nlohmann::json json = {
      {"ServerURL", server},
      {"Username", is_token ? "<token>" : credentials.username},
      {"Secret", is_token ? credentials.identity_token : credentials.password}};
  const CommandResult result = Run(helper, "store", json.dump());
  if (!result.status.ok()) throw Failed(helper, "store", result);
}

bool HelperErase(const std::string& helper, const std::string& server) {
  const CommandResult result = Run(helper, "erase", server);
  if (result.status.ok()) return true;
  if (SaysNotFound(result)) return false;
  throw Failed(helper, "erase", result);
}

}  // namespace imgbuild::registry
