#include "exec/exit_status.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <csignal>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

namespace imgbuild::exec {
namespace {

// Both runtimes end with 1 when they fail themselves.
constexpr int kRuntimeFailed = 1;

// The last message of level error, "" when there is none.
std::string LastError(std::string_view log) {
  std::string last;
  for (const std::string& line : Split(log, '\n')) {
    nlohmann::json entry =
        nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object()) continue;
    auto level = entry.find("level");
    auto message = entry.find("msg");
    if (level == entry.end() || *level != "error") continue;
    if (message == entry.end() || !message->is_string()) continue;
    last = message->get<std::string>();
  }
  return last;
}

std::string Clean(std::string message) {
  for (std::string_view prefix :
       {"runc run failed: ", "unable to start container process: ",
        "error during container init: "}) {
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
  }
  // crun quotes with back-quotes.
  for (char& c : message) {
    if (c == '`') c = '"';
  }
  return message;
}

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// 127 or 126 when the message is about the program, else 0.
int ProgramFailure(const std::string& message) {
  bool about_program =
      message.starts_with("exec") || Has(message, "open executable");
  if (!about_program) return 0;
  std::string lower = ToLower(message);
  if (Has(lower, "not found") || Has(lower, "no such file")) return 127;
  return 126;
}

}  // namespace

ExitResult DecodeStartFailure(const std::string& message,
                              std::string_view runtime_name) {
  std::string clean = Clean(message);
  if (int code = ProgramFailure(clean); code != 0) {
    ExitResult result;
    result.exit_code = code;
    result.start_error = std::move(clean);
    return result;
  }
  throw Error(ErrorCode::kHost,
              fmt::format("start container: {}: {}", runtime_name, clean));
}

ExitResult DecodeExit(int status, std::string_view log,
                      std::string_view runtime_name) {
  ExitResult result;
  if (WIFSIGNALED(status)) {
    result.signal = WTERMSIG(status);
    result.exit_code = 128 + result.signal;
    return result;
  }
  result.exit_code = WEXITSTATUS(status);
  if (result.exit_code == kRuntimeFailed) {
    std::string message = LastError(log);
    if (Clean(message).empty()) return result;
    return DecodeStartFailure(message, runtime_name);
  }
  if (result.exit_code > 128 && result.exit_code <= 128 + SIGRTMAX) {
    result.signal = result.exit_code - 128;
  }
  return result;
}

}  // namespace imgbuild::exec
