#include "imgbuild/util/fs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "imgbuild/util/error.h"

namespace imgbuild::fs {
namespace {

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.message();
  }
  return "(no error)";
}

class FsTest : public testing::Test {
 protected:
  int dir() const { return temp_.fd(); }
  void Write(const std::string& name, std::string_view text) {
    const UniqueFd fd = Open(dir(), name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    WriteAll(fd.get(), AsBytes(text), name);
  }
  TempDir temp_ = TempDir::InTmp("imgbuild-fs-test-");
};

TEST(CleanPath, WorksAsGoDoes) {
  const struct {
    const char* path;
    const char* expected;
  } kCases[] = {
      {"", "."},
      {"abc", "abc"},
      {"abc/def", "abc/def"},
      {".", "."},
      {"..", ".."},
      {"../..", "../.."},
      {"../../abc", "../../abc"},
      {"/abc", "/abc"},
      {"/", "/"},
      {"abc/", "abc"},
      {"abc//def//ghi", "abc/def/ghi"},
      {"//abc", "/abc"},
      {"///abc", "/abc"},
      {"abc/./def", "abc/def"},
      {"/./abc/def", "/abc/def"},
      {"abc/.", "abc"},
      {"abc/def/ghi/../jkl", "abc/def/jkl"},
      {"abc/def/..", "abc"},
      {"abc/def/../..", "."},
      {"/abc/def/../..", "/"},
      {"abc/def/../../..", ".."},
      {"/abc/def/../../..", "/"},
      {"abc/def/../../../ghi/jkl/../../../mno", "../../mno"},
      {"abc/./../def", "def"},
      {"abc//./../def", "def"},
      {"/..", "/"},
      {"a/...", "a/..."},
  };
  for (const auto& c : kCases) EXPECT_EQ(CleanPath(c.path), c.expected);
}

TEST(CleanPath, RelativeNeverLeavesTheRoot) {
  EXPECT_EQ(CleanRelative(""), "");
  EXPECT_EQ(CleanRelative("/"), "");
  EXPECT_EQ(CleanRelative("."), "");
  EXPECT_EQ(CleanRelative("../../etc"), "etc");
  EXPECT_EQ(CleanRelative("//a/./b/"), "a/b");
  EXPECT_EQ(CleanRelative("a/../../b"), "b");
}

TEST(PathTest, SplitsAtTheLastSlash) {
  EXPECT_EQ(ParentPath("a/b/c"), "a/b");
  EXPECT_EQ(ParentPath("a"), "");
  EXPECT_EQ(ParentPath("/a"), "");
  EXPECT_EQ(BaseName("a/b"), "b");
  EXPECT_EQ(BaseName("a"), "a");
  EXPECT_EQ(BaseName("a/"), "");
}

TEST_F(FsTest, ReadsWhatWasWritten) {
  Write("f", "hello");
  EXPECT_EQ(ReadFile(dir(), "f", 5), "hello");
  EXPECT_EQ(ReadFileIfExists(dir(), "f", 5), "hello");
  EXPECT_EQ(ReadFileIfExists(dir(), "none", 5), std::nullopt);
  EXPECT_EQ(ReadFileIfExists(dir(), "f/x", 5), std::nullopt);
  EXPECT_EQ(MessageOf([&] { ReadFile(dir(), "none", 5); }),
            "open \"none\": no such file or directory");
  Write("empty", "");
  EXPECT_EQ(ReadFile(dir(), "empty", 0), "");
  const std::string big(300'000, 'b');
  Write("big", big);
  EXPECT_EQ(ReadFile(dir(), "big", big.size()), big);
}

TEST_F(FsTest, ReadStopsAtTheCap) {
  Write("f", "123456");
  EXPECT_EQ(MessageOf([&] { ReadFile(dir(), "f", 5); }),
            "read \"f\": more than 5 bytes");
  // A file whose size says nothing, here of endless content.
  const UniqueFd zero = Open(AT_FDCWD, "/dev/zero", O_RDONLY);
  EXPECT_EQ(MessageOf([&] { ReadFd(zero.get(), 100'000, "zero"); }),
            "read \"zero\": more than 100000 bytes");
  // A sparse file costs nothing to plant; it must not be allocated.
  Write("sparse", "");
  ASSERT_EQ(::truncate((temp_.path() + "/sparse").c_str(), 1ll << 40), 0);
  EXPECT_EQ(MessageOf([&] { ReadFile(dir(), "sparse", 1000); }),
            "read \"sparse\": more than 1000 bytes");
}

TEST_F(FsTest, ReadsFilesWhoseSizeIsUnknown) {
  EXPECT_NE(ReadFile(AT_FDCWD, "/proc/self/status", 1 << 20).find("Pid:"),
            std::string::npos);
}

TEST_F(FsTest, RefusesWhatIsNotARegularFile) {
  ASSERT_EQ(::mkfifoat(dir(), "fifo", 0600), 0);
  EXPECT_EQ(MessageOf([&] { ReadFile(dir(), "fifo", 5); }),
            "read \"fifo\": not a regular file");
  MakeDir(dir(), "d", 0755);
  EXPECT_EQ(MessageOf([&] { ReadFile(dir(), "d", 5); }),
            "read \"d\": not a regular file");
  EXPECT_EQ(MessageOf([&] { ReadFile(AT_FDCWD, "/dev/null", 5); }),
            "read \"/dev/null\": not a regular file");
  Write("f", "x");
  ASSERT_EQ(::symlinkat("f", dir(), "link"), 0);
  EXPECT_EQ(MessageOf([&] { ReadFile(dir(), "link", 5); }),
            "open \"link\": too many levels of symbolic links");
}

TEST_F(FsTest, WritesAtomicallyWithTheExactMode) {
  const mode_t before = ::umask(077);
  WriteFileAtomic(dir(), "f", "one", 0664);
  ::umask(before);
  EXPECT_EQ(LstatIfExists(dir(), "f")->st_mode & 07777, 0664u);
  const ino_t old = LstatIfExists(dir(), "f")->st_ino;
  const UniqueFd reader = Open(dir(), "f", O_RDONLY);
  WriteFileAtomic(dir(), "f", "two");
  EXPECT_EQ(ReadFd(reader.get(), 10, "f"), "one");  // a reader keeps its file
  EXPECT_EQ(ReadFile(dir(), "f", 10), "two");
  EXPECT_NE(LstatIfExists(dir(), "f")->st_ino, old);
  EXPECT_EQ(ListDir(dir()), (std::vector<std::string>{"f"}));

  MakeDir(dir(), "d", 0755);
  WriteFileAtomic(dir(), "d/g", "x");
  WriteFileAtomic(AT_FDCWD, temp_.path() + "/h", "y");
  EXPECT_EQ(ReadFile(dir(), "d/g", 10) + ReadFile(dir(), "h", 10), "xy");
}

TEST_F(FsTest, AFailedAtomicWriteLeavesNothing) {
  MakeDir(dir(), "target", 0755);
  EXPECT_NE(MessageOf([&] {
              WriteFileAtomic(dir(), "target", "x");
            }).find("is a directory"),
            std::string::npos);
  EXPECT_EQ(ListDir(dir()), (std::vector<std::string>{"target"}));
  EXPECT_EQ(MessageOf([&] { WriteFileAtomic(dir(), "no/f", "x"); }),
            "open \"no\": no such file or directory");
}

TEST_F(FsTest, ListsSortedWithoutMovingTheOffset) {
  for (const char* name : {"b", "a", "B", "\xc3\xa4", ".x", "a b"}) {
    Write(name, "");
  }
  const std::vector<std::string> expected = {".x",  "B", "a",
                                             "a b", "b", "\xc3\xa4"};
  EXPECT_EQ(ListDir(dir()), expected);
  EXPECT_EQ(ListDir(dir()), expected);
  const UniqueFd path = Open(dir(), ".", O_PATH | O_DIRECTORY);
  EXPECT_EQ(ListDir(path.get()), expected);
}

TEST_F(FsTest, EveryDescriptorIsCloseOnExec) {
  Write("f", "");
  FileLock lock(dir(), "lock", FileLock::Mode::kShared);
  const UniqueFd fds[] = {Open(dir(), "f", O_RDONLY), OpenDir(dir(), ""),
                          OpenIfExists(dir(), "f", O_RDONLY),
                          OpenInRoot(dir(), "f", O_RDONLY),
                          std::move(MakeParentInRoot(dir(), "x/y").dir)};
  for (const UniqueFd& fd : fds) {
    EXPECT_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(::fcntl(temp_.fd(), F_GETFD), FD_CLOEXEC);
}

TEST_F(FsTest, AbsenceIsNotAnError) {
  EXPECT_FALSE(OpenIfExists(dir(), "none", O_RDONLY));
  EXPECT_FALSE(LstatIfExists(dir(), "none").has_value());
  Write("f", "");
  EXPECT_FALSE(OpenIfExists(dir(), "f/x", O_RDONLY));
  EXPECT_FALSE(LstatIfExists(dir(), "f/x").has_value());
  EXPECT_EQ(MessageOf([&] { Open(dir(), "none", O_RDONLY); }),
            "open \"none\": no such file or directory");
}

TEST_F(FsTest, ReadsLinksOfAnyLength) {
  ASSERT_EQ(::symlinkat("short", dir(), "a"), 0);
  EXPECT_EQ(ReadLink(dir(), "a"), "short");
  const std::string target(3000, 't');
  ASSERT_EQ(::symlinkat(target.c_str(), dir(), "b"), 0);
  EXPECT_EQ(ReadLink(dir(), "b"), target);
  const std::string exact(256, 't');
  ASSERT_EQ(::symlinkat(exact.c_str(), dir(), "c"), 0);
  EXPECT_EQ(ReadLink(dir(), "c"), exact);
  Write("f", "");
  EXPECT_EQ(MessageOf([&] { ReadLink(dir(), "f"); }),
            "readlink \"f\": invalid argument");
}

TEST_F(FsTest, MakesDirectories) {
  MakeDirs(dir(), "a/b/c", 0700);
  MakeDirs(dir(), "a/b/c/d/", 0755);
  EXPECT_TRUE(S_ISDIR(LstatIfExists(dir(), "a/b/c/d")->st_mode));
  EXPECT_EQ(LstatIfExists(dir(), "a/b")->st_mode & 0777, 0700u);
  MakeDirs(AT_FDCWD, temp_.path() + "/x/y", 0755);
  EXPECT_TRUE(LstatIfExists(dir(), "x/y").has_value());
  Write("f", "");
  EXPECT_EQ(MessageOf([&] { MakeDirs(dir(), "f/g", 0755); }),
            "mkdir \"f\": not a directory");
  EXPECT_EQ(MessageOf([&] { MakeDir(dir(), "a", 0755); }),
            "mkdir \"a\": file exists");
}

TEST_F(FsTest, RenameNamesBothInErrors) {
  Write("f", "x");
  Rename(dir(), "f", dir(), "g");
  EXPECT_EQ(ReadFile(dir(), "g", 1), "x");
  try {
    Rename(dir(), "f", dir(), "h");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "rename \"f\": no such file or directory");
    EXPECT_EQ(e.notes(), (std::vector<std::string>{"the new name is \"h\""}));
  }
}

TEST_F(FsTest, KeepsExtendedAttributes) {
  Write("f", "");
  if (!SetXattr(dir(), "f", "user.a", "1")) GTEST_SKIP() << "no user xattrs";
  const std::string long_value(5000, 'v');
  EXPECT_TRUE(SetXattr(dir(), "f", "user.b", std::string_view("\0x", 2)));
  EXPECT_TRUE(SetXattr(dir(), "f", "user.empty", ""));
  // ext4 keeps all of them within one block; tmpfs takes more.
  const bool took_long = [&] {
    try {
      return SetXattr(dir(), "f", "user.long", long_value);
    } catch (const Error&) {
      return false;
    }
  }();
  std::map<std::string, std::string> expected = {
      {"user.a", "1"}, {"user.b", std::string("\0x", 2)}, {"user.empty", ""}};
  if (took_long) expected["user.long"] = long_value;
  EXPECT_EQ(ListXattrs(dir(), "f"), expected);
  const UniqueFd fd = Open(dir(), "f", O_RDONLY);
  EXPECT_EQ(ListXattrs(fd.get(), ""), expected);
  const UniqueFd path = Open(dir(), "f", O_PATH | O_NOFOLLOW);
  EXPECT_EQ(ListXattrs(path.get(), ""), expected);
  EXPECT_TRUE(SetXattr(path.get(), "", "user.a", "2"));
  EXPECT_EQ(ListXattrs(dir(), "f")["user.a"], "2");

  // A link has attributes of its own (none), not those of its target.
  ASSERT_EQ(::symlinkat("f", dir(), "link"), 0);
  EXPECT_TRUE(ListXattrs(dir(), "link").empty());
  EXPECT_FALSE(SetXattr(dir(), "link", "user.a", "1"));
  const UniqueFd link = Open(dir(), "link", O_PATH | O_NOFOLLOW);
  EXPECT_TRUE(ListXattrs(link.get(), "").empty());
  EXPECT_THROW(ListXattrs(dir(), "none"), Error);
}

TEST_F(FsTest, CopiesFromTheCurrentOffset) {
  std::string text(700'000, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 251);
  Write("from", text);
  const UniqueFd from = Open(dir(), "from", O_RDONLY);
  const UniqueFd to = Open(dir(), "to", O_RDWR | O_CREAT, 0644);
  WriteAll(to.get(), AsBytes("head"), "to");
  ASSERT_EQ(::lseek(from.get(), 100, SEEK_SET), 100);
  EXPECT_EQ(CopyContents(from.get(), to.get()), text.size() - 100);
  EXPECT_EQ(ReadFile(dir(), "to", 1 << 20), "head" + text.substr(100));
}

TEST_F(FsTest, CopiesWhereTheKernelCannot) {
  // Files of /proc say size 0; pipes have no copy_file_range.
  const UniqueFd from = Open(AT_FDCWD, "/proc/self/status", O_RDONLY);
  const UniqueFd to = Open(dir(), "to", O_RDWR | O_CREAT, 0644);
  EXPECT_GT(CopyContents(from.get(), to.get()), 100u);
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  const UniqueFd read_end(pipe_fds[0]);
  UniqueFd write_end(pipe_fds[1]);
  WriteAll(write_end.get(), AsBytes("piped"), "pipe");
  write_end.reset();
  const UniqueFd out = Open(dir(), "out", O_RDWR | O_CREAT, 0644);
  EXPECT_EQ(CopyContents(read_end.get(), out.get()), 5u);
  EXPECT_EQ(ReadFile(dir(), "out", 10), "piped");
  Write("empty", "");
  const UniqueFd empty = Open(dir(), "empty", O_RDONLY);
  EXPECT_EQ(CopyContents(empty.get(), out.get()), 0u);
}

TEST(TempDirTest, IsRemovedWithEverythingInIt) {
  std::string path;
  {
    TempDir temp = TempDir::InTmp();
    path = temp.path();
    EXPECT_EQ(Fstat(temp.fd()).st_mode & 07777, 0700u);
    MakeDirs(temp.fd(), "a/b", 0755);
    TempDir moved = std::move(temp);
    EXPECT_EQ(moved.path(), path);
    EXPECT_TRUE(LstatIfExists(AT_FDCWD, path).has_value());
  }
  EXPECT_FALSE(LstatIfExists(AT_FDCWD, path).has_value());
}

TEST(TempDirTest, AssignmentRemovesTheOldOne) {
  TempDir a = TempDir::InTmp();
  const std::string old = a.path();
  a = TempDir::InTmp();
  EXPECT_FALSE(LstatIfExists(AT_FDCWD, old).has_value());
  EXPECT_TRUE(LstatIfExists(AT_FDCWD, a.path()).has_value());
}

TEST(TempDirTest, ReleaseKeepsIt) {
  const TempDir parent = TempDir::InTmp();
  std::string name;
  {
    TempDir temp(parent.fd(), "keep-");
    name = temp.Release();
  }
  EXPECT_TRUE(name.starts_with("keep-"));
  EXPECT_TRUE(LstatIfExists(parent.fd(), name).has_value());
}

TEST(TempDirTest, SaysWhenItCannotBeMade) {
  const TempDir parent = TempDir::InTmp();
  const std::string path = parent.path();
  const UniqueFd fd = OpenDir(AT_FDCWD, path);
  ASSERT_EQ(::rmdir(path.c_str()), 0);
  EXPECT_NE(MessageOf([&] {
              TempDir(fd.get(), "x-");
            }).find("no such file or directory"),
            std::string::npos);
}

TEST_F(FsTest, LocksExcludeEachOther) {
  using Mode = FileLock::Mode;
  {
    const FileLock shared(dir(), "lock", Mode::kShared);
    EXPECT_TRUE(FileLock::Try(dir(), "lock", Mode::kShared).has_value());
    EXPECT_FALSE(FileLock::Try(dir(), "lock", Mode::kExclusive).has_value());
  }
  const auto exclusive = FileLock::Try(dir(), "lock", Mode::kExclusive);
  ASSERT_TRUE(exclusive.has_value());
  EXPECT_FALSE(FileLock::Try(dir(), "lock", Mode::kShared).has_value());
}

TEST_F(FsTest, ALockOnARemovedFileIsNotTheLock) {
  using Mode = FileLock::Mode;
  auto first = std::make_unique<FileLock>(dir(), "lock", Mode::kExclusive);
  std::thread waiter([&] {
    const FileLock second(dir(), "lock", Mode::kExclusive);
    // It waited on the old file, but holds the new one.
    EXPECT_TRUE(LstatIfExists(dir(), "lock").has_value());
    EXPECT_FALSE(FileLock::Try(dir(), "lock", Mode::kShared).has_value());
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_EQ(::unlinkat(dir(), "lock", 0), 0);
  WriteFileAtomic(dir(), "lock", "");  // somebody makes it anew
  first.reset();
  waiter.join();
}

TEST_F(FsTest, NamesDescriptors) {
  EXPECT_EQ(PathOfFd(dir()), temp_.path());
  EXPECT_EQ(temp_.path().substr(temp_.path().rfind('/') + 1), temp_.name());
}

}  // namespace
}  // namespace imgbuild::fs
