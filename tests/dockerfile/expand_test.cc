// The expected values of the tables were taken from BuildKit, but for the rows
// that say otherwise.
#include "imgbuild/dockerfile/expand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::map<std::string, std::string, std::less<>>& Variables() {
  static const std::map<std::string, std::string, std::less<>> variables = {
      {"e", ""},      {"a", "abc"},    {"p", "/usr/local/bin/x.tar.gz"},
      {"s", "a b"},   {"x2", "aaa"},   {"é", "uni"},
      {"w", "C:\\x"}, {"st", "a*b?c"}, {"ports", "80 81\t82"}};
  return variables;
}

std::optional<std::string> Find(std::string_view name) {
  const auto found = Variables().find(name);
  if (found == Variables().end()) return std::nullopt;
  return found->second;
}

std::string ExpandText(const std::string& text, char escape = '\\') {
  return Expand(Word{text, {}}, Find, escape).text;
}

std::string MessageOf(const std::string& text, char escape = '\\') {
  try {
    return "no error: " + ExpandText(text, escape);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDockerfile);
    return error.message();
  }
}

struct Row {
  const char* text;
  const char* expected;
};

TEST(ExpandTest, Values) {
  static const Row kRows[] = {
      {R"~($a)~", R"~(abc)~"},
      {R"~(${a})~", R"~(abc)~"},
      {R"~($a$e$u)~", R"~(abc)~"},
      {R"~(x$a.y)~", R"~(xabc.y)~"},
      {R"~($ab)~", R"~()~"},
      {R"~(${a}b)~", R"~(abcb)~"},
      {R"~($)~", R"~($)~"},
      {R"~($.)~", R"~($.)~"},
      {R"~(a$)~", R"~(a$)~"},
      {R"~($$)~", R"~()~"},
      {R"~($1)~", R"~()~"},
      {R"~($12x)~", R"~(x)~"},
      {R"~(${1})~", R"~()~"},
      {R"~($é)~", R"~(uni)~"},
      {R"~($@)~", R"~()~"},
      {R"~(${@})~", R"~()~"},
      {R"~(${a:-d})~", R"~(abc)~"},
      {R"~(${e:-d})~", R"~(d)~"},
      {R"~(${u:-d})~", R"~(d)~"},
      {R"~(${a-d})~", R"~(abc)~"},
      {R"~(${e-d})~", R"~()~"},
      {R"~(${u-d})~", R"~(d)~"},
      {R"~(${a:+d})~", R"~(d)~"},
      {R"~(${e:+d})~", R"~()~"},
      {R"~(${u:+d})~", R"~()~"},
      {R"~(${a+d})~", R"~(d)~"},
      {R"~(${e+d})~", R"~(d)~"},
      {R"~(${u+d})~", R"~()~"},
      {R"~(${a:?m})~", R"~(abc)~"},
      {R"~(${a?m})~", R"~(abc)~"},
      {R"~(${e?m})~", R"~()~"},
      {R"~(${p#*/})~", R"~(usr/local/bin/x.tar.gz)~"},
      {R"~(${p##*/})~", R"~(x.tar.gz)~"},
      {R"~(${p%.*})~", R"~(/usr/local/bin/x.tar)~"},
      {R"~(${p%%.*})~", R"~(/usr/local/bin/x)~"},
      {R"~(${p#/usr})~", R"~(/local/bin/x.tar.gz)~"},
      {R"~(${p#x})~", R"~(/usr/local/bin/x.tar.gz)~"},
      {R"~(${p%gz})~", R"~(/usr/local/bin/x.tar.)~"},
      {R"~(${p%x})~", R"~(/usr/local/bin/x.tar.gz)~"},
      {R"~(${p#*})~", R"~(/usr/local/bin/x.tar.gz)~"},
      {R"~(${p##*})~", R"~()~"},
      {R"~(${p%*})~", R"~(/usr/local/bin/x.tar.gz)~"},
      {R"~(${p%%*})~", R"~()~"},
      {R"~(${p#?usr})~", R"~(/local/bin/x.tar.gz)~"},
      {R"~(${p##/*/})~", R"~(x.tar.gz)~"},
      {R"~(${u#x})~", R"~()~"},
      {R"~(${x2#a})~", R"~(aa)~"},
      {R"~(${x2##a})~", R"~(aa)~"},
      {R"~(${x2%a})~", R"~(aa)~"},
      {R"~(${x2/a/b})~", R"~(baa)~"},
      {R"~(${x2//a/b})~", R"~(bbb)~"},
      {R"~(${x2/a/})~", R"~(aa)~"},
      {R"~(${x2//a/})~", R"~()~"},
      {R"~(${p/usr/opt})~", R"~(/opt/local/bin/x.tar.gz)~"},
      {R"~(${p//\//_})~", R"~(_usr_local_bin_x.tar.gz)~"},
      {R"~(${p/x.*/y})~", R"~(/usr/local/bin/y)~"},
      {R"~(${p/\/usr/})~", R"~(/local/bin/x.tar.gz)~"},
      {R"~(${a/b*/X})~", R"~(aX)~"},
      {R"~(${a/?/X})~", R"~(Xbc)~"},
      {R"~(${a//?/X})~", R"~(XXX)~"},
      {R"~(${a///X})~", R"~(XaXbXcX)~"},
      {R"~(${a//*/X})~", R"~(X)~"},
      {R"~(${a/x/y})~", R"~(abc)~"},
      {R"~(${a//b/$a})~", R"~(aabcc)~"},
      {R"~(${a//b/$e})~", R"~(ac)~"},
      {R"~(${st/\*/S})~", R"~(aSb?c)~"},
      {R"~(${st//\?/Q})~", R"~(a*bQc)~"},
      {R"~(${st#a\*})~", R"~(b?c)~"},
      {R"~(${u:-${a}})~", R"~(abc)~"},
      {R"~(${u:-${v:-${a:-x}}})~", R"~(abc)~"},
      {R"~(${u:-$a$a})~", R"~(abcabc)~"},
      {R"~(${u:-"x y"})~", R"~(x y)~"},
      {R"~(${u:-'x y'})~", R"~(x y)~"},
      {R"~(${u:-\}})~", R"~(})~"},
      {R"~(${u:-a\$b})~", R"~(a$b)~"},
      {R"~("${u:-x y}")~", R"~(x y)~"},
      {R"~("$a")~", R"~(abc)~"},
      {R"~('$a')~", R"~($a)~"},
      {R"~("'$a'")~", R"~('abc')~"},
      {R"~('"'$a'"')~", R"~("abc")~"},
      {R"~(\$a)~", R"~($a)~"},
      {R"~(\a)~", R"~(a)~"},
      {R"~(\\a)~", R"~(\a)~"},
      {R"~("\a")~", R"~(\a)~"},
      {R"~("\$a")~", R"~($a)~"},
      {R"~("\"a\"")~", R"~("a")~"},
      {R"~("\\a")~", R"~(\a)~"},
      {R"~(a\)~", R"~(a)~"},
      {R"~('a\')~", R"~(a\)~"},
      {R"~(${a-})~", R"~(abc)~"},
      {R"~(${u-})~", R"~()~"},
      {R"~(${a:-b}c})~", R"~(abcc})~"},
      {R"~(${-})~", R"~()~"},
      {R"~(${#})~", R"~()~"},
      {R"~(${a#})~", R"~(abc)~"},
      {R"~(${a##})~", R"~(abc)~"},
      {R"~(${a%})~", R"~(abc)~"},
      {R"~("${a#"a"}")~", R"~(bc)~"},
      {R"~(${a#"a"})~", R"~(bc)~"},
      {R"~(${a#'a'})~", R"~(bc)~"},
      {R"~(${w#C:})~", R"~(\x)~"},
      {R"~(${w#C:\\})~", R"~(x)~"},
      {R"~(${w%\\x})~", R"~(C:)~"},
      {R"~(${st#a\\})~", R"~(a*b?c)~"},
      {R"~(${p/\/usr\/local/\/opt})~", R"~(\/opt/bin/x.tar.gz)~"},
      {R"~(${p/usr/a\/b})~", R"~(/a\/b/local/bin/x.tar.gz)~"},
      {R"~(${p/usr/a\nb})~", R"~(/a\nb/local/bin/x.tar.gz)~"},
      {R"~(${a/b/&})~", R"~(a&c)~"},
      {R"~(${a//b/\$1})~", R"~(a\$1c)~"},
      {R"~(${a//(b)/[$a]})~", R"~(abc)~"},
      {R"~(${a/./X})~", R"~(abc)~"},
      {R"~(${s/ /_})~", R"~(a_b)~"},
      {R"~("${s// /_}")~", R"~(a_b)~"},
      {R"~(${u/x/y})~", R"~()~"},
      {R"~(${u//x/y})~", R"~()~"},
      {R"~(${s#* })~", R"~(b)~"},
      {R"~(a"b"'c'd)~", R"~(abcd)~"},
      {R"~("")~", R"~()~"},
      {R"~('')~", R"~()~"},
      {R"~($"a")~", R"~($a)~"},
      {R"~($'a')~", R"~($a)~"},
      {R"~(a${e}b)~", R"~(ab)~"},
      {R"~(${x2//a/aa})~", R"~(aaaaaa)~"},
      {R"~(${p##*.})~", R"~(gz)~"},
      {R"~(${p%/*})~", R"~(/usr/local/bin)~"},
      {R"~(${p%%/*})~", R"~()~"},
      {R"~($é$ü)~", R"~(uni)~"},
      {R"~(${é})~", R"~(uni)~"},
      {R"~(a$—b)~", R"~(a$—b)~"},
      {R"~(${u:-${s}})~", R"~(a b)~"},
      {R"~(${a#}x)~", R"~(abcx)~"},
      {R"~(${x2//a*a/b})~", R"~(b)~"},
      {R"~(${p//l/L})~", R"~(/usr/LocaL/bin/x.tar.gz)~"},
      {R"~(${a/${u}/x})~", R"~(xabc)~"},
  };
  for (const Row& row : kRows)
    EXPECT_EQ(ExpandText(row.text), row.expected) << row.text;
}

TEST(ExpandTest, Errors) {
  static const Row kRows[] = {
      {R"~(${e:?m})~", R"~(expand "${e:?m}": e: m)~"},
      {R"~(${u:?m})~", R"~(expand "${u:?m}": u: m)~"},
      {R"~(${u?m})~", R"~(expand "${u?m}": u: m)~"},
      {R"~(${u?})~", R"~(expand "${u?}": u: is not allowed to be unset)~"},
      {R"~(${u:?})~", R"~(expand "${u:?}": u: is not allowed to be unset)~"},
      {R"~(${e:?})~", R"~(expand "${e:?}": e: is not allowed to be empty)~"},
      {R"~(${a#\a})~",
       R"~(expand "${a#\\a}": invalid escape "\\a" in the pattern "\\a")~"},
      {R"~(${a/\a/b})~",
       R"~(expand "${a/\\a/b}": invalid escape "\\a" in the pattern "\\a")~"},
      {R"~("a\)~", R"~(expand "\"a\\": a double quote has no end)~"},
      {R"~(${a:-${}})~", R"~(expand "${a:-${}}": bad substitution)~"},
      {R"~(${})~", R"~(expand "${}": bad substitution)~"},
      {R"~(${)~", R"~(expand "${": missing '}')~"},
      {R"~(${a)~", R"~(expand "${a": missing '}')~"},
      {R"~(${a:)~", R"~(expand "${a:": missing '}')~"},
      {R"~(${a:-)~", R"~(expand "${a:-": missing '}')~"},
      {R"~(${a/b)~", R"~(expand "${a/b": missing '/')~"},
      {R"~(${a/b})~", R"~(expand "${a/b}": missing '/')~"},
      {R"~(${a/b/)~", R"~(expand "${a/b/": missing '}')~"},
      {R"~(${a/b/c)~", R"~(expand "${a/b/c": missing '}')~"},
      {R"~(${:x})~", R"~(expand "${:x}": bad substitution)~"},
      {R"~(${{x}})~", R"~(expand "${{x}}": bad substitution)~"},
      {R"~(${a=b})~", R"~(expand "${a=b}": unsupported modifier (=))~"},
      {R"~(${a:=b})~", R"~(expand "${a:=b}": unsupported modifier (:=))~"},
      {R"~(${a:#b})~", R"~(expand "${a:#b}": unsupported modifier (:#))~"},
      {R"~(${a:%b})~", R"~(expand "${a:%b}": unsupported modifier (:%))~"},
      {R"~(${a:0:1})~", R"~(expand "${a:0:1}": unsupported modifier (:0))~"},
      {R"~(${a^})~", R"~(expand "${a^}": unsupported modifier (^))~"},
      {R"~(${a,})~", R"~(expand "${a,}": unsupported modifier (,))~"},
      {R"~(${a@Q})~", R"~(expand "${a@Q}": unsupported modifier (@))~"},
      {R"~(${a.b})~", R"~(expand "${a.b}": unsupported modifier (.))~"},
      {R"~(${a b})~", R"~(expand "${a b}": unsupported modifier ( ))~"},
      {R"~(${#a})~", R"~(expand "${#a}": unsupported modifier (a))~"},
      {R"~(${a#a\})~", R"~(expand "${a#a\\}": missing '}')~"},
      {R"~(${a"b"})~", R"~(expand "${a\"b\"}": unsupported modifier ("))~"},
      {R"~("${u:?it is}")~", R"~(expand "\"${u:?it is}\"": u: it is)~"},
      {R"~(${a:?${}})~", R"~(expand "${a:?${}}": bad substitution)~"},
      {R"~(${a+${u?inner}})~", R"~(expand "${a+${u?inner}}": u: inner)~"},
      {R"~(${u+${u?inner}})~", R"~(expand "${u+${u?inner}}": u: inner)~"},
      {R"~(${a:%%b})~", R"~(expand "${a:%%b}": unsupported modifier (:%))~"},
  };
  for (const Row& row : kRows)
    EXPECT_EQ(MessageOf(row.text), row.expected) << row.text;
}

// With # escape=` a backslash is an ordinary character.
TEST(ExpandTest, EscapeDirective) {
  static const Row kRows[] = {
      {R"~(C:\dir\$a)~", R"~(C:\dir\abc)~"},
      {R"~(`$a)~", R"~($a)~"},
      {R"~("`$a`"\")~", R"~($a"\)~"},
      {R"~('`a')~", R"~(`a)~"},
      {R"~(a`)~", R"~(a)~"},
      {R"~(``)~", R"~(`)~"},
      {R"~("`n\n")~", R"~(`n\n)~"},
  };
  for (const Row& row : kRows)
    EXPECT_EQ(ExpandText(row.text, '`'), row.expected) << row.text;
}

TEST(ExpandTest, TellsWhichNamesWereUsed) {
  const ExpandResult result =
      Expand(Word{"$a ${u:-$v} ${e:+$w} '$x' \\$y \"$z\"", {}}, Find, '\\');
  EXPECT_THAT(result.matched, ElementsAre("a", "e", "w"));
  EXPECT_THAT(result.unmatched, ElementsAre("u", "v", "z"));
}

TEST(ExpandTest, ValuesAreNotScannedAgain) {
  const Lookup lookup = [](std::string_view name) {
    return std::optional<std::string>(name == "q" ? "\"'$a\\" : "inner");
  };
  EXPECT_EQ(Expand(Word{"$q-\"$q\"", {}}, lookup, '\\').text,
            "\"'$a\\-\"'$a\\");
}

std::vector<std::string> Words(const std::string& text) {
  return ExpandWords(Word{text, {}}, Find, '\\').words;
}

TEST(ExpandWordsTest, SplitsAtUnquotedBlanks) {
  EXPECT_THAT(Words("$ports"), ElementsAre("80", "81", "82"));
  EXPECT_THAT(Words("1$ports/tcp"), ElementsAre("180", "81", "82/tcp"));
  EXPECT_THAT(Words("\"$ports\""), ElementsAre("80 81\t82"));
  EXPECT_THAT(Words("a' 'b\\ c"), ElementsAre("a b c"));
  EXPECT_THAT(Words("${u:-1 2}"), ElementsAre("1", "2"));
  EXPECT_THAT(Words("${u:-\"1 2\"}"), ElementsAre("1", "2"));
  EXPECT_THAT(Words("a\xC2\xA0 b"), ElementsAre("a", "b"));
  EXPECT_THAT(Words("$u"), IsEmpty());
  EXPECT_THAT(Words("\"\""), IsEmpty());
  EXPECT_THAT(ExpandWords(Word{"$u $a", {}}, Find, '\\').unmatched,
              ElementsAre("u"));
}

std::string ExpandBody(const std::string& body) {
  Heredoc heredoc;
  heredoc.name = "EOF";
  heredoc.body = body;
  return ExpandHeredoc(heredoc, Find).text;
}

TEST(ExpandHeredocTest, QuotesAreOrdinary) {
  EXPECT_EQ(ExpandBody(R"~(x\n \\n \$a $a "${a}" '$a' \" \' `z` end\
next ${u:-"q"} ${u:-'q'}${a#a} $ $.
	tab
)~"),
            R"~(xn \n $a abc "abc" 'abc' " ' `z` end
next "q" 'q'bc $ $.
	tab
)~");
  EXPECT_EQ(ExpandBody("it's \"$a\n"), "it's \"abc\n");
}

TEST(ExpandHeredocTest, NamesUnsetVariables) {
  Heredoc heredoc;
  heredoc.body = "$u $a\n";
  EXPECT_THAT(ExpandHeredoc(heredoc, Find).unmatched, ElementsAre("u"));
}

TEST(HasVariableTest, Table) {
  for (const char* text : {"$a", "x${a}", "\"$a\"", "$1", "$@", "${", "'a'$b",
                           "\"'$a'\"", "\\\\$a"})
    EXPECT_TRUE(HasVariable(text, '\\')) << text;
  for (const char* text : {"", "a", "$", "a$", "$.", "\\$a", "'$a'", "$/x"})
    EXPECT_FALSE(HasVariable(text, '\\')) << text;
  EXPECT_TRUE(HasVariable("\\$a", '`'));
  EXPECT_FALSE(HasVariable("`$a", '`'));
}

// Nothing of this is quadratic.
TEST(ExpandTest, LongWords) {
  const std::string dollars(1'000'000, '$');
  EXPECT_EQ(Expand(Word{dollars, {}}, Find, '\\').text.size(), 0u);
  std::string quotes;
  for (int i = 0; i < 300'000; ++i) quotes += "'\"'\"'\"";
  EXPECT_EQ(ExpandText(quotes).size(), 600'000u);
  const Lookup lookup = [](std::string_view) {
    return std::optional<std::string>(std::string(1'000'000, 'a'));
  };
  EXPECT_EQ(Expand(Word{"${v##*/}", {}}, lookup, '\\').text.size(), 1'000'000u);
  EXPECT_EQ(Expand(Word{"${v//aa/b}", {}}, lookup, '\\').text.size(), 500'000u);
}

TEST(ExpandTest, HostilePatternsEnd) {
  const Lookup lookup = [](std::string_view) {
    return std::optional<std::string>(std::string(200'000, 'a'));
  };
  try {
    Expand(Word{"${v//a*b/}", {}}, lookup, '\\');
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "expand \"${v//a*b/}\": the value is too long for this pattern: "
              "200000 bytes");
  }
}

}  // namespace
}  // namespace imgbuild::dockerfile
