#include "exec/exit_status.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::exec {
namespace {

constexpr int Exited(int code) { return code << 8; }

std::string Log(const std::string& message) {
  return R"({"msg":")" + message +
         R"(","level":"error","time":"2026-01-01T00:00:00Z"})" + "\n";
}

TEST(ExitStatusTest, TheCommandsOwnCodesPass) {
  for (int code : {0, 1, 2, 7, 125, 126, 127, 128}) {
    ExitResult result = DecodeExit(Exited(code), "", "crun");
    EXPECT_EQ(result.exit_code, code);
    EXPECT_EQ(result.signal, 0);
    EXPECT_EQ(result.start_error, "");
  }
}

TEST(ExitStatusTest, CodesAbove128AreSignals) {
  EXPECT_EQ(DecodeExit(Exited(137), "", "crun").signal, 9);
  EXPECT_EQ(DecodeExit(Exited(143), "", "crun").signal, 15);
  EXPECT_EQ(DecodeExit(Exited(255), "", "crun").signal, 0);
}

TEST(ExitStatusTest, AKilledRuntimeIsASignal) {
  ExitResult result = DecodeExit(9, "", "crun");
  EXPECT_EQ(result.exit_code, 137);
  EXPECT_EQ(result.signal, 9);
}

struct StartCase {
  const char* message;
  int code;
  const char* reason;
};

TEST(ExitStatusTest, StartFailuresOfBothRuntimes) {
  const StartCase cases[] = {
      {"executable file `nosuch` not found in $PATH: No such file or directory",
       127,
       "executable file \"nosuch\" not found in $PATH: No such file or "
       "directory"},
      {"open executable: Operation not permitted", 126,
       "open executable: Operation not permitted"},
      {"exec container process `/x`: Exec format error", 126,
       "exec container process \"/x\": Exec format error"},
      {"runc run failed: unable to start container process: exec: "
       "\\\"nosuch\\\": executable file not found in $PATH",
       127, "exec: \"nosuch\": executable file not found in $PATH"},
      {"runc run failed: unable to start container process: exec: "
       "\\\"/etc\\\": permission denied",
       126, "exec: \"/etc\": permission denied"},
  };
  for (const StartCase& test : cases) {
    ExitResult result = DecodeExit(Exited(1), Log(test.message), "crun");
    EXPECT_EQ(result.exit_code, test.code) << test.message;
    EXPECT_EQ(result.start_error, test.reason);
  }
}

TEST(ExitStatusTest, OtherFailuresAreTheHosts) {
  try {
    DecodeExit(Exited(1), Log("mount `proc` to `proc`: Permission denied"),
               "crun");
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(),
              "start container: crun: mount \"proc\" to "
              "\"proc\": Permission denied");
  }
}

TEST(ExitStatusTest, WarningsAndNoiseAreNoFailure) {
  std::string log =
      "not json\n{\"level\":\"warning\",\"msg\":\"careful\"}\n[1]\n"
      "{\"level\":\"error\"}\n{\"level\":\"error\",\"msg\":3}\n";
  ExitResult result = DecodeExit(Exited(1), log, "runc");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.start_error, "");
}

TEST(ExitStatusTest, ALogDoesNotTurnAnotherCodeIntoAFailure) {
  EXPECT_EQ(DecodeExit(Exited(3), Log("exec: x"), "crun").start_error, "");
}

}  // namespace
}  // namespace imgbuild::exec
