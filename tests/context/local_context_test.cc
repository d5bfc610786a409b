// Walking, reading and hiding files of a context in a directory.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "context/context_fixture.h"

namespace imgbuild::context {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LocalContextTest : public ContextFixture {};

TEST_F(LocalContextTest, WalkListsEverythingInBytewiseOrderOfPaths) {
  for (const char* dir : {"a", "a-b", "a/b", "a.d", "a0", "z"}) Dir(dir);
  for (const char* file : {"a/x", "a-b/x", "a.c", "a/b/c", "a.d/x", "a0/x",
                           "a/b.c", "Z", "\xC3\xA9"}) {
    File(file);
  }
  const auto source = Open();
  const std::vector<std::string> paths = Paths(source->Walk("", nullptr));
  EXPECT_THAT(paths, ElementsAre("", "Z", "a", "a-b", "a-b/x", "a.c", "a.d",
                                 "a.d/x", "a/b", "a/b.c", "a/b/c", "a/x", "a0",
                                 "a0/x", "z", "\xC3\xA9"));
  EXPECT_TRUE(std::is_sorted(paths.begin(), paths.end()));
}

TEST_F(LocalContextTest, WalkOfOneFileOneDirectoryAndNothing) {
  Dir("d");
  Dir("d/e");
  File("d/e/f");
  File("other");
  const auto source = Open();
  EXPECT_THAT(Paths(source->Walk("d/e/f", nullptr)), ElementsAre("d/e/f"));
  EXPECT_THAT(Paths(source->Walk("d", nullptr)),
              ElementsAre("d", "d/e", "d/e/f"));
  EXPECT_THAT(source->Walk("nothing", nullptr), IsEmpty());
  EXPECT_THAT(source->Walk("other/x", nullptr), IsEmpty());
  EXPECT_THAT(source->Walk("d/e/f/g", nullptr), IsEmpty());
}

TEST_F(LocalContextTest, InfoIsAsOnDiskButOwnedByRoot) {
  File("f", "hello");
  ASSERT_EQ(::fchmodat(fd(), "f", 04755, 0), 0);
  const struct timespec times[2] = {{1000, 5}, {1234567890, 987654321}};
  ASSERT_EQ(::utimensat(fd(), "f", times, 0), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::fchownat(fd(), "f", 1234, 5678, 0), 0);
    ASSERT_EQ(::fchmodat(fd(), "f", 04755, 0), 0);
  }
  const auto source = Open();
  const auto items = source->Walk("f", nullptr);
  ASSERT_EQ(items.size(), 1u);
  const FileInfo& info = items[0].info;
  EXPECT_EQ(info.type, FileType::kRegular);
  EXPECT_EQ(info.mode, 04755u);
  EXPECT_EQ(info.uid, 0u);
  EXPECT_EQ(info.gid, 0u);
  EXPECT_EQ(info.size, 5u);
  EXPECT_EQ(info.mtime_s, 1234567890);
  EXPECT_EQ(info.mtime_ns, 987654321u);
  EXPECT_EQ(info.nlink, 1u);
  const struct ::stat st = *fs::LstatIfExists(fd(), "f");
  EXPECT_EQ(info.inode, st.st_ino);
  EXPECT_EQ(info.device, st.st_dev);
  EXPECT_EQ(info.ctime_s, st.st_ctim.tv_sec);
  EXPECT_EQ(source->Lstat("f")->mtime_ns, 987654321u);
  EXPECT_EQ(source->Lstat("")->uid, 0u);
}

TEST_F(LocalContextTest, HardLinksShareTheirInode) {
  File("a");
  ASSERT_EQ(::linkat(fd(), "a", fd(), "b", 0), 0);
  const auto items = Open()->Walk("", nullptr);
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[1].info.inode, items[2].info.inode);
  EXPECT_EQ(items[1].info.nlink, 2u);
}

TEST_F(LocalContextTest, LinksAreFilesAndNeverFollowed) {
  Dir("d");
  File("d/f");
  Link("d", "in");
  Link("/etc", "out");
  Link("../..", "up");
  const auto source = Open();
  EXPECT_THAT(Paths(source->Walk("", nullptr)),
              ElementsAre("", "d", "d/f", "in", "out", "up"));
  EXPECT_EQ(source->Lstat("out")->type, FileType::kSymlink);
  EXPECT_EQ(source->ReadLink("out"), "/etc");
  EXPECT_FALSE(source->Lstat("out/passwd"));
  EXPECT_FALSE(source->Lstat("in/f"));
  EXPECT_THAT(source->Walk("out/passwd", nullptr), IsEmpty());
  EXPECT_THROW(source->Open("out/passwd"), Error);
  EXPECT_THROW(source->Open("in"), Error);
  EXPECT_THROW(source->List("out"), Error);
}

TEST_F(LocalContextTest, SocketsAreLeftOutPipesAreNot) {
  File("f");
  ASSERT_EQ(::mkfifoat(fd(), "pipe", 0644), 0);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = root() + "/sock";
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<struct sockaddr*>(&address),
                   sizeof address),
            0);
  const auto source = Open();
  EXPECT_THAT(Paths(source->Walk("", nullptr)), ElementsAre("", "f", "pipe"));
  EXPECT_THAT(source->Walk("sock", nullptr), IsEmpty());
  EXPECT_EQ(source->Lstat("sock")->type, FileType::kSocket);
}

TEST_F(LocalContextTest, DeviceNumbers) {
  if (::mknodat(fd(), "null", S_IFCHR | 0666, makedev(1, 3)) != 0) {
    GTEST_SKIP() << "no permission to make devices";
  }
  const auto info = Open()->Lstat("null");
  EXPECT_EQ(info->type, FileType::kCharDevice);
  EXPECT_EQ(info->rdev_major, 1u);
  EXPECT_EQ(info->rdev_minor, 3u);
  EXPECT_EQ(info->size, 0u);
}

TEST_F(LocalContextTest, IgnoredFilesDoNotExist) {
  for (const char* dir : {"node_modules", "src", "src/gen"}) Dir(dir);
  for (const char* file :
       {"node_modules/x", "src/main.c", "src/main.o", "src/gen/y.c", ".env"}) {
    File(file);
  }
  const auto source = Open("node_modules\n**/*.o\n.env\nsrc/gen\n");
  EXPECT_THAT(Paths(source->Walk("", nullptr)),
              ElementsAre("", "src", "src/main.c"));
  EXPECT_THAT(source->List(""), ElementsAre("src"));
  EXPECT_THAT(source->List("src"), ElementsAre("main.c"));
  EXPECT_FALSE(source->Lstat(".env"));
  EXPECT_FALSE(source->Lstat("src/gen/y.c"));
  EXPECT_THROW(source->Open(".env"), Error);
  EXPECT_THROW(source->Xattrs(".env"), Error);
  EXPECT_THAT(source->Walk("node_modules", nullptr), IsEmpty());
}

TEST_F(LocalContextTest, IgnoredDirectoriesShowWhenAnExceptionIsInside) {
  for (const char* dir : {"docs", "docs/a", "docs/b", "empty", "empty/x"}) {
    Dir(dir);
  }
  for (const char* file :
       {"docs/a/keep.md", "docs/a/drop", "docs/b/drop", "docs/drop"}) {
    File(file);
  }
  const auto source = Open("**\n!**/keep.md\n");
  EXPECT_THAT(Paths(source->Walk("", nullptr)),
              ElementsAre("", "docs", "docs/a", "docs/a/keep.md"));
  EXPECT_THAT(source->List(""), ElementsAre("docs"));
  EXPECT_THAT(source->List("docs"), ElementsAre("a"));
  EXPECT_TRUE(source->Lstat("docs/a"));
  EXPECT_FALSE(source->Lstat("docs/b"));
  EXPECT_FALSE(source->Lstat("empty"));
  EXPECT_THAT(Paths(source->Walk("docs/a", nullptr)),
              ElementsAre("docs/a", "docs/a/keep.md"));
  EXPECT_THAT(source->Walk("docs/b", nullptr), IsEmpty());
}

TEST_F(LocalContextTest, WhyHiddenNamesTheRule) {
  Dir("src");
  File("src/a.c");
  File("b.c");
  const auto source = Open("# first\nsrc/\n");
  const auto why = source->WhyHidden("src/a.c");
  ASSERT_TRUE(why);
  EXPECT_EQ(why->pattern, "src/");
  EXPECT_EQ(why->rule.ToString(), ".dockerignore:2:1");
  EXPECT_TRUE(source->WhyHidden("src"));
  EXPECT_FALSE(source->WhyHidden("b.c"));
  EXPECT_FALSE(source->WhyHidden("src/absent"));
  EXPECT_FALSE(source->WhyHidden("absent"));
  EXPECT_FALSE(source->WhyHidden(""));
}

TEST_F(LocalContextTest, ExcludeIsRelativeToThePath) {
  for (const char* dir : {"src", "src/gen", "src/lib"}) Dir(dir);
  for (const char* file :
       {"src/a.c", "src/a.o", "src/gen/b.c", "src/lib/c.c", "src/lib/src.o"}) {
    File(file);
  }
  const auto source = Open();
  const auto walk = [&](const std::vector<std::string>& patterns,
                        const std::string& path = "src") {
    const PatternList exclude = PatternList::FromPatterns(patterns);
    return Paths(source->Walk(path, &exclude));
  };
  EXPECT_THAT(walk({"gen", "**/*.o"}),
              ElementsAre("src", "src/a.c", "src/lib", "src/lib/c.c"));
  EXPECT_THAT(walk({"src/gen"}),
              ElementsAre("src", "src/a.c", "src/a.o", "src/gen", "src/gen/b.c",
                          "src/lib", "src/lib/c.c", "src/lib/src.o"));
  EXPECT_THAT(walk({"**", "!lib/c.c"}),
              ElementsAre("src", "src/lib", "src/lib/c.c"));
  EXPECT_THAT(walk({"**", "!lib/nothing"}), ElementsAre("src"));
  EXPECT_THAT(walk({"*.o"}, "src/a.o"), ElementsAre("src/a.o"));
  EXPECT_EQ(walk({}).size(), 8u);
}

TEST_F(LocalContextTest, IgnoreAndExcludeTogether) {
  for (const char* dir : {"a", "a/b", "a/c"}) Dir(dir);
  for (const char* file : {"a/b/keep", "a/b/other", "a/c/keep"}) File(file);
  const auto source = Open("**\n!**/keep\n");
  const PatternList exclude = PatternList::FromPatterns({"a/c", "a/b/keep"});
  EXPECT_THAT(Paths(source->Walk("", &exclude)), ElementsAre("", "a", "a/b"));
}

// Every way to ask gives one answer, and it is PatternList's.
TEST_F(LocalContextTest, WalkAgreesWithMatchOnRandomTrees) {
  std::mt19937 random(7);
  const std::vector<std::string> kNames = {"a", "b", "a.c", "a-", "x.md"};
  std::vector<std::string> dirs = {""};
  std::vector<std::string> all;
  for (int i = 0; i < 250; ++i) {
    const std::string& parent = dirs[random() % dirs.size()];
    const std::string path =
        (parent.empty() ? "" : parent + "/") + kNames[random() % kNames.size()];
    if (std::count(all.begin(), all.end(), path) != 0) continue;
    all.push_back(path);
    if (random() % 2 == 0) {
      Dir(path);
      dirs.push_back(path);
    } else {
      File(path);
    }
  }
  const std::vector<std::string> kIgnores = {"a",
                                             "**/a\n!a/**/b",
                                             "**\n!**/*.md",
                                             "*/b\n!*/b/a.c\n**/x.md",
                                             "a*\n!a/x.md\n!b",
                                             "!a\n**/a-",
                                             ""};
  for (const std::string& text : kIgnores) {
    const auto source = Open(text);
    const PatternList list = PatternList::ParseIgnoreFile(
        std::make_shared<const SourceFile>(".dockerignore", text));
    std::vector<std::string> expected = {""};
    for (const std::string& path : all) {
      const bool is_dir = std::count(dirs.begin(), dirs.end(), path) != 0;
      bool shown = !list.Match(path).excluded;
      for (const std::string& below : all) {
        if (shown || !is_dir) break;
        shown = below.starts_with(path + "/") && !list.Match(below).excluded;
      }
      if (shown) expected.push_back(path);
      EXPECT_EQ(source->Lstat(path).has_value(), shown) << text << " " << path;
      EXPECT_EQ(source->WhyHidden(path).has_value(), !shown)
          << text << " " << path;
    }
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(Paths(source->Walk("", nullptr)), expected) << text;
  }
}

TEST_F(LocalContextTest, OnlyWhatIsAskedForIsRead) {
  Dir("big");
  Dir("big/inner");
  Dir("small");
  const auto source = Open();
  EXPECT_EQ(source->Walk("small", nullptr).size(), 1u);
  // Made after the walk of "small", and seen: "big" was not read then.
  File("big/inner/late");
  EXPECT_EQ(source->Walk("big", nullptr).size(), 3u);
  // Read now, and the same for the rest of the build.
  File("big/inner/later");
  EXPECT_EQ(source->Walk("big", nullptr).size(), 3u);
  EXPECT_FALSE(source->Lstat("big/inner/later"));
  EXPECT_EQ(Open()->Walk("big", nullptr).size(), 4u);
}

// Gives up root's powers for as long as it lives.
class WithoutRoot {
 public:
  WithoutRoot() : was_root_(::geteuid() == 0) {
    if (was_root_) {
      EXPECT_EQ(::seteuid(65534), 0);
    }
  }
  ~WithoutRoot() {
    if (was_root_) {
      EXPECT_EQ(::seteuid(0), 0);
    }
  }

 private:
  const bool was_root_;
};

TEST_F(LocalContextTest, UnreadableDirectoryIsAnErrorUnlessIgnored) {
  Dir("secret");
  ASSERT_EQ(::fchmodat(fd(), "secret", 0, 0), 0);
  ASSERT_EQ(::fchmod(fd(), 0755), 0);
  {
    const WithoutRoot without_root;
    try {
      Open()->Walk("", nullptr);
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_EQ(e.message(), "open \"secret\": permission denied");
    }
    EXPECT_EQ(Open("secret\n")->Walk("", nullptr).size(), 1u);
    EXPECT_EQ(Open("secret\n!secret/x\n")->Walk("", nullptr).size(), 1u);
  }
  ASSERT_EQ(::fchmodat(fd(), "secret", 0755, 0), 0);
}

TEST_F(LocalContextTest, ManyDirectoriesOnManyThreads) {
  std::vector<std::string> expected = {""};
  for (int d = 0; d < 60; ++d) {
    const std::string dir = "d" + std::to_string(d);
    Dir(dir);
    Dir(dir + "/sub");
    expected.push_back(dir);
    expected.push_back(dir + "/sub");
    for (int f = 0; f < 5; ++f) {
      File(dir + "/sub/f" + std::to_string(f));
      expected.push_back(dir + "/sub/f" + std::to_string(f));
    }
  }
  std::sort(expected.begin(), expected.end());
  ThreadPool four(4);
  const auto source =
      OpenLocalContext(fd(), "context", {}, four, CancelToken());
  std::vector<std::thread> threads;
  std::vector<std::vector<std::string>> walked(4);
  for (size_t i = 0; i < walked.size(); ++i) {
    threads.emplace_back([&source, &walked, i] {
      walked[i] = Paths(source->Walk("", nullptr));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& paths : walked) EXPECT_EQ(paths, expected);
}

TEST_F(LocalContextTest, WalkFromInsideAJobOfTheSamePoolDoesNotHang) {
  for (int d = 0; d < 20; ++d) Dir("d" + std::to_string(d));
  ThreadPool one(1);
  const auto source = OpenLocalContext(fd(), "context", {}, one, CancelToken());
  EXPECT_EQ(one.Submit([&] { return source->Walk("", nullptr).size(); }).get(),
            21u);
}

TEST_F(LocalContextTest, CancelStopsAWalk) {
  Dir("d");
  CancelToken cancel;
  const auto source = OpenLocalContext(fd(), "context", {}, pool_, cancel);
  cancel.Cancel();
  try {
    source->Walk("", nullptr);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInterrupted);
  }
}

TEST_F(LocalContextTest, XattrsThatBelongToTheFile) {
  File("f");
  const std::string path = root() + "/f";
  if (::setxattr(path.c_str(), "user.note", "hi", 2, 0) != 0) {
    GTEST_SKIP() << "no user xattrs here";
  }
  ::setxattr(path.c_str(), "trusted.other", "x", 1, 0);
  const auto xattrs = Open()->Xattrs("f");
  EXPECT_EQ(xattrs.size(), 1u);
  EXPECT_EQ(xattrs.at("user.note"), "hi");
}

TEST_F(LocalContextTest, AFileIsNoContext) {
  File("f");
  const UniqueFd file(::openat(fd(), "f", O_RDONLY | O_CLOEXEC));
  try {
    OpenLocalContext(file.get(), "./f", {}, pool_, CancelToken());
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "open \"./f\": not a directory");
  }
}

TEST(LocalContextDepth, VeryDeepContextsAreRefused) {
  // So many levels take seconds to make on a disk.
  const UniqueFd memory(::open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!memory) GTEST_SKIP() << "no /dev/shm";
  const fs::TempDir tmp(memory.get(), "imgbuild-test-");
  UniqueFd at = fs::OpenDir(tmp.fd(), ".");
  for (int i = 0; i < 2100; ++i) {
    fs::MakeDir(at.get(), "d", 0755);
    at = fs::OpenDir(at.get(), "d");
  }
  ThreadPool pool(2);
  try {
    OpenLocalContext(tmp.fd(), "context", {}, pool, CancelToken())
        ->Walk("", nullptr);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(),
              "the build context has directories more than 2000 levels deep");
  }
}

}  // namespace
}  // namespace imgbuild::context
