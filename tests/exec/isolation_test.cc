#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"

#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class IsolationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoContainers(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    root_ = std::make_unique<BusyboxRoot>();
    executor_ = NewOciExecutor({root_->state_dir(), ""});
  }
  BusyboxRoot::Outcome Run(const ProcessSpec& spec) {
    return BusyboxRoot::Run(*executor_, spec);
  }
  BusyboxRoot::Outcome Run(const std::string& command) {
    return Run(root_->Spec(command));
  }
  std::string Status(const ProcessSpec& spec) { return Run(spec).out; }

  std::unique_ptr<BusyboxRoot> root_;
  std::unique_ptr<Executor> executor_;
};

// T29: nothing inheritable or ambient; Docker's fourteen for root.
TEST_F(IsolationTest, RootHasTheDefaultCapabilities) {
  EXPECT_EQ(Status(root_->Spec("grep -E 'Cap|NoNewPrivs|Seccomp:' "
                               "/proc/self/status")),
            "CapInh:\t0000000000000000\n"
            "CapPrm:\t00000000a80425fb\n"
            "CapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\n"
            "CapAmb:\t0000000000000000\n"
            "NoNewPrivs:\t0\n"
            "Seccomp:\t2\n");
}

TEST_F(IsolationTest, AnOrdinaryUserHasNoCapabilities) {
  ProcessSpec spec = root_->Spec("grep -E 'Cap[IPE]|CapAmb' /proc/self/status");
  spec.user = {1000, 1000, {}};
  EXPECT_EQ(Status(spec),
            "CapInh:\t0000000000000000\n"
            "CapPrm:\t0000000000000000\n"
            "CapEff:\t0000000000000000\n"
            "CapAmb:\t0000000000000000\n");
}

TEST_F(IsolationTest, NoNewPrivilegesIsSetWhenAsked) {
  ProcessSpec spec = root_->Spec("grep NoNewPrivs /proc/self/status");
  spec.no_new_privileges = true;
  EXPECT_EQ(Status(spec), "NoNewPrivs:\t1\n");
}

TEST_F(IsolationTest, SystemCallsOutsideTheProfileFail) {
  // unshare needs CAP_SYS_ADMIN for some, the filter forbids all.
  BusyboxRoot::Outcome outcome = Run("unshare -U true");
  EXPECT_NE(outcome.result.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("Operation not permitted"));
}

TEST_F(IsolationTest, MountsAreRefused) {
  BusyboxRoot::Outcome outcome = Run("mount -t tmpfs x /tmp");
  EXPECT_NE(outcome.result.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("ermi"));
}

// A device node can be made, and opened only if it is one of the harmless.
TEST_F(IsolationTest, ForeignDevicesCannotBeOpened) {
  BusyboxRoot::Outcome outcome =
      Run("mknod /tun c 10 200 && cat /tun; mknod /disk b 254 0 && cat /disk; "
          "mknod /null c 1 3 && cat /null; echo $?");
  EXPECT_EQ(outcome.out, "0\n");
  EXPECT_EQ(outcome.err,
            "cat: can't open '/tun': Operation not permitted\n"
            "cat: can't open '/disk': Operation not permitted\n");
}

TEST_F(IsolationTest, TheUsualDevicesWork) {
  BusyboxRoot::Outcome outcome =
      Run("echo x > /dev/null && head -c 4 /dev/zero | wc -c && "
          "head -c 4 /dev/urandom | wc -c && ls /dev");
  EXPECT_EQ(outcome.out,
            "4\n4\ncore\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\n"
            "stderr\nstdin\nstdout\ntty\nurandom\nzero\n")
      << outcome.err;
}

// T32.
TEST_F(IsolationTest, SysAndCgroupsAreReadOnly) {
  BusyboxRoot::Outcome outcome =
      Run("mkdir /sys/fs/cgroup/x; mkdir /sys/x; "
          "echo 1 > /proc/sys/kernel/domainname");
  EXPECT_NE(outcome.result.exit_code, 0);
  EXPECT_EQ(outcome.err,
            "mkdir: can't create directory '/sys/fs/cgroup/x': Read-only file "
            "system\n"
            "mkdir: can't create directory '/sys/x': Read-only file system\n"
            "/bin/sh: can't create /proc/sys/kernel/domainname: Read-only file "
            "system\n");
}

TEST_F(IsolationTest, SecretsOfTheKernelAreMasked) {
  BusyboxRoot::Outcome outcome =
      Run("head -c 10 /proc/kcore | wc -c; cat /proc/keys | wc -c; "
          "ls /sys/firmware | wc -l; ls /proc/scsi 2>/dev/null | wc -l");
  EXPECT_EQ(outcome.out, "0\n0\n0\n0\n");
}

TEST_F(IsolationTest, OtherProcessesCannotBeSeen) {
  // The header, sh and ps. (A pipe's other end may start before or after ps.)
  BusyboxRoot::Outcome outcome =
      Run("all=$(ps -o pid,comm); echo \"$all\" | wc -l; echo $$");
  EXPECT_EQ(outcome.out, "3\n1\n");
}

TEST_F(IsolationTest, PrivilegedDropsTheRestrictions) {
  ProcessSpec spec = root_->Spec(
      "grep Seccomp: /proc/self/status; mkdir -p /tmp/m; "
      "mount -t tmpfs x /tmp/m && umount /tmp/m && echo mounted; "
      "mkdir /sys/fs/cgroup/x 2>/dev/null && rmdir /sys/fs/cgroup/x; "
      "echo imgbuild > /proc/sys/kernel/hostname && echo written");
  spec.privileged = true;
  BusyboxRoot::Outcome outcome = Run(spec);
  EXPECT_EQ(outcome.out, "Seccomp:\t0\nmounted\nwritten\n") << outcome.err;
}

TEST_F(IsolationTest, CapabilitiesCanBeAddedAndDropped) {
  ProcessSpec spec = root_->Spec("grep CapEff /proc/self/status");
  spec.cap_drop = {"ALL"};
  spec.cap_add = {"CHOWN"};
  EXPECT_EQ(Status(spec), "CapEff:\t0000000000000001\n");
}

// ---- Networks ----

TEST_F(IsolationTest, NetworkNoneHasALoopbackAlone) {
  BusyboxRoot::Outcome outcome =
      Run("ip -o addr | sed 's/ *\\\\.*//'; ip route; cat /etc/resolv.conf");
  EXPECT_EQ(outcome.out,
            "1: lo    inet 127.0.0.1/8 scope host lo\n"
            "1: lo    inet6 ::1/128 scope host\n")
      << outcome.err;
}

// Says "hello" to whoever connects to the host's loopback.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    listen(fd_.get(), 5);
    socklen_t size = sizeof address;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] {
      while (true) {
        UniqueFd peer(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!peer) return;
        fs::WriteAll(peer.get(), AsBytes("hello\n"), "socket");
      }
    });
  }
  ~Listener() {
    shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  const std::string& port() const { return port_; }

 private:
  UniqueFd fd_;
  std::string port_;
  std::thread thread_;
};

TEST_F(IsolationTest, NetworkHostSharesTheHosts) {
  Listener listener;
  ProcessSpec spec = root_->Spec("timeout 5 nc 127.0.0.1 " + listener.port());
  spec.network = NetworkMode::kHost;
  EXPECT_EQ(Run(spec).out, "hello\n");
}

TEST_F(IsolationTest, TheDefaultNetworkDoesNotReachTheHostsLoopback) {
  if (!FindProgram("pasta")) GTEST_SKIP() << "pasta is not installed";
  Listener listener;
  // Neither as its own loopback nor as the gateway.
  ProcessSpec spec = root_->Spec(
      "gw=$(ip route | sed -n 's/^default via \\([^ ]*\\) .*/\\1/p'); "
      "for a in 127.0.0.1 $gw; do timeout 2 nc $a " +
      listener.port() + "; done; echo end");
  spec.network = NetworkMode::kDefault;
  BusyboxRoot::Outcome outcome = Run(spec);
  EXPECT_EQ(outcome.out, "end\n") << outcome.err;
}

TEST_F(IsolationTest, TheDefaultNetworkHasTheHostsRoute) {
  if (!FindProgram("pasta")) GTEST_SKIP() << "pasta is not installed";
  ProcessSpec host = root_->Spec("ip route | grep -c ^default");
  host.network = NetworkMode::kHost;
  if (Run(host).out != "1\n") GTEST_SKIP() << "the host has no single route";
  ProcessSpec spec = root_->Spec(
      "ip route | grep -c ^default; grep -c nameserver /etc/resolv.conf");
  spec.network = NetworkMode::kDefault;
  EXPECT_THAT(Run(spec).out, testing::StartsWith("1\n"));
  // The second run is in the same namespace.
  EXPECT_THAT(Run(spec).out, testing::StartsWith("1\n"));
}

TEST_F(IsolationTest, WithoutPastaTheDefaultNetworkTellsWhatToDo) {
  std::optional<std::string> runtime = FindProgram("crun");
  if (!runtime) GTEST_SKIP() << "crun is not installed";
  executor_ = NewOciExecutor({root_->state_dir(), *runtime});
  ProcessSpec host = root_->Spec("ip route | grep -c ^default");
  host.network = NetworkMode::kHost;
  if (Run(host).out != "1\n") GTEST_SKIP() << "the host has no single route";
  ProcessSpec spec = root_->Spec("true");
  spec.network = NetworkMode::kDefault;
  std::string path = getenv("PATH");
  setenv("PATH", "/nonexistent", 1);
  try {
    Run(spec);
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(),
              "network: pasta is not installed, and a container's own network "
              "needs it");
    EXPECT_EQ(error.hint(),
              "apt-get install passt, or use --network=none or "
              "--network=host");
  }
  setenv("PATH", path.c_str(), 1);
  // Nothing is remembered: it works once pasta is there.
  EXPECT_EQ(Run(spec).result.exit_code, 0);
}

// ---- T31: images with links where the kernel's places should be ----

TEST_F(IsolationTest, LinksInPlaceOfTheKernelsPlacesStayInTheRoot) {
  std::string outside = root_->MakeOutside("target");
  for (const char* place : {"proc", "sys", "dev"}) {
    BusyboxRoot image;
    image.Link("../../../../../../../.." + outside, place);
    try {
      // Either refused, or mounted inside of the root.
      BusyboxRoot::Run(*executor_, image.Spec("true"));
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr("start container")) << place;
    }
    UniqueFd dir = fs::OpenDir(AT_FDCWD, outside);
    EXPECT_THAT(fs::ListDir(dir.get()), IsEmpty()) << place;
  }
}

TEST_F(IsolationTest, LinksInPlaceOfInjectedFilesStayInTheRoot) {
  std::string outside = root_->MakeOutside("files");
  root_->WriteFile(outside + "/victim", "untouched\n");
  root_->Link(outside + "/victim", "etc/hosts");
  root_->Link("../../../../../../../.." + outside + "/victim", "etc/hostname");
  root_->Link(outside, "run");
  root_->Link("../run/resolv.conf", "etc/resolv.conf");
  BusyboxRoot::Outcome outcome = Run("cat /etc/hostname; cat /etc/resolv.conf");
  EXPECT_EQ(outcome.result.exit_code, 0) << outcome.err;
  UniqueFd dir = fs::OpenDir(AT_FDCWD, outside);
  EXPECT_THAT(fs::ListDir(dir.get()), testing::ElementsAre("victim"));
  EXPECT_EQ(fs::ReadFile(dir.get(), "victim", 100), "untouched\n");
}

// T20: nothing is cleaned up, so nothing can be cleaned up in a wrong place.
TEST_F(IsolationTest, ReplacingAMountPointsParentTouchesNothingOutside) {
  std::string outside = root_->MakeOutside("cleanup");
  root_->WriteFile(outside + "/resolv.conf", "keep\n");
  root_->WriteFile("etc/passwd", "root:x:0:0::/:/bin/sh\n");
  ProcessSpec spec = root_->Spec("mv /etc /etc2; ln -s " + outside +
                                 " /etc; echo user > /etc2/mine; true");
  Run(spec);
  UniqueFd dir = fs::OpenDir(AT_FDCWD, outside);
  EXPECT_EQ(fs::ReadFile(dir.get(), "resolv.conf", 100), "keep\n");
}

// T27: nothing of the image is loaded by us.
TEST_F(IsolationTest, HostilePlaceholdersInTheImageAreNotRun) {
  for (const char* path : {"lib/x86_64-linux-gnu/libnss_files.so.2",
                           "usr/sbin/crun", "usr/bin/pasta", "bin/unpigz"}) {
    root_->WriteFile(path, "#!/bin/sh\ntouch /ran\n", 0755);
  }
  ProcessSpec spec = root_->Spec("true");
  EXPECT_EQ(Run(spec).result.exit_code, 0);
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

}  // namespace
}  // namespace imgbuild::exec
