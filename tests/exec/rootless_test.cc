#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <iostream>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"

#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

constexpr uid_t kFirstId = 100000;

// Runs `body` in a process that has entered a user namespace with `count` ids
// of its own; the text it returns.
std::string InUserNamespace(unsigned count,
                            const std::function<std::string()>& body) {
  int ready[2];
  int go[2];
  int result[2];
  if (pipe(ready) != 0 || pipe(go) != 0 || pipe(result) != 0) return "pipe";
  pid_t pid = fork();
  if (pid == 0) {
    char byte = 0;
    std::string text;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        write(ready[1], "x", 1) != 1 || read(go[0], &byte, 1) != 1 ||
        setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) {
      text = "cannot enter a user namespace";
    } else {
      try {
        text = body();
      } catch (const Error& error) {
        text = error.Render();
      }
    }
    _exit(write(result[1], text.data(), text.size()) < 0 ? 1 : 0);
  }
  UniqueFd ends[] = {UniqueFd(ready[0]),  UniqueFd(ready[1]),
                     UniqueFd(go[0]),     UniqueFd(go[1]),
                     UniqueFd(result[0]), UniqueFd(result[1])};
  ends[5].reset();
  char byte = 0;
  if (read(ready[0], &byte, 1) == 1) {
    std::string map =
        "0 " + std::to_string(kFirstId) + " " + std::to_string(count) + "\n";
    for (const char* file : {"uid_map", "gid_map"}) {
      UniqueFd fd = fs::Open(
          AT_FDCWD, "/proc/" + std::to_string(pid) + "/" + file, O_WRONLY);
      fs::WriteAll(fd.get(), AsBytes(map), file);
    }
    EXPECT_EQ(write(go[1], "x", 1), 1);
  }
  std::string text = fs::ReadFd(result[0], 1 << 20, "pipe");
  waitpid(pid, nullptr, 0);
  return text;
}

class RootlessTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoContainers(); !why.empty()) {
      GTEST_SKIP() << why;
    }
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer does not go on after a fork";
#endif
    root_ = std::make_unique<BusyboxRoot>();
  }
  // What a container prints that runs with `count` ids.
  std::string Run(unsigned count, ProcessSpec spec) {
    spec.rootfs.user_xattr = true;
    std::string dir = spec.rootfs.upper.substr(0, spec.rootfs.upper.rfind('/'));
    for (const std::string& path :
         {root_->state_dir(), spec.rootfs.upper, spec.rootfs.work, dir}) {
      EXPECT_EQ(chown(path.c_str(), kFirstId, kFirstId), 0);
    }
    std::string top = dir.substr(0, dir.rfind('/'));
    EXPECT_EQ(chmod(top.c_str(), 0755), 0);
    return InUserNamespace(count, [&] {
      std::unique_ptr<Executor> executor =
          NewOciExecutor({root_->state_dir(), ""});
      BusyboxRoot::Outcome outcome = BusyboxRoot::Run(*executor, spec);
      return outcome.out + outcome.err;
    });
  }

  std::unique_ptr<BusyboxRoot> root_;
};

TEST_F(RootlessTest, AContainerRunsWithAFullRangeOfIds) {
  ProcessSpec spec = root_->Spec(
      "id -u; echo x > /f; chown 1000:1001 /f; stat -c '%u %g' /f; "
      "mknod /d c 1 3; cat /etc/hostname");
  EXPECT_EQ(Run(65536, spec),
            "0\n1000 1001\nimgbuild\nmknod: /d: Operation not permitted\n");
}

TEST_F(RootlessTest, AnOrdinaryUserToo) {
  ProcessSpec spec = root_->Spec("id -u; id -g; echo x > /dev/stdout");
  spec.user = {1000, 1000, {}};
  EXPECT_EQ(Run(65536, spec), "1000\n1000\nx\n");
}

TEST_F(RootlessTest, AContainerRunsWithOneId) {
  EXPECT_EQ(Run(1, root_->Spec("id -u; ls -d /proc/1")), "0\n/proc/1\n");
}

TEST_F(RootlessTest, AnIdThatIsNotMappedIsTold) {
  ProcessSpec spec = root_->Spec("true");
  spec.user = {1000, 0, {}};
  EXPECT_EQ(Run(1, spec),
            "error: run: user id 1000 is not mapped into this user namespace\n"
            "   = hint: install uidmap and give the user a range in "
            "/etc/subuid and /etc/subgid, or run as root\n");
}

TEST_F(RootlessTest, TheHostsNetworkCanBeUsed) {
  ProcessSpec spec = root_->Spec("ip -o link | wc -l; mkdir /sys/fs/cgroup/x");
  spec.network = NetworkMode::kHost;
  std::string out = Run(65536, spec);
  EXPECT_THAT(out, testing::EndsWith("mkdir: can't create directory "
                                     "'/sys/fs/cgroup/x': Read-only file "
                                     "system\n"));
}

}  // namespace
}  // namespace imgbuild::exec
