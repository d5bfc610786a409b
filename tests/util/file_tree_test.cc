#include "imgbuild/util/file_tree.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FileTreeTest : public ::testing::Test {
 protected:
  void Dir(const std::string& path) {
    ASSERT_EQ(::mkdirat(tmp_.fd(), path.c_str(), 0755), 0) << path;
  }
  void File(const std::string& path, const std::string& text = "x") {
    const UniqueFd fd(::openat(tmp_.fd(), path.c_str(),
                               O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0644));
    ASSERT_TRUE(fd) << path;
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  void Link(const std::string& target, const std::string& path) {
    ASSERT_EQ(::symlinkat(target.c_str(), tmp_.fd(), path.c_str()), 0) << path;
  }
  DirTree Tree() { return DirTree(tmp_.fd()); }

  fs::TempDir tmp_ = fs::TempDir::InTmp();
};

TEST_F(FileTreeTest, LstatTellsTypeModeAndSize) {
  Dir("d");
  File("d/f", "hello");
  ASSERT_EQ(::fchmodat(tmp_.fd(), "d/f", 04751, 0), 0);
  Link("f", "d/l");
  ASSERT_EQ(::mkfifoat(tmp_.fd(), "p", 0600), 0);
  const DirTree tree = Tree();
  const auto file = tree.Lstat("d/f");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->type, FileType::kRegular);
  EXPECT_EQ(file->mode, 04751u);
  EXPECT_EQ(file->size, 5u);
  EXPECT_EQ(tree.Lstat("d/l")->type, FileType::kSymlink);
  EXPECT_EQ(tree.Lstat("p")->type, FileType::kFifo);
  EXPECT_EQ(tree.Lstat("d")->type, FileType::kDirectory);
  EXPECT_EQ(tree.Lstat("")->type, FileType::kDirectory);
}

TEST_F(FileTreeTest, WhatIsMissingOrBehindALinkIsAbsent) {
  Dir("d");
  File("d/f");
  Link("d", "l");
  const DirTree tree = Tree();
  EXPECT_FALSE(tree.Lstat("nothing"));
  EXPECT_FALSE(tree.Lstat("nothing/f"));
  EXPECT_FALSE(tree.Lstat("d/f/g"));
  EXPECT_FALSE(tree.Lstat("l/f"));
  EXPECT_THROW(tree.List("l"), Error);
  EXPECT_THROW(tree.Open("l/f"), Error);
  EXPECT_THROW(tree.Open("l"), Error);
}

TEST_F(FileTreeTest, NothingLeavesTheRoot) {
  Dir("d");
  const DirTree tree(fs::OpenDir(tmp_.fd(), "d").get());
  File("outside");
  EXPECT_THROW(tree.Lstat("../outside"), Error);
  EXPECT_THROW(tree.Lstat("/etc/passwd"), Error);
  EXPECT_THROW(tree.Open("../outside"), Error);
}

TEST_F(FileTreeTest, ListIsSortedBytewise) {
  for (const char* name : {"b", "a", "a.b", "B", "\xc3\xa9"}) File(name);
  EXPECT_THAT(Tree().List(""), ElementsAre("B", "a", "a.b", "b", "\xc3\xa9"));
}

TEST_F(FileTreeTest, ReadLinkKeepsTheTargetVerbatim) {
  const std::string target = "../" + std::string(700, 'x') + "/./";
  Link(target, "l");
  EXPECT_EQ(Tree().ReadLink("l"), target);
}

TEST_F(FileTreeTest, OpenRefusesAFifoInsteadOfHanging) {
  ASSERT_EQ(::mkfifoat(tmp_.fd(), "p", 0600), 0);
  try {
    Tree().Open("p");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "open \"p\": not a regular file");
  }
}

TEST_F(FileTreeTest, XattrsOfFilesAndOfTheRoot) {
  Dir("d");
  File("d/f");
  if (::setxattr((tmp_.path() + "/d/f").c_str(), "user.k", "v", 1, 0) != 0) {
    GTEST_SKIP() << "no user xattrs here";
  }
  EXPECT_EQ(Tree().Xattrs("d/f").at("user.k"), "v");
  EXPECT_EQ(Tree().Xattrs("d").count("user.k"), 0u);
  EXPECT_EQ(Tree().Xattrs("").count("user.k"), 0u);
}

TEST_F(FileTreeTest, PathsLongerThanPathMax) {
  const std::string name(200, 'n');
  UniqueFd dir = fs::OpenDir(tmp_.fd(), ".");
  std::string path;
  for (int depth = 0; depth < 30; ++depth) {
    fs::MakeDir(dir.get(), name, 0755);
    dir = fs::OpenDir(dir.get(), name);
    path += (path.empty() ? "" : "/") + name;
  }
  ASSERT_GT(path.size(), static_cast<size_t>(PATH_MAX));
  const DirTree tree = Tree();
  EXPECT_EQ(tree.Lstat(path)->type, FileType::kDirectory);
  EXPECT_TRUE(tree.List(path).empty());
  EXPECT_FALSE(tree.Lstat(path + "/absent"));
}

TEST_F(FileTreeTest, ResolveFollowsLinksAsAfterChroot) {
  Dir("a");
  Dir("a/b");
  File("a/b/f");
  Link("/a/b", "abs");
  Link("../../../../a", "a/b/up");
  Link("abs/f", "two");
  Link("loop", "loop");
  Link("gone/x", "dangling");
  const DirTree tree = Tree();
  const struct {
    const char* path;
    bool follow_last;
    const char* want;
  } kRows[] = {
      {"", true, ""},
      {"/", true, ""},
      {"a/b/f", true, "a/b/f"},
      {"abs/f", true, "a/b/f"},
      {"abs", true, "a/b"},
      {"abs", false, "abs"},
      {"abs/", true, "a/b"},
      {"abs/..", true, "a"},
      {"two", true, "a/b/f"},
      {"two", false, "two"},
      {"a/b/up/b/f", true, "a/b/f"},
      {"../../a", true, "a"},
      {"./a/./b//f", true, "a/b/f"},
      {"missing/x/../y", true, "missing/y"},
      {"dangling", true, "gone/x"},
      {"a/b/f/below", true, "a/b/f/below"},
      {"loop", false, "loop"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(ResolveInTree(tree, row.path, row.follow_last), row.want)
        << row.path;
  }
  try {
    ResolveInTree(tree, "loop", true);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(),
              "resolve \"loop\": too many levels of symbolic links");
  }
}

TEST_F(FileTreeTest, ReadFromTree) {
  Dir("etc");
  File("etc/real", "root:x:0:0\n");
  Link("/etc/real", "etc/passwd");
  const DirTree tree = Tree();
  EXPECT_EQ(ReadFromTree(tree, "/etc/passwd", 100), "root:x:0:0\n");
  EXPECT_EQ(ReadFromTree(tree, "/etc/group", 100), std::nullopt);
  EXPECT_EQ(ReadFromTree(tree, "/etc/passwd/x", 100), std::nullopt);
  EXPECT_THROW(ReadFromTree(tree, "/etc/passwd", 5), Error);
  EXPECT_THROW(ReadFromTree(tree, "/etc", 100), Error);
}

TEST_F(FileTreeTest, EmptyTreeHasOnlyItsRoot) {
  const EmptyTree tree;
  EXPECT_EQ(tree.Lstat("")->type, FileType::kDirectory);
  EXPECT_FALSE(tree.Lstat("etc"));
  EXPECT_TRUE(tree.List("").empty());
  EXPECT_EQ(ResolveInTree(tree, "/etc/passwd", true), "etc/passwd");
  EXPECT_EQ(ReadFromTree(tree, "/etc/passwd", 10), std::nullopt);
}

}  // namespace
}  // namespace imgbuild
