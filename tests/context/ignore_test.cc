// The reader of ignore files, and the answers step by step.
#include "imgbuild/context/ignore.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::context {
namespace {

std::shared_ptr<const SourceFile> File(const std::string& text) {
  return std::make_shared<const SourceFile>(".dockerignore", text);
}

std::vector<std::string> Rules(const std::string& text) {
  const PatternList list = PatternList::ParseIgnoreFile(File(text));
  std::vector<std::string> rules;
  if (list.empty()) return rules;
  for (int i = 0;; ++i) {
    try {
      rules.push_back(list.RuleRange(i).ToString() + " " + list.RuleText(i));
    } catch (const std::out_of_range&) {
      return rules;
    }
  }
}

bool Excluded(const std::string& text, const std::string& path) {
  return PatternList::ParseIgnoreFile(File(text)).Match(path).excluded;
}

TEST(IgnoreFile, LinesBlanksAndComments) {
  EXPECT_EQ(Rules("test1\n/test2\n\n  lastfile \n# comment\n ! /inverted\n"),
            (std::vector<std::string>{
                ".dockerignore:1:1 test1",
                ".dockerignore:2:1 /test2",
                ".dockerignore:4:3 lastfile",
                ".dockerignore:6:2 ! /inverted",
            }));
  EXPECT_TRUE(Rules("").empty());
  EXPECT_TRUE(Rules("# only\n\n   \n\t\n").empty());
}

TEST(IgnoreFile, ReadsAsTheReferenceDoes) {
  const struct {
    const char* text;
    const char* path;
    bool excluded;
  } kRows[] = {
      {"/a", "a", true},
      {"//a", "a", true},
      {"a/\n", "a/b", true},
      {"a\r\nb\r\n", "a", true},
      {"a\r\nb\r\n", "b", true},
      {"a   \n", "a", true},
      {"\xEF\xBB\xBF"
       "a\n",
       "a", true},
      {"\xEF\xBB\xBF# a\nb", "b", true},
      {"b\n\xEF\xBB\xBF"
       "a",
       "a", false},
      {"# a\na", "a", true},
      {"#a", "#a", false},
      {" #a", "#a", true},
      {"\\#a", "#a", true},
      {"*\n! a\n", "a", false},
      {"*\n!/a\n", "a", false},
      {"*\n!./a\n", "a", false},
      {"*\n!a/\n", "a/b", false},
      {"*\n!a/../b\n", "b", false},
      {"**\n!**/*.go\n", "x/y.go", false},
      {"**.md", "a/b.md", true},
      {".", "a", false},
      {"/", "a", false},
      {"..", "a", false},
      {"../a", "a", false},
      {"a#b", "a#b", true},
      {"node_modules\n!node_modules/keep", "node_modules/keep/x", false},
      {"\xC2\xA0"
       "a",
       "a", true},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Excluded(row.text, row.path), row.excluded)
        << row.text << " : " << row.path;
  }
}

TEST(IgnoreFile, ErrorsPointAtThePattern) {
  const struct {
    const char* text;
    const char* place;
    const char* message;
  } kRows[] = {
      {"ok\n  !  \n", ".dockerignore:2:3", "illegal exclusion pattern \"!\""},
      {"a\nb[", ".dockerignore:2:1", "pattern \"b[\": syntax error"},
      {"x/[b-a]", ".dockerignore:1:1",
       "pattern \"x/[b-a]\": invalid character class range"},
  };
  for (const auto& row : kRows) {
    try {
      PatternList::ParseIgnoreFile(File(row.text));
      ADD_FAILURE() << row.text;
    } catch (const Error& e) {
      EXPECT_EQ(e.message(), row.message);
      EXPECT_EQ(e.range().ToString(), row.place);
      EXPECT_EQ(e.code(), ErrorCode::kDockerfile);
    }
  }
}

TEST(IgnoreFile, LinesHaveALimit) {
  EXPECT_TRUE(Excluded(std::string(65535, 'a'), std::string(65535, 'a')));
  try {
    PatternList::ParseIgnoreFile(File("x\n" + std::string(65536, 'a')));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "line is longer than 65535 bytes");
    EXPECT_EQ(e.range().begin().line, 2u);
  }
}

TEST(IgnoreFile, DecisionNamesTheLastRuleThatMatched) {
  const PatternList list =
      PatternList::ParseIgnoreFile(File("# x\nsrc/\n!src/keep\n*.o\n"));
  EXPECT_TRUE(list.has_exceptions());
  auto decision = list.Match("src/main.c");
  EXPECT_TRUE(decision.excluded);
  EXPECT_EQ(decision.pattern, "src/");
  EXPECT_EQ(decision.rule.ToString(), ".dockerignore:2:1");
  EXPECT_EQ(decision.rule.end().column, 5u);
  decision = list.Match("src/keep/x.o");
  EXPECT_FALSE(decision.excluded);
  EXPECT_EQ(decision.pattern, "!src/keep");
  decision = list.Match("other");
  EXPECT_FALSE(decision.excluded);
  EXPECT_FALSE(decision.rule);
  EXPECT_EQ(decision.pattern, "");
}

// The answer of a walk that goes down to `path` step by step.
struct Walked {
  bool excluded = false;
  // Every excluded directory on the way said that it is worth a look.
  bool reachable = true;
};

Walked WalkTo(const PatternList& list, const std::string& path) {
  Walked walked;
  std::shared_ptr<const PatternList::DirState> state = list.Root();
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const bool last = end == std::string::npos;
    const auto decision = list.Step(*state, path.substr(0, end), !last);
    if (last) {
      walked.excluded = decision.excluded;
      return walked;
    }
    if (decision.excluded && !decision.descend) walked.reachable = false;
    state = decision.state;
  }
}

template <typename T>
const T& Pick(const std::vector<T>& from, std::mt19937* random) {
  return from[std::uniform_int_distribution<size_t>(0,
                                                    from.size() - 1)(*random)];
}

TEST(PatternSteps, AgreeWithMatchOnRandomPatterns) {
  const std::vector<std::string> kPatternParts = {
      "a",   "b",   "c",    "/",    "/",   "*",       "**",  "**/",
      "/**", "?",   "[ab]", "[^a]", ".md", "foo",     "a|b", "a{2}",
      "\\a", "\\w", "/a/",  "a/*",  "*/b", "\xC3\xA9"};
  const std::vector<std::string> kPathParts = {"a",   "b",  "c",    "ab",
                                               "foo", "aa", "x.md", "\xC3\xA9"};
  std::mt19937 random(20240607);
  std::uniform_int_distribution<int> count(1, 4);
  int excluded = 0;
  int included_below_excluded = 0;
  for (int round = 0; round < 80000; ++round) {
    std::vector<std::string> patterns;
    for (int i = count(random); i > 0; --i) {
      std::string pattern = random() % 3 == 0 ? "!" : "";
      for (int j = count(random); j > 0; --j) {
        pattern += Pick(kPatternParts, &random);
      }
      patterns.push_back(pattern);
    }
    PatternList list;
    try {
      list = PatternList::FromPatterns(patterns);
    } catch (const Error&) {
      continue;
    }
    for (int i = 0; i < 4; ++i) {
      std::string path = Pick(kPathParts, &random);
      for (int j = count(random); j > 1; --j) {
        path += "/" + Pick(kPathParts, &random);
      }
      const bool wanted = list.Match(path).excluded;
      const Walked walked = WalkTo(list, path);
      std::string shown;
      for (const std::string& pattern : patterns) shown += pattern + " ; ";
      ASSERT_EQ(walked.excluded, wanted) << shown << " path " << path;
      // What is not excluded must not be cut off with its directory.
      if (!wanted) {
        ASSERT_TRUE(walked.reachable) << shown << " path " << path;
        if (list.Match(path.substr(0, path.find('/'))).excluded) {
          ++included_below_excluded;
        }
      }
      excluded += wanted ? 1 : 0;
    }
  }
  // The test means something.
  EXPECT_GT(excluded, 5000);
  EXPECT_GT(included_below_excluded, 200);
}

TEST(PatternSteps, DirectoriesAreEnteredOnlyForLaterExceptions) {
  const struct {
    std::vector<std::string> patterns;
    const char* directory;
    bool descend;
  } kRows[] = {
      {{"docs"}, "docs", false},
      {{"docs", "!docs/a"}, "docs", true},
      {{"docs", "!docs/a/b"}, "docs", true},
      {{"docs", "!other"}, "docs", false},
      {{"docs", "!docs2"}, "docs", false},
      {{"!docs/a", "docs"}, "docs", false},
      {{"docs", "!*.md"}, "docs", false},
      {{"docs", "!*/*.md"}, "docs", true},
      {{"docs", "!**/*.md"}, "docs", true},
      {{"docs", "!src/**/*.md"}, "docs", false},
      {{"docs", "!docs/**"}, "docs", true},
      {{"docs", "!doc**"}, "docs", false},  // it is not even excluded
      {{"**", "!a/b"}, "a", true},
      {{"**", "!a/b"}, "c", false},
  };
  for (const auto& row : kRows) {
    const PatternList list = PatternList::FromPatterns(row.patterns);
    EXPECT_EQ(list.Step(*list.Root(), row.directory, true).descend, row.descend)
        << row.patterns.back() << " " << row.directory;
  }
}

TEST(PatternSteps, RuleOfAStep) {
  const PatternList list = PatternList::FromPatterns({"a", "!b"});
  EXPECT_EQ(list.Step(*list.Root(), "c", false).rule, -1);
  EXPECT_EQ(list.RuleText(-1), "");
  const auto a = list.Step(*list.Root(), "a", true);
  EXPECT_EQ(list.RuleText(a.rule), "a");
  EXPECT_EQ(list.Step(*a.state, "a/x", false).rule, a.rule);
}

}  // namespace
}  // namespace imgbuild::context
