// What moby/patternmatcher answers for these patterns and paths, whether or
// not it was meant.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/error.h"

namespace imgbuild::context {
namespace {

struct Row {
  std::vector<std::string> patterns;
  std::string path;
  bool excluded;
};

const std::vector<Row>& SinglePatternRows() {
  static const auto* const kRows = new std::vector<Row>{
      // Double stars.
      {{"**"}, "file", true},
      {{"**"}, "file/", true},
      {{"**/"}, "file", true},
      {{"**/"}, "file/", true},
      {{"**"}, "/", true},
      {{"**/"}, "/", true},
      {{"**"}, "dir/file", true},
      {{"**/"}, "dir/file", true},
      {{"**"}, "dir/file/", true},
      {{"**/"}, "dir/file/", true},
      {{"**/**"}, "dir/file", true},
      {{"**/**"}, "dir/file/", true},
      {{"dir/**"}, "dir/file", true},
      {{"dir/**"}, "dir/file/", true},
      {{"dir/**"}, "dir/dir2/file", true},
      {{"dir/**"}, "dir/dir2/file/", true},
      {{"dir/**"}, "dir", false},
      {{"dir/**"}, "dirx/file", false},
      {{"**/dir"}, "dir", true},
      {{"**/dir"}, "dir/file", true},
      {{"**/dir"}, "a/dir", true},
      {{"**/dir"}, "adir", false},
      {{"**/dir2/*"}, "dir/dir2/file", true},
      {{"**/dir2/*"}, "dir/dir2/file/", true},
      {{"**/dir2/**"}, "dir/dir2/dir3/file", true},
      {{"**/dir2/**"}, "dir/dir2/dir3/file/", true},
      {{"**file"}, "file", true},
      {{"**file"}, "dir/file", true},
      {{"**/file"}, "dir/file", true},
      {{"**file"}, "dir/dir/file", true},
      {{"**/file"}, "dir/dir/file", true},
      {{"**/file*"}, "dir/dir/file", true},
      {{"**/file*"}, "dir/dir/file.txt", true},
      {{"**/file*txt"}, "dir/dir/file.txt", true},
      {{"**/file*.txt"}, "dir/dir/file.txt", true},
      {{"**/file*.txt*"}, "dir/dir/file.txt", true},
      {{"**/**/*.txt"}, "dir/dir/file.txt", true},
      {{"**/**/*.txt2"}, "dir/dir/file.txt", false},
      {{"**/*.txt"}, "file.txt", true},
      {{"**/**/*.txt"}, "file.txt", true},
      {{"a**/*.txt"}, "a/file.txt", true},
      {{"a**/*.txt"}, "a/dir/file.txt", true},
      {{"a**/*.txt"}, "a/dir/dir/file.txt", true},
      {{"a/*.txt"}, "a/dir/file.txt", false},
      {{"a/*.txt"}, "a/file.txt", true},
      {{"a/*.txt**"}, "a/file.txt", true},
      {{"**/foo/bar"}, "foo/bar", true},
      {{"**/foo/bar"}, "dir/foo/bar", true},
      {{"**/foo/bar"}, "dir/dir2/foo/bar", true},
      {{"abc/**"}, "abc", false},
      {{"abc/**"}, "abc/def", true},
      {{"abc/**"}, "abc/def/ghi", true},
      {{"**/.foo"}, ".foo", true},
      {{"**/.foo"}, "bar.foo", false},
      {{"a/**/b"}, "a/b", true},
      {{"a/**/b"}, "a/x/b", true},
      {{"a/**/b"}, "a/x/y/b", true},
      {{"a/**/b"}, "a/xb", false},
      {{"**.md"}, "README.md", true},
      {{"**.md"}, "docs/README.md", true},
      {{"**.md"}, "docs/README.mdx", false},
      {{"**/*.go"}, "cmd/tool/main.go", true},
      {{"*/temp*"}, "somedir/temporary.txt", true},
      {{"*/temp*"}, "somedir/temp", true},
      {{"*/temp*"}, "a/b/temp", false},
      {{"*/*/temp*"}, "a/b/temporary.txt", true},
      {{"temp?"}, "tempa", true},
      {{"temp?"}, "temp", false},
      // "**" in front makes the rest a plain suffix, with no wildcards in it.
      {{"**foo"}, "xfoo", true},
      {{"**foo"}, "a/xfoo", true},
      {{"**foo"}, "foox", false},
      {{"**a|b"}, "xa|b", true},
      {{"**a|b"}, "xb", false},
      // "x**" is a plain prefix.
      {{"a**"}, "abc", true},
      {{"a**"}, "a/b/c", true},
      {{"a**"}, "ba", false},
      {{"***"}, "a/b", true},
      {{"***/x"}, "a/x", true},
      {{"***/x"}, "x", false},
      // Classes.
      {{"a[b-d]e"}, "ae", false},
      {{"a[b-d]e"}, "ace", true},
      {{"a[b-d]e"}, "aae", false},
      {{"a[^b-d]e"}, "aze", true},
      {{"a[^b-d]e"}, "ace", false},
      {{"a[^b]c"}, "a/c", true},
      {{"[0-9]*"}, "1x", true},
      {{"[0-9]*"}, "x1", false},
      {{"[[:alpha:]]x"}, "ax", true},
      {{"[[:alpha:]]x"}, "1x", false},
      // A star or a question mark in a class is a wildcard first.
      {{"x[*]"}, "x]", true},
      {{"x[*]"}, "x*", false},
      {{"x[*]"}, "x^^]", true},
      {{"x[?]"}, "x?", false},
      {{"x[?]"}, "x/]", true},
      // Single stars.
      {{".*"}, ".foo", true},
      {{".*"}, "foo", false},
      {{"*"}, "a", true},
      {{"*"}, "a/b", true},
      {{"*c"}, "abc", true},
      {{"a*"}, "a", true},
      {{"a*"}, "abc", true},
      {{"a*"}, "ab/c", true},
      {{"a*/b"}, "abc/b", true},
      {{"a*/b"}, "a/c/b", false},
      {{"a*b*c*d*e*/f"}, "axbxcxdxe/f", true},
      {{"a*b*c*d*e*/f"}, "axbxcxdxexxx/f", true},
      {{"a*b*c*d*e*/f"}, "axbxcxdxe/xxx/f", false},
      {{"a*b*c*d*e*/f"}, "axbxcxdxexxx/fff", false},
      {{"a*b?c*x"}, "abxbbxdbxebxczzx", true},
      {{"a*b?c*x"}, "abxbbxdbxebxczzy", false},
      {{"ab[c]"}, "abc", true},
      {{"ab[b-d]"}, "abc", true},
      {{"ab[e-g]"}, "abc", false},
      {{"ab[^c]"}, "abc", false},
      {{"ab[^b-d]"}, "abc", false},
      {{"ab[^e-g]"}, "abc", true},
      {{"*x"}, "xxx", true},
      {{"a?b"}, "a/b", false},
      {{"a*b"}, "a/b", false},
      // Characters, not bytes.
      {{"a?b"}, "a\u263Ab", true},
      {{"a[^a]b"}, "a\u263Ab", true},
      {{"a???b"}, "a\u263Ab", false},
      {{"a[^a][^a][^a]b"}, "a\u263Ab", false},
      {{"[a-\u03B6]*"}, "\u03B1", true},
      {{"*[a-\u03B6]"}, "A", false},
      {{"a?b"},
       "a\xFF"
       "b",
       true},
      {{"a??b"},
       "a\xE2\x98"
       "b",
       true},
      {{"\u00E9*"}, "\u00E9t\u00E9", true},
      {{"\xFF*"}, "\xFEx", true},
      // Escapes.
      {{"a\\*b"}, "a*b", true},
      {{"a\\*b"}, "ab", false},
      {{"a\\\\"}, "a\\", true},
      {{"[\\]a]"}, "]", true},
      {{"[\\-]"}, "-", true},
      {{"[x\\-]"}, "x", true},
      {{"[x\\-]"}, "-", true},
      {{"[x\\-]"}, "z", false},
      {{"[\\-x]"}, "x", true},
      {{"[\\-x]"}, "-", true},
      {{"[\\-x]"}, "a", false},
      {{"a\\?b"}, "a?b", true},
      {{"a\\?b"}, "axb", false},
      // Plain text that only looks like a regular expression.
      {{"abc.def"}, "abcdef", false},
      {{"abc.def"}, "abc.def", true},
      {{"abc.def"}, "abcZdef", false},
      {{"abc?def"}, "abcZdef", true},
      {{"abc?def"}, "abcdef", false},
      {{"a(b)c/def"}, "a(b)c/def", true},
      {{"a(b)c/def"}, "a(b)c/xyz", false},
      {{"a.|)$(}+{bc"}, "a.|)$(}+{bc", true},
      {{"dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl"},
       "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
       true},
      {{"dist/*.whl"},
       "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
       true},
      {{"*.$(x)+"}, "a.$(x)+", true},
      {{"a^b"}, "a^b", true},
      // What leaks into the regular expression once there is a wildcard.
      {{"a|b*"}, "a/zzz", true},
      {{"a|b*"}, "xx/bc", true},
      {{"a|b*"}, "xx/cc", false},
      {{"a{2}*"}, "aab", true},
      {{"a{2}*"}, "a{2}b", false},
      {{"a{x}*"}, "a{x}b", true},
      {{"a^b*"}, "a^bc", false},
      {{"v\\d*"}, "v7", true},
      {{"v\\d*"}, "vd", false},
      {{"v\\w?"}, "v_x", true},
      {{"\\x41*"}, "Abc", true},
      {{"\\Qa.b"}, "a.b", false},
      {{"\\ba*"}, "abc", true},
      // A dot does not match a line end, and "**" is made of dots.
      {{"**/foo*"}, "a\nb/foo", false},
      {{"*/foo*"}, "a\nb/foo", true},
      // Cleaning.
      {{"dir/"}, "dir/file", true},
      {{"./dir"}, "dir", true},
      {{"a/./b//c"}, "a/b/c", true},
      {{"a/../b"}, "b", true},
      {{"."}, "a", false},
      {{"/"}, "a", false},
      {{"/a"}, "a", false},  // only an ignore file's reader drops the slash
      {{" a "}, "a", true},
      {{"\u00A0a\u2003"}, "a", true},
      {{"../a"}, "a", false},
      // Case, parents.
      {{"Makefile"}, "makefile", false},
      {{"docs"}, "docs/a/b/c", true},
      {{"docs"}, "xdocs/a", false},
      {{"docs"}, "a/docs", false},
      {{"a/*"}, "a", false},
      {{"a/*"}, "a/b/c", true},
      {{"x"}, ".", false},
      {{"**"}, ".", false},
      {{"**"}, "", false},
  };
  return *kRows;
}

const std::vector<Row>& ManyPatternRows() {
  static const auto* const kRows = new std::vector<Row>{
      {{}, "any/path/there", false},
      {{"", "  "}, "a", false},
      {{"!fileutils.go", "*.go"}, "fileutils.go", true},
      {{"*.go", "!fileutils.go"}, "fileutils.go", false},
      {{"*.go", "!fileutils.go"}, "other.go", true},
      {{"docs", "!docs/README.md"}, "docs/README.md", false},
      {{"docs", "!docs/README.md"}, "docs/other.md", true},
      {{"docs/", "!docs/README.md"}, "docs/README.md", false},
      {{"docs/*", "!docs/README.md"}, "docs/README.md", false},
      {{"docs", "  !docs/README.md"}, "docs/README.md", false},
      {{"docs", "!docs/README.md  "}, "docs/README.md", false},
      {{"**", "!util/docker/web"}, "util/docker/web/foo", false},
      {{"**", "!util/docker/web"}, "util/docker", true},
      {{"**", "!util/docker/web", "util/docker/web/foo"},
       "util/docker/web/foo",
       true},
      {{"**", "!dist/*.whl"},
       "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
       false},
      {{"*.md", "!README*.md", "README-secret.md"}, "README.md", false},
      {{"*.md", "!README*.md", "README-secret.md"}, "README-secret.md", true},
      {{"*.md", "README-secret.md", "!README*.md"}, "README-secret.md", false},
      {{"**", "!**/*.go"}, "a/b/c.go", false},
      {{"**", "!**/*.go"}, "a/b/c.c", true},
      {{"a", "!a/b", "a/b/c"}, "a/b/c", true},
      {{"a", "!a/b", "a/b/c"}, "a/b/d", false},
      // A later pattern that matches the parent counts for the child again.
      {{"a", "!a/b", "a"}, "a/b", true},
      {{"!a"}, "a", false},
      {{"a", "!!a"}, "a", true},
      // Without an ignore file's reader, "!./x" keeps its dot and misses.
      {{"x", "!./x"}, "x", true},
      // Cleaned together with its '!', which ".." takes away.
      {{"x", "!/../x"}, "x", true},
  };
  return *kRows;
}

void Check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    std::string shown;
    for (const std::string& pattern : row.patterns) shown += pattern + " ; ";
    const PatternList list = PatternList::FromPatterns(row.patterns);
    EXPECT_EQ(list.Match(row.path).excluded, row.excluded)
        << "patterns " << shown << " path " << row.path;
  }
}

TEST(PatternTable, SinglePatterns) {
  ASSERT_GE(SinglePatternRows().size(), 150u);
  Check(SinglePatternRows());
}

TEST(PatternTable, ManyPatterns) { Check(ManyPatternRows()); }

TEST(PatternTable, Malformed) {
  const struct {
    const char* pattern;
    const char* message;
  } kRows[] = {
      {"[", "pattern \"[\": syntax error"},
      {"[^", "pattern \"[^\": syntax error"},
      {"[^bc", "pattern \"[^bc\": syntax error"},
      {"a[", "pattern \"a[\": syntax error"},
      {"[]a]", "pattern \"[]a]\": syntax error"},
      {"[-]", "pattern \"[-]\": syntax error"},
      {"[x-]", "pattern \"[x-]\": syntax error"},
      {"[-x]", "pattern \"[-x]\": syntax error"},
      {"[a-b-c]", "pattern \"[a-b-c]\": syntax error"},
      {"!", "illegal exclusion pattern \"!\""},
      {"!/", "illegal exclusion pattern \"!\""},
      {"[Local-Only]/",
       "pattern \"[Local-Only]/\": invalid character class range"},
      {"x\\y*", "pattern \"x\\\\y*\": invalid escape sequence"},
      {"a{2}{3}*", "pattern \"a{2}{3}*\": invalid nested repetition operator"},
      {"*|{2}", "pattern \"*|{2}\": missing argument to repetition operator"},
      {"a{1001}*", "pattern \"a{1001}*\": invalid repeat count"},
      {"\\pL*", "pattern \"\\\\pL*\": unicode classes are not supported"},
  };
  for (const auto& row : kRows) {
    try {
      PatternList::FromPatterns({row.pattern});
      ADD_FAILURE() << row.pattern;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kDockerfile);
      EXPECT_EQ(e.message(), row.message) << row.pattern;
    }
  }
  // An exception is asked about what is left out before it, and about nothing
  // else.
  EXPECT_THROW(PatternList::FromPatterns({"a", "![b-a]"}), Error);
  EXPECT_TRUE(PatternList::FromPatterns({"![b-a]"}).empty());
  EXPECT_THROW(PatternList::FromPatterns({"![a"}), Error);
  EXPECT_THROW(PatternList::FromPatterns({"\\"}), Error);
  EXPECT_THROW(PatternList::FromPatterns({"a\\"}), Error);
}

}  // namespace
}  // namespace imgbuild::context
