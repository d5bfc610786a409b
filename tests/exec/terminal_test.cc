#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <thread>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"

#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

using testing::HasSubstr;

class TerminalTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoContainers(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    root_ = std::make_unique<BusyboxRoot>();
    executor_ = NewOciExecutor({root_->state_dir(), ""});
    int master = -1;
    int slave = -1;
    winsize size{33, 101, 0, 0};
    ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
    user_.reset(master);
    tty_.reset(slave);
    fcntl(master, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
  }
  ExecIo Io() {
    ExecIo io;
    io.terminal = true;
    io.stdin_fd = tty_.get();
    io.user_tty_fd = tty_.get();
    io.on_output = [this](int stream, std::string_view bytes) {
      EXPECT_EQ(stream, 1);
      out_.append(bytes);
    };
    return io;
  }
  bool IsRaw() {
    termios now{};
    tcgetattr(tty_.get(), &now);
    return (now.c_lflag & ICANON) == 0;
  }

  std::unique_ptr<BusyboxRoot> root_;
  std::unique_ptr<Executor> executor_;
  UniqueFd user_;  // the user's end of the user's terminal
  UniqueFd tty_;
  std::string out_;
};

TEST_F(TerminalTest, TheStreamsAreATerminalOfTheUsersSize) {
  ExitResult result =
      executor_->Run(root_->Spec("test -t 0 && test -t 1 && test -t 2 && "
                                 "tty && stty size; exit 4"),
                     Io(), CancelToken());
  EXPECT_EQ(out_, "/dev/pts/0\r\n33 101\r\n");
  EXPECT_EQ(result.exit_code, 4);
}

TEST_F(TerminalTest, TheUsersTerminalIsRawMeanwhileAndRestored) {
  ASSERT_FALSE(IsRaw());
  bool raw = false;
  ExecIo io = Io();
  io.on_output = [&](int, std::string_view) { raw = IsRaw(); };
  executor_->Run(root_->Spec("echo x"), io, CancelToken());
  EXPECT_TRUE(raw);
  EXPECT_FALSE(IsRaw());
}

TEST_F(TerminalTest, TheTerminalIsRestoredAfterACancellation) {
  CancelToken cancel;
  ExecIo io = Io();
  io.on_output = [&](int, std::string_view) { cancel.Cancel(); };
  EXPECT_THROW(executor_->Run(root_->Spec("echo x; sleep 1000"), io, cancel),
               Error);
  EXPECT_FALSE(IsRaw());
}

TEST_F(TerminalTest, TypedInputArrivesAndIsEchoed) {
  ExecIo io = Io();
  io.on_output = [&](int, std::string_view bytes) {
    out_.append(bytes);
    if (out_ == "ready\r\n") {
      fs::WriteAll(user_.get(), AsBytes("typed\r"), "terminal");
    }
  };
  executor_->Run(root_->Spec("echo ready; read line; echo got $line"), io,
                 CancelToken());
  EXPECT_EQ(out_, "ready\r\ntyped\r\ngot typed\r\n");
}

TEST_F(TerminalTest, ControlCInterruptsTheCommandInTheContainer) {
  ExecIo io = Io();
  io.on_output = [&](int, std::string_view bytes) {
    out_.append(bytes);
    if (out_ == "ready\r\n") {
      fs::WriteAll(user_.get(), AsBytes("\x03"), "terminal");
    }
  };
  ExitResult result =
      executor_->Run(root_->Spec("trap 'echo int; exit 9' INT; echo ready; "
                                 "while true; do sleep 0.05; done"),
                     io, CancelToken());
  EXPECT_EQ(result.exit_code, 9);
  EXPECT_THAT(out_, HasSubstr("int\r\n"));
}

TEST_F(TerminalTest, TheWindowIsFollowed) {
  ExecIo io = Io();
  io.on_output = [&](int, std::string_view bytes) {
    out_.append(bytes);
    if (out_ == "ready\r\n") {
      winsize size{50, 60, 0, 0};
      ioctl(user_.get(), TIOCSWINSZ, &size);
    }
  };
  executor_->Run(root_->Spec("trap 'stty size; exit 0' WINCH; echo ready; "
                             "while true; do sleep 0.05; done"),
                 io, CancelToken());
  EXPECT_EQ(out_, "ready\r\n50 60\r\n");
}

TEST_F(TerminalTest, APipedInputEndsTheTerminalsInput) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]);
  {
    UniqueFd write_end(ends[1]);
    fs::WriteAll(write_end.get(), AsBytes("one\n"), "pipe");
  }
  ExecIo io = Io();
  io.stdin_fd = read_end.get();
  io.user_tty_fd = -1;
  ExitResult result = executor_->Run(root_->Spec("stty -echo; cat; echo end"),
                                     io, CancelToken());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(out_, HasSubstr("end\r\n"));
}

}  // namespace
}  // namespace imgbuild::exec
