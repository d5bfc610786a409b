// Any tree as a source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "imgbuild/util/error.h"

#include "context/context_fixture.h"

namespace imgbuild::context {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TreeContextTest : public ContextFixture {
 protected:
  std::unique_ptr<ContextSource> OpenTree() {
    return OpenTreeContext(std::make_shared<DirTree>(fd()), "builder", pool_,
                           CancelToken());
  }
};

TEST_F(TreeContextTest, WalksInBytewiseOrderAndKeepsOwners) {
  for (const char* dir : {"a", "a-b", "a/b"}) Dir(dir);
  for (const char* file : {"a/x", "a-b/x", "a.c", "a/b/c"}) File(file);
  if (::geteuid() == 0) {
    ASSERT_EQ(::fchownat(fd(), "a.c", 1234, 5678, 0), 0);
  }
  const auto source = OpenTree();
  EXPECT_EQ(source->Describe(), "builder");
  const auto items = source->Walk("", nullptr);
  EXPECT_THAT(Paths(items), ElementsAre("", "a", "a-b", "a-b/x", "a.c", "a/b",
                                        "a/b/c", "a/x"));
  if (::geteuid() == 0) {
    EXPECT_EQ(items[4].info.uid, 1234u);
    EXPECT_EQ(items[4].info.gid, 5678u);
  }
  EXPECT_THAT(Paths(source->Walk("a/b", nullptr)), ElementsAre("a/b", "a/b/c"));
  EXPECT_THAT(source->Walk("absent", nullptr), IsEmpty());
}

TEST_F(TreeContextTest, Excludes) {
  for (const char* dir : {"s", "s/g", "s/l"}) Dir(dir);
  for (const char* file : {"s/a.o", "s/g/b", "s/l/c", "s/l/d.o"}) File(file);
  const auto source = OpenTree();
  const PatternList one = PatternList::FromPatterns({"**/*.o", "g"});
  EXPECT_THAT(Paths(source->Walk("s", &one)), ElementsAre("s", "s/l", "s/l/c"));
  const PatternList two = PatternList::FromPatterns({"**", "!l/c", "!g/x"});
  EXPECT_THAT(Paths(source->Walk("s", &two)), ElementsAre("s", "s/l", "s/l/c"));
}

TEST_F(TreeContextTest, DigestsByReading) {
  File("a", "one");
  File("b", "two");
  const auto source = OpenTree();
  EXPECT_EQ(Digests(*source).at("a"), oci::Digest::OfBytes("one").hex());
  EXPECT_EQ(Digests(*source).at("b"), oci::Digest::OfBytes("two").hex());
  EXPECT_FALSE(source->WhyHidden("a"));
  source->Flush();
}

TEST_F(TreeContextTest, NothingAtAll) {
  const auto source = OpenTreeContext(std::make_shared<EmptyTree>(), "scratch",
                                      pool_, CancelToken());
  EXPECT_THAT(Paths(source->Walk("", nullptr)), ElementsAre(""));
  EXPECT_THAT(source->Walk("etc", nullptr), IsEmpty());
}

// A directory in a directory in a directory.
class BottomlessTree : public EmptyTree {
 public:
  std::optional<FileInfo> Lstat(const std::string&) const override {
    return EmptyTree::Lstat("");
  }
  std::vector<std::string> List(const std::string&) const override {
    return {"d"};
  }
};

TEST_F(TreeContextTest, BottomlessTreesAreRefused) {
  const auto source = OpenTreeContext(std::make_shared<BottomlessTree>(), "odd",
                                      pool_, CancelToken());
  try {
    source->Walk("", nullptr);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.message(),
                ::testing::EndsWith(": more than 2000 levels of directories"));
  }
}

}  // namespace
}  // namespace imgbuild::context
