// Resolution inside a root: what a hostile tree cannot do.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::fs {
namespace {

class InRootTest : public testing::Test {
 protected:
  InRootTest() {
    MakeDir(outer_.fd(), "root", 0755);
    root_ = OpenDir(outer_.fd(), "root");
    WriteFileAtomic(outer_.fd(), "secret", "outside");
    WriteFileAtomic(root_.get(), "secret", "inside");
  }
  void Link(const std::string& target, const std::string& name) {
    ASSERT_EQ(::symlinkat(target.c_str(), root_.get(), name.c_str()), 0);
  }
  std::string ReadInRoot(const std::string& path) {
    const UniqueFd fd = TryOpenInRoot(root_.get(), path, O_RDONLY);
    if (!fd) return "errno " + std::to_string(errno);
    return ReadFd(fd.get(), 100, path);
  }

  TempDir outer_ = TempDir::InTmp("imgbuild-root-test-");
  UniqueFd root_;
};

TEST_F(InRootTest, DotDotStopsAtTheRoot) {
  EXPECT_EQ(ReadInRoot("../secret"), "inside");
  EXPECT_EQ(ReadInRoot("../../../../secret"), "inside");
  EXPECT_EQ(ReadInRoot("/secret"), "inside");
  EXPECT_EQ(ReadInRoot("/../secret"), "inside");
}

TEST_F(InRootTest, LinksStartAtTheRoot) {
  MakeDir(root_.get(), "d", 0755);
  Link("/secret", "absolute");
  Link("../../../secret", "up");
  Link("/", "d/top");
  Link("..", "d/parent");
  EXPECT_EQ(ReadInRoot("absolute"), "inside");
  EXPECT_EQ(ReadInRoot("up"), "inside");
  EXPECT_EQ(ReadInRoot("d/top/secret"), "inside");
  EXPECT_EQ(ReadInRoot("d/parent/../../secret"), "inside");
}

TEST_F(InRootTest, LoopsEnd) {
  Link("b", "a");
  Link("a", "b");
  EXPECT_EQ(ReadInRoot("a"), "errno " + std::to_string(ELOOP));
}

TEST_F(InRootTest, MagicLinksAreNotFollowed) {
  const UniqueFd proc = OpenDir(AT_FDCWD, "/proc");
  EXPECT_FALSE(TryOpenInRoot(proc.get(), "self/root", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(errno, ELOOP);
  EXPECT_FALSE(TryOpenInRoot(
      proc.get(), "self/fd/" + std::to_string(root_.get()), O_RDONLY));
}

TEST_F(InRootTest, EmptyIsTheRootItself) {
  const UniqueFd fd = OpenInRoot(root_.get(), "", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(Fstat(fd.get()).st_ino, Fstat(root_.get()).st_ino);
}

TEST_F(InRootTest, CreatesWithAMode) {
  const mode_t before = ::umask(0);
  { OpenInRoot(root_.get(), "new", O_WRONLY | O_CREAT, 0640); }
  ::umask(before);
  EXPECT_EQ(LstatIfExists(root_.get(), "new")->st_mode & 07777, 0640u);
  // A mode without O_CREAT is harmless, as with open().
  EXPECT_TRUE(TryOpenInRoot(root_.get(), "new", O_RDONLY, 0640));
}

TEST_F(InRootTest, ErrorsNameThePath) {
  try {
    OpenInRoot(root_.get(), "no/such", O_RDONLY);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "open \"no/such\": no such file or directory");
    EXPECT_EQ(e.code(), ErrorCode::kHost);
  }
}

TEST_F(InRootTest, FindsTheParent) {
  MakeDirs(root_.get(), "a/b", 0755);
  Link("/a/b", "link");
  const auto inode = [&](const std::string& path) {
    return LstatIfExists(root_.get(), path)->st_ino;
  };
  const struct {
    const char* path;
    const char* parent;
    const char* name;
  } kCases[] = {
      {"f", ".", "f"},         {"/f", ".", "f"},       {"a/f", "a", "f"},
      {"a//f//", "a", "f"},    {"link/f", "a/b", "f"}, {"link", ".", "link"},
      {"", ".", "."},          {"/", ".", "."},        {".", ".", "."},
      {"..", ".", "."},        {"a/..", ".", "."},     {"a/b/.", "a/b", "."},
      {"../../a/f", "a", "f"},
  };
  for (const auto& c : kCases) {
    const auto parent = TryOpenParentInRoot(root_.get(), c.path);
    ASSERT_TRUE(parent.has_value()) << c.path;
    EXPECT_EQ(parent->name, c.name) << c.path;
    EXPECT_EQ(Fstat(parent->dir.get()).st_ino, inode(c.parent)) << c.path;
  }
  EXPECT_FALSE(TryOpenParentInRoot(root_.get(), "no/f").has_value());
  EXPECT_FALSE(TryOpenParentInRoot(root_.get(), "secret/f").has_value());
}

TEST_F(InRootTest, MakesParentsInside) {
  const ParentOf parent = MakeParentInRoot(root_.get(), "../x/y/z/f");
  EXPECT_EQ(parent.name, "f");
  EXPECT_TRUE(LstatIfExists(root_.get(), "x/y/z").has_value());
  EXPECT_FALSE(LstatIfExists(outer_.fd(), "x").has_value());
  EXPECT_EQ(LstatIfExists(root_.get(), "x/y")->st_mode & 07777, 0755u);
  MakeParentInRoot(root_.get(), "x/y/z/g");
}

TEST_F(InRootTest, MakesParentsBehindLinks) {
  Link("/made/here", "dangling");
  MakeParentInRoot(root_.get(), "dangling/sub/f");
  EXPECT_TRUE(LstatIfExists(root_.get(), "made/here/sub").has_value());
  EXPECT_TRUE(S_ISLNK(LstatIfExists(root_.get(), "dangling")->st_mode));

  Link("../../../../escape", "up");
  MakeParentInRoot(root_.get(), "up/f");
  EXPECT_TRUE(LstatIfExists(root_.get(), "escape").has_value());
  EXPECT_FALSE(LstatIfExists(outer_.fd(), "escape").has_value());

  MakeDir(root_.get(), "d", 0755);
  Link("rel", "d/link");
  MakeParentInRoot(root_.get(), "d/link/f");
  EXPECT_TRUE(LstatIfExists(root_.get(), "d/rel").has_value());
}

TEST_F(InRootTest, RefusesParentsThatAreNoDirectories) {
  EXPECT_THROW(MakeParentInRoot(root_.get(), "secret/f"), Error);
  EXPECT_THROW(MakeParentInRoot(root_.get(), "secret/a/f"), Error);
  Link("loop", "loop");
  EXPECT_THROW(MakeParentInRoot(root_.get(), "loop/f"), Error);
  // Each link is fine, the chain leads back to where it is not made yet.
  Link("two/x", "one");
  Link("one/x", "two");
  EXPECT_THROW(MakeParentInRoot(root_.get(), "one/f"), Error);
}

TEST_F(InRootTest, ASwappedLinkLeadsNowhereNew) {
  // While one thread swaps a directory for a link out of the root, another
  // one opens through it: whatever it gets is inside.
  MakeDir(root_.get(), "d", 0755);
  WriteFileAtomic(root_.get(), "d/secret", "inside");
  Link("../..", "evil");
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    while (!stop) {
      ::syscall(SYS_renameat2, root_.get(), "d", root_.get(), "evil",
                2u /* RENAME_EXCHANGE */);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const UniqueFd fd = TryOpenInRoot(root_.get(), "d/secret", O_RDONLY);
    if (fd) {
      EXPECT_EQ(ReadFd(fd.get(), 100, "secret"), "inside");
    } else {
      EXPECT_EQ(errno, EAGAIN);  // only ever "ask again"
    }
  }
  stop = true;
  swapper.join();
}

}  // namespace
}  // namespace imgbuild::fs
