#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::fs {
namespace {

class RemoveTreeTest : public testing::Test {
 protected:
  int dir() const { return temp_.fd(); }
  bool Exists(const std::string& name) {
    return LstatIfExists(dir(), name).has_value();
  }
  TempDir temp_ = TempDir::InTmp("imgbuild-remove-test-");
};

TEST_F(RemoveTreeTest, RemovesEverything) {
  MakeDirs(dir(), "t/a/b", 0755);
  WriteFileAtomic(dir(), "t/a/f", "x");
  ASSERT_EQ(::mkfifoat(dir(), "t/fifo", 0600), 0);
  ASSERT_EQ(::symlinkat("nowhere", dir(), "t/dangling"), 0);
  RemoveTree(dir(), "t");
  EXPECT_TRUE(ListDir(dir()).empty());
}

TEST_F(RemoveTreeTest, AbsentIsFine) {
  RemoveTree(dir(), "none");
  RemoveTree(dir(), "none/deeper");
  RemoveTree(AT_FDCWD, temp_.path() + "/none");
}

TEST_F(RemoveTreeTest, RemovesFilesAndLinksByThemselves) {
  WriteFileAtomic(dir(), "f", "x");
  ASSERT_EQ(::symlinkat("f", dir(), "link"), 0);
  RemoveTree(dir(), "link");
  EXPECT_FALSE(Exists("link"));
  EXPECT_TRUE(Exists("f"));
  RemoveTree(dir(), "f");
  EXPECT_FALSE(Exists("f"));
}

TEST_F(RemoveTreeTest, TakesPaths) {
  MakeDirs(dir(), "a/t/x", 0755);
  RemoveTree(dir(), "a/t/");
  EXPECT_TRUE(Exists("a"));
  EXPECT_FALSE(Exists("a/t"));
  MakeDirs(dir(), "a/t/x", 0755);
  RemoveTree(AT_FDCWD, temp_.path() + "/a/t");
  EXPECT_FALSE(Exists("a/t"));
}

TEST_F(RemoveTreeTest, DoesNotFollowLinks) {
  MakeDirs(dir(), "keep/sub", 0755);
  WriteFileAtomic(dir(), "keep/sub/f", "x");
  MakeDir(dir(), "t", 0755);
  ASSERT_EQ(::symlinkat("../keep", dir(), "t/link"), 0);
  ASSERT_EQ(::symlinkat(temp_.path().c_str(), dir(), "t/absolute"), 0);
  RemoveTree(dir(), "t");
  EXPECT_FALSE(Exists("t"));
  EXPECT_TRUE(Exists("keep/sub/f"));
}

TEST_F(RemoveTreeTest, RefusesWhatIsNoEntry) {
  for (const char* name : {"", ".", "..", "/", "a/..", "a/."}) {
    try {
      RemoveTree(dir(), name);
      FAIL() << name;
    } catch (const Error& e) {
      EXPECT_EQ(e.message(), "remove \"" + std::string(name) +
                                 "\": not the name of an entry");
    }
  }
}

// Makes `depth` directories inside each other, the last one with a file.
void MakeDeep(int parent, const std::string& name, int depth) {
  MakeDir(parent, name, 0755);
  UniqueFd at = OpenDir(parent, name);
  for (int i = 0; i < depth; ++i) {
    MakeDir(at.get(), "a-name-of-20-letters", 0755);
    at = OpenDir(at.get(), "a-name-of-20-letters");
  }
  Open(at.get(), "f", O_WRONLY | O_CREAT, 0600);
}

TEST_F(RemoveTreeTest, DepthCostsNeitherStackNorDescriptors) {
  MakeDeep(dir(), "t", 500);  // a path of 10,000 bytes
  MakeDeep(dir(), "u", 33);
  rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 128;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  EXPECT_NO_THROW(RemoveTree(dir(), "t"));
  EXPECT_NO_THROW(RemoveTree(dir(), "u"));
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(ListDir(dir()).empty());
}

// Runs `body` in a child, as nobody if `drop`; true when it returned true.
bool InChild(bool drop, const std::function<bool()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    bool ok = !drop || ::geteuid() != 0 ||
              (::setgid(65534) == 0 && ::setuid(65534) == 0);
    try {
      ok = ok && body();
    } catch (const Error& e) {
      ::fprintf(stderr, "%s", e.Render().c_str());
      ok = false;
    }
    ::_exit(ok ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(RemoveTreeTest, OpensLockedDirectoriesWithoutRoot) {
  ASSERT_EQ(::fchmod(dir(), 0777), 0);
  EXPECT_TRUE(InChild(true, [&] {
    MakeDirs(dir(), "t/no-write/sub", 0755);
    MakeDirs(dir(), "t/nothing/sub", 0755);
    WriteFileAtomic(dir(), "t/nothing/sub/f", "x");
    ::fchmodat(dir(), "t/no-write", 0500, 0);
    ::fchmodat(dir(), "t/nothing/sub", 0, 0);
    ::fchmodat(dir(), "t/nothing", 0, 0);
    ::fchmodat(dir(), "t", 0500, 0);
    RemoveTree(dir(), "t");
    return !Exists("t");
  }));
}

TEST_F(RemoveTreeTest, StopsAtMounts) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount";
  MakeDirs(dir(), "t/sub/mnt", 0755);
  MakeDirs(dir(), "precious", 0755);
  WriteFileAtomic(dir(), "precious/f", "x");
  const std::string path = temp_.path();
  EXPECT_TRUE(InChild(false, [&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0) {
      return true;  // not allowed here: nothing to see
    }
    // A bind mount has the same device number: only the kernel can tell.
    if (::mount((path + "/precious").c_str(), (path + "/t/sub/mnt").c_str(), "",
                MS_BIND, nullptr) != 0) {
      return true;
    }
    // The old descriptor is of the namespace's copy of the same mount.
    const UniqueFd here = OpenDir(AT_FDCWD, path);
    try {
      RemoveTree(here.get(), "t");
      return false;
    } catch (const Error& e) {
      return e.message() == "remove \"" + path +
                                "/t/sub/mnt\": something is mounted there" &&
             LstatIfExists(here.get(), "precious/f").has_value();
    }
  }));
}

TEST_F(RemoveTreeTest, NamesWhatCannotBeRemoved) {
  ASSERT_EQ(::fchmod(dir(), 0777), 0);
  EXPECT_TRUE(InChild(true, [&] {
    try {
      RemoveTree(AT_FDCWD, "/proc/self/fd");
      return false;
    } catch (const Error& e) {
      return e.message().starts_with("remove \"/proc/");
    }
  }));
}

}  // namespace
}  // namespace imgbuild::fs
