#include "imgbuild/util/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild {
namespace {

ProcessOptions Shell(const std::string& script) {
  ProcessOptions options;
  options.argv = {"/bin/sh", "-c", script};
  return options;
}

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.message();
  }
  return "(no error)";
}

TEST(Process, TellsTheExitCode) {
  Process process = Process::Start(Shell("exit 3"));
  EXPECT_GT(process.pid(), 0);
  EXPECT_EQ(process.Wait().code, 3);
  EXPECT_EQ(process.Wait().ToString(), "exit code 3");  // again
  EXPECT_EQ(process.TryWait()->code, 3);
  process.Kill(SIGKILL);  // no longer anybody's number
}

TEST(Process, TellsTheSignal) {
  Process process = Process::Start(Shell("kill -TERM $$; sleep 100"));
  const ExitStatus status = process.Wait();
  EXPECT_EQ(status.signal, SIGTERM);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.ToString(), "signal 15 (Terminated)");
  EXPECT_EQ((ExitStatus{.code = 0, .signal = 9}).ToString(),
            "signal 9 (Killed)");
}

TEST(Process, TryWaitDoesNotBlock) {
  Process process = Process::Start(Shell("exec sleep 100"));
  EXPECT_EQ(process.TryWait(), std::nullopt);
  process.Kill(SIGKILL);
  EXPECT_EQ(process.Wait().signal, SIGKILL);
}

TEST(Process, DestructorKillsAndReaps) {
  pid_t pid = -1;
  {
    Process process = Process::Start(Shell("exec sleep 100"));
    pid = process.pid();
    Process moved = std::move(process);
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(Process, PassesBackWhyExecFailed) {
  ProcessOptions options;
  options.argv = {"/no/such/program"};
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "exec \"/no/such/program\": no such file or directory");
  options.argv = {"/etc/passwd"};
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "exec \"/etc/passwd\": permission denied");
  options.argv = {"no-such-program-anywhere"};
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "exec \"no-such-program-anywhere\": not found in PATH");
  options.argv = {};
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "start a program: no name given");
  options = Shell("true");
  options.cwd = "/no/such/dir";
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "chdir \"/no/such/dir\": no such file or directory");
  options = Shell("true");
  options.stdout_fd = 9999;
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "set up stdio of \"/bin/sh\": bad file descriptor");
  options = Shell("true");
  options.keep_fds = {9999};
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "pass descriptors to \"/bin/sh\": bad file descriptor");
  options = Shell("true");
  options.before_exec = [] { return EXDEV; };
  EXPECT_EQ(MessageOf([&] { Process::Start(options); }),
            "prepare \"/bin/sh\": invalid cross-device link");
}

TEST(Process, SearchesPath) {
  ProcessOptions options;
  options.argv = {"sh", "-c", "exit 4"};
  EXPECT_EQ(Process::Start(options).Wait().code, 4);
}

TEST(Process, ChildSeesOnlyItsDescriptors) {
  // Not even those without close-on-exec.
  const UniqueFd leaky(::open("/dev/null", O_RDONLY));
  ASSERT_GE(leaky.get(), 3);
  const UniqueFd gap(::fcntl(leaky.get(), F_DUPFD, 40));
  ProcessOptions options;
  options.argv = {"ls", "/proc/self/fd"};
  // 3 is ls's own.
  EXPECT_EQ(RunCommand(options).out, "0\n1\n2\n3\n");
}

TEST(Process, ChildKeepsWhatItIsGiven) {
  const UniqueFd leaky(::open("/dev/null", O_RDONLY));
  UniqueFd low(::fcntl(leaky.get(), F_DUPFD_CLOEXEC, 40));
  UniqueFd high(::fcntl(leaky.get(), F_DUPFD_CLOEXEC, 50));
  // Neighbours of what is kept are not kept.
  const UniqueFd beside_low(::fcntl(leaky.get(), F_DUPFD, low.get() + 1));
  const UniqueFd beside_high(::fcntl(leaky.get(), F_DUPFD, high.get() + 1));
  ProcessOptions options;
  options.argv = {"ls", "/proc/self/fd"};
  options.keep_fds = {high.get(), low.get(), high.get(), 1};
  EXPECT_EQ(RunCommand(options).out, "0\n1\n2\n3\n" +
                                         std::to_string(low.get()) + "\n" +
                                         std::to_string(high.get()) + "\n");
  // In this process they are still close-on-exec.
  EXPECT_EQ(::fcntl(low.get(), F_GETFD), FD_CLOEXEC);
}

TEST(Process, UnsetStdioIsDevNull) {
  ProcessOptions options = Shell(
      "test \"$(readlink /proc/$$/fd/0)\" = /dev/null && "
      "test \"$(readlink /proc/$$/fd/1)\" = /dev/null && "
      "test \"$(readlink /proc/$$/fd/2)\" = /dev/null");
  EXPECT_TRUE(Process::Start(options).Wait().ok());
}

TEST(Process, StdioMayBeSwapped) {
  const fs::TempDir temp = fs::TempDir::InTmp();
  const UniqueFd file =
      fs::Open(temp.fd(), "out", O_RDWR | O_CREAT | O_APPEND, 0600);
  // 1 and 2 of this process go to the child's 2 and 1.
  const UniqueFd saved_out(::fcntl(1, F_DUPFD_CLOEXEC, 10));
  ASSERT_EQ(::dup2(file.get(), 1), 1);
  ProcessOptions options = Shell("echo to-stderr >&2");
  options.stdout_fd = 2;
  options.stderr_fd = 1;
  const ExitStatus status = Process::Start(options).Wait();
  ASSERT_EQ(::dup2(saved_out.get(), 1), 1);
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(fs::ReadFile(temp.fd(), "out", 100), "to-stderr\n");
}

TEST(Process, SetsEnvironmentDirectoryAndSession) {
  ProcessOptions options = Shell(
      "echo $A-$HOME; pwd; echo $$; "
      "read a b c d e sid rest < /proc/self/stat; echo $sid");
  options.env = std::vector<std::string>{"A=b", "PATH=/usr/bin:/bin"};
  options.cwd = "/usr";
  options.new_session = true;
  const CommandResult result = RunCommand(options);
  const auto lines = Split(result.out, '\n');
  ASSERT_GE(lines.size(), 4u);
  EXPECT_EQ(lines[0], "b-");
  EXPECT_EQ(lines[1], "/usr");
  EXPECT_EQ(lines[3], lines[2]);  // it leads its session
}

TEST(Process, InheritsTheEnvironmentByDefault) {
  ::setenv("IMGBUILD_PROCESS_TEST", "yes", 1);
  EXPECT_EQ(RunCommand(Shell("echo $IMGBUILD_PROCESS_TEST")).out, "yes\n");
  ::unsetenv("IMGBUILD_PROCESS_TEST");
  ProcessOptions options = Shell("/usr/bin/env");
  options.env = std::vector<std::string>{};
  EXPECT_EQ(RunCommand(options).out.find("HOME="), std::string::npos);
}

TEST(Process, RestoresSignalsInTheChild) {
  sigset_t set;
  sigset_t before;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &set, &before);
  const auto old_handler = ::signal(SIGPIPE, SIG_IGN);
  Process process = Process::Start(Shell("kill -PIPE $$; exit 7"));
  const ExitStatus pipe_status = process.Wait();
  const ExitStatus term_status =
      Process::Start(Shell("kill -TERM $$; exit 7")).Wait();
  ::signal(SIGPIPE, old_handler);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(pipe_status.signal, SIGPIPE);
  EXPECT_EQ(term_status.signal, SIGTERM);
}

TEST(Process, ChildDiesWithItsThread) {
  std::optional<Process> process;
  std::thread([&] {
    process = Process::Start(Shell("exec sleep 100"));
  }).join();
  EXPECT_EQ(process->Wait().signal, SIGKILL);
}

TEST(RunCommand, FeedsAndCaptures) {
  const std::string input(1'000'000, 'i');
  const CommandResult result =
      RunCommand(Shell("cat; echo err >&2; exit 2"), input, 2'000'000);
  EXPECT_EQ(result.status.code, 2);
  EXPECT_EQ(result.out, input);
  EXPECT_EQ(result.err, "err\n");
}

TEST(RunCommand, CutsAtTheCapWithoutStalling) {
  const CommandResult result = RunCommand(
      Shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"), "",
      100);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.out.size(), 100u);
  EXPECT_EQ(result.err.size(), 100u);
}

TEST(RunCommand, SurvivesAProgramThatDoesNotRead) {
  const std::string input(1'000'000, 'i');
  const CommandResult result = RunCommand(Shell("exec 0<&-; exit 5"), input);
  EXPECT_EQ(result.status.code, 5);
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

TEST(RunCommand, EndsWithTheChildAndNotWithItsOutput) {
  const auto begin = std::chrono::steady_clock::now();
  const CommandResult result = RunCommand(Shell("sleep 30 & echo done"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.out, "done\n");
}

// Gone, or a zombie that only init has to collect.
bool IsDead(pid_t pid) {
  const auto stat = fs::ReadFileIfExists(
      AT_FDCWD, "/proc/" + std::to_string(pid) + "/stat", 4096);
  return !stat || stat->find(") Z ") != std::string::npos;
}

TEST(RunCommand, CancellationKillsTheWholeGroup) {
  const fs::TempDir temp = fs::TempDir::InTmp();
  CancelToken token;
  std::thread thread([&] {
    // Not before the grandchild runs.
    while (!fs::LstatIfExists(temp.fd(), "ready")) std::this_thread::yield();
    token.Cancel();
  });
  ProcessOptions options =
      Shell("sleep 60 & echo $! > pid; mv pid ready; wait; echo unreachable");
  options.cwd = temp.path();
  options.new_session = true;
  EXPECT_EQ(MessageOf([&] { RunCommand(options, "", 100, &token); }),
            "interrupted");
  thread.join();
  const auto pid = ParseInt(Trim(fs::ReadFile(temp.fd(), "ready", 100)));
  ASSERT_TRUE(pid.has_value());
  // The signal is sent; dying takes a moment.
  for (int i = 0; i < 500 && !IsDead(static_cast<pid_t>(*pid)); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(IsDead(static_cast<pid_t>(*pid)));
}

TEST(FindProgram, LooksInPath) {
  const auto sh = FindProgram("sh");
  ASSERT_TRUE(sh.has_value());
  EXPECT_EQ(sh->front(), '/');
  EXPECT_EQ(FindProgram("no-such-program-anywhere"), std::nullopt);
  EXPECT_EQ(FindProgram(""), std::nullopt);
  EXPECT_EQ(FindProgram("/etc/passwd"), std::nullopt);
  EXPECT_TRUE(FindProgram("/bin/sh").has_value());
}

TEST(FindProgram, PassesOverRelativeEntriesAndDirectories) {
  const fs::TempDir temp = fs::TempDir::InTmp();
  fs::WriteFileAtomic(temp.fd(), "tool", "#!/bin/sh\n", 0755);
  fs::MakeDir(temp.fd(), "dir", 0755);
  const std::string old_path = std::getenv("PATH");
  const std::string old_cwd = fs::PathOfFd(AT_FDCWD);
  ASSERT_EQ(::fchdir(temp.fd()), 0);
  ::setenv("PATH", "::.:bin", 1);
  EXPECT_EQ(FindProgram("tool"), std::nullopt);
  ::setenv("PATH", ("/nowhere:" + temp.path()).c_str(), 1);
  EXPECT_EQ(FindProgram("tool"), temp.path() + "/tool");
  EXPECT_EQ(FindProgram("dir"), std::nullopt);
  ::setenv("PATH", old_path.c_str(), 1);
  ASSERT_EQ(::chdir(old_cwd.c_str()), 0);
}

}  // namespace
}  // namespace imgbuild
