// What a real builder left out of a tree by odd ignore files, recorded by
// tools/record_ignore.py; and every answer once more by a second, slow reading
// of the rules: patterns as regular expressions.
#include <gtest/gtest.h>

#include <fstream>
#include <optional>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/error.h"

#include "support/recorded_text.h"

namespace imgbuild::context {
namespace {

struct Recorded {
  std::string rules;
  bool refused = false;
  std::vector<std::string> kept;
};

struct Recordings {
  std::vector<std::string> tree;
  std::vector<Recorded> cases;
};

Recordings Read() {
  Recordings out;
  std::ifstream in(std::string(IMGBUILD_TESTDATA) + "/ignore/recorded.txt");
  for (std::string line; std::getline(in, line);) {
    const size_t space = std::min(line.find(' '), line.size());
    const std::string word = line.substr(0, space);
    const std::string text =
        UnquoteRecorded(line.substr(std::min(space + 1, line.size())));
    if (word == "tree") {
      out.tree.push_back(text);
    } else if (word == "rules") {
      out.cases.push_back({text, false, {}});
    } else if (word == "refused") {
      out.cases.back().refused = true;
    } else if (word == "kept") {
      out.cases.back().kept.push_back(text);
    } else {
      ADD_FAILURE() << line;
    }
  }
  return out;
}

TEST(IgnoreRecorded, LeavesOutWhatTheReferenceLeavesOut) {
  const Recordings recordings = Read();
  ASSERT_GE(recordings.cases.size(), 200u);
  int refused = 0;
  for (const Recorded& recorded : recordings.cases) {
    SCOPED_TRACE(recorded.rules);
    std::vector<std::string> kept;
    try {
      const PatternList list = PatternList::ParseIgnoreFile(
          std::make_shared<const SourceFile>(".dockerignore", recorded.rules));
      EXPECT_FALSE(recorded.refused);
      if (recorded.refused) continue;
      for (const std::string& path : recordings.tree) {
        if (!list.Match(path).excluded) kept.push_back(path);
      }
      EXPECT_EQ(kept, recorded.kept);
    } catch (const Error& error) {
      EXPECT_TRUE(recorded.refused) << error.Render();
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

// A pattern as an expression: '*' and '?' stay inside a component, "**/" is
// any number of them, a class is passed on.
std::string Expression(const std::string& pattern) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '*' && i + 1 < pattern.size() && pattern[i + 1] == '*') {
      ++i;
      if (i + 1 < pattern.size() && pattern[i + 1] == '/') ++i;
      out += i + 1 == pattern.size() ? ".*" : "(.*/)?";
    } else if (c == '*') {
      out += "[^/]*";
    } else if (c == '?') {
      out += "[^/]";
    } else if (c == '[' || c == ']' || c == '-' || c == '^') {
      out += c;
    } else {
      if (std::string(".$+(){}|").find(c) != std::string::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

bool SlowMatch(const std::vector<std::string>& patterns,
               const std::string& path) {
  bool excluded = false;
  for (const std::string& written : patterns) {
    const bool exception = written.starts_with('!');
    const std::regex expression(Expression(written.substr(exception ? 1 : 0)));
    bool matched = std::regex_match(path, expression);
    for (size_t end = path.find('/'); end != std::string::npos && !matched;
         end = path.find('/', end + 1)) {
      matched = std::regex_match(path.substr(0, end), expression);
    }
    if (matched) excluded = !exception;
  }
  return excluded;
}

TEST(IgnoreRecorded, AgreesWithExpressionsOnRandomPatterns) {
  const std::vector<std::string> kParts = {
      "a", "b", "c", "foo", ".md", "*", "?", "[ab]", "[^a]", "x+", "(y)"};
  const std::vector<std::string> kNames = {"a",    "b",   "ab",  "foo",
                                           "a.md", "x+c", "(y)", "cc"};
  std::mt19937 random(7);
  const auto below = [&](size_t limit) {
    return static_cast<size_t>(random()) % limit;
  };
  int excluded = 0;
  for (int round = 0; round < 4000; ++round) {
    std::vector<std::string> patterns;
    for (size_t i = 1 + below(3); i > 0; --i) {
      std::string pattern = below(3) == 0 ? "!" : "";
      for (size_t j = 1 + below(3); j > 0; --j) {
        if (below(4) == 0) {
          pattern += "**";
        } else {
          for (size_t k = 1 + below(2); k > 0; --k) {
            pattern += kParts[below(kParts.size())];
          }
        }
        if (j > 1) pattern += "/";
      }
      patterns.push_back(pattern);
    }
    const PatternList list = PatternList::FromPatterns(patterns);
    for (int i = 0; i < 3; ++i) {
      std::string path = kNames[below(kNames.size())];
      for (size_t j = below(3); j > 0; --j) {
        path += "/" + kNames[below(kNames.size())];
      }
      std::string shown;
      for (const std::string& pattern : patterns) shown += pattern + " ; ";
      const bool wanted = SlowMatch(patterns, path);
      ASSERT_EQ(list.Match(path).excluded, wanted) << shown << path;
      excluded += wanted ? 1 : 0;
    }
  }
  EXPECT_GT(excluded, 1000);
}

}  // namespace
}  // namespace imgbuild::context
