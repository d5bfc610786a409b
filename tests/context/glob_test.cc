// Go's filepath.Match, and the expansion of COPY sources.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::context {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(GlobMatch, Table) {
  const struct {
    const char* pattern;
    const char* name;
    bool matches;
  } kRows[] = {
      {"abc", "abc", true},
      {"", "", true},
      {"", "a", false},
      {"*", "abc", true},
      {"*", "", true},
      {"*c", "abc", true},
      {"a*", "a", true},
      {"a*", "abc", true},
      {"a*", "ab/c", false},
      {"a*/b", "abc/b", true},
      {"a*/b", "a/c/b", false},
      {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
      {"a*b*c*d*e*/f", "axbxcxdxexxx/f", true},
      {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false},
      {"a*b*c*d*e*/f", "axbxcxdxexxx/fff", false},
      {"a*b?c*x", "abxbbxdbxebxczzx", true},
      {"a*b?c*x", "abxbbxdbxebxczzy", false},
      {"ab[c]", "abc", true},
      {"ab[b-d]", "abc", true},
      {"ab[e-g]", "abc", false},
      {"ab[^c]", "abc", false},
      {"ab[^b-d]", "abc", false},
      {"ab[^e-g]", "abc", true},
      {"a\\*b", "a*b", true},
      {"a\\*b", "ab", false},
      {"a?b", "a\u263Ab", true},
      {"a[^a]b", "a\u263Ab", true},
      {"a???b", "a\u263Ab", false},
      {"a[^a][^a][^a]b", "a\u263Ab", false},
      {"[a-\u03B6]*", "\u03B1", true},
      {"*[a-\u03B6]", "A", false},
      {"a?b", "a/b", false},
      {"a*b", "a/b", false},
      {"a[^b]c", "a/c", true},
      {"[\\]a]", "]", true},
      {"[\\-]", "-", true},
      {"[x\\-]", "x", true},
      {"[x\\-]", "-", true},
      {"[x\\-]", "z", false},
      {"[\\-x]", "x", true},
      {"[\\-x]", "-", true},
      {"[\\-x]", "a", false},
      {"*x", "xxx", true},
      {"**", "a", true},
      {"**/b", "a/b", true},
      {"**/b", "x/a/b", false},
      {"arr[[]0].txt", "arr[0].txt", true},
      // A star never comes back to an earlier place.
      {"*[^z]*b", "x/yb", false},
      // A mistake behind the chunk that failed is not seen.
      {"x*[", "a", false},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(GlobMatch(row.pattern, row.name), row.matches)
        << row.pattern << " " << row.name;
  }
}

TEST(GlobMatch, Malformed) {
  for (const char* pattern : {"[]a]", "[-]", "[x-]", "[-x]", "\\", "[a-b-c]",
                              "[", "[^", "[^bc", "a[", "a\\", "[\xFF]", "[a"}) {
    EXPECT_THROW(GlobMatch(pattern, "a"), Error) << pattern;
  }
  try {
    GlobMatch("a[", "ab");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "pattern \"a[\": syntax error");
    EXPECT_EQ(e.code(), ErrorCode::kDockerfile);
  }
}

TEST(HasGlob, EscapedOnesDoNotCount) {
  EXPECT_TRUE(HasGlob("a*"));
  EXPECT_TRUE(HasGlob("?"));
  EXPECT_TRUE(HasGlob("a[b"));
  EXPECT_TRUE(HasGlob("\\\\*"));
  EXPECT_FALSE(HasGlob("a\\*b"));
  EXPECT_FALSE(HasGlob("a]b\\"));
  EXPECT_FALSE(HasGlob(""));
}

class ExpandGlobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* dir : {"src", "src/a", "src/b", "docs", "src/a.d"}) {
      ASSERT_EQ(::mkdirat(tmp_.fd(), dir, 0755), 0);
    }
    for (const char* file :
         {"src/a/x.c", "src/a/x.h", "src/b/y.c", "src/main.c", "docs/a.md",
          "a*b", "README.md", "src/a.d/z.c", "f[1]"}) {
      fs::WriteFileAtomic(tmp_.fd(), file, "x");
    }
    ASSERT_EQ(::symlinkat("src", tmp_.fd(), "link"), 0);
    ASSERT_EQ(::symlinkat("/src/a", tmp_.fd(), "abs"), 0);
  }
  std::vector<std::string> Expand(const std::string& pattern) {
    return ExpandGlob(DirTree(tmp_.fd()), pattern);
  }
  fs::TempDir tmp_ = fs::TempDir::InTmp();
};

TEST_F(ExpandGlobTest, PlainPathsAreOnlyCleaned) {
  EXPECT_THAT(Expand("/src//a/../b/"), ElementsAre("src/b"));
  EXPECT_THAT(Expand("../../nothing"), ElementsAre("nothing"));
  EXPECT_THAT(Expand("."), ElementsAre(""));
  EXPECT_THAT(Expand("/"), ElementsAre(""));
  EXPECT_THAT(Expand("a\\*b"), ElementsAre("a\\*b"));
  EXPECT_THAT(Expand("link/main.c"), ElementsAre("link/main.c"));
}

TEST_F(ExpandGlobTest, WildcardsByComponentInBytewiseOrder) {
  EXPECT_THAT(Expand("*.md"), ElementsAre("README.md"));
  EXPECT_THAT(Expand("/*/*.md"), ElementsAre("docs/a.md"));
  EXPECT_THAT(Expand("src/*/?.c"),
              ElementsAre("src/a.d/z.c", "src/a/x.c", "src/b/y.c"));
  EXPECT_THAT(Expand("src/*"),
              ElementsAre("src/a", "src/a.d", "src/b", "src/main.c"));
  EXPECT_THAT(Expand("src/[ab]/../main.*"), ElementsAre("src/main.c"));
  EXPECT_THAT(Expand("s*/a/x.h"), ElementsAre("src/a/x.h"));
  EXPECT_THAT(Expand("f[[]1]"), ElementsAre("f[1]"));
  EXPECT_THAT(Expand("[a]\\**"), ElementsAre("a*b"));
  EXPECT_THAT(Expand("*.none"), IsEmpty());
  EXPECT_THAT(Expand("nothing/*"), IsEmpty());
  EXPECT_THAT(Expand("README.md/*"), IsEmpty());
}

TEST_F(ExpandGlobTest, LinksAreFollowedInFrontOfTheFirstWildcardOnly) {
  EXPECT_THAT(Expand("link/*.c"), ElementsAre("src/main.c"));
  EXPECT_THAT(Expand("abs/*.c"), ElementsAre("src/a/x.c"));
  EXPECT_THAT(Expand("lin*/main.c"), IsEmpty());
  EXPECT_THAT(Expand("lin*"), ElementsAre("link"));
}

TEST_F(ExpandGlobTest, MalformedPattern) {
  EXPECT_THROW(Expand("src/a["), Error);
}

}  // namespace
}  // namespace imgbuild::context
