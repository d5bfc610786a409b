#include "imgbuild/context/listing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "context/context_fixture.h"

namespace imgbuild::context {
namespace {

class ListingTest : public ContextFixture {
 protected:
  static PatternList Rules(const std::string& text) {
    return PatternList::ParseIgnoreFile(
        std::make_shared<const SourceFile>(".dockerignore", text));
  }
  // "path" or "path <- line: pattern".
  static std::vector<std::string> Shown(const std::vector<ListedFile>& files) {
    std::vector<std::string> out;
    for (const ListedFile& file : files) {
      std::string text = file.path;
      if (const SourceRange& rule = file.decision.rule) {
        text += " <- " + std::to_string(rule.begin().line) + ": " +
                file.decision.pattern;
      }
      out.push_back(text);
    }
    return out;
  }
  ContextListing List(const std::string& rules) {
    return ListContext(DirTree(fd()), Rules(rules), CancelToken());
  }
};

using Strings = std::vector<std::string>;

TEST_F(ListingTest, NamesTheRuleThatDecided) {
  Dir("src");
  File("src/a.c");
  File("src/a.o");
  File("src.txt");
  Dir("node_modules");
  File("node_modules/x");
  const ContextListing listing =
      List("# comment\nnode_modules\n**/*.o\n*.txt\n!src.txt\n");
  EXPECT_EQ(Shown(listing.files),
            (Strings{"src", "src.txt <- 5: !src.txt", "src/a.c"}));
  EXPECT_EQ(Shown(listing.ignored), (Strings{"node_modules <- 2: node_modules",
                                             "src/a.o <- 3: **/*.o"}));
}

TEST_F(ListingTest, AnIgnoredDirectoryComesAlongForWhatIsInIt) {
  Dir("d");
  File("d/keep");
  File("d/other");
  Dir("e");
  File("e/other");
  const ContextListing listing = List("*\n!*/keep\n");
  EXPECT_EQ(Shown(listing.files),
            (Strings{"d <- 1: *", "d/keep <- 2: !*/keep"}));
  EXPECT_EQ(Shown(listing.ignored), (Strings{"d/other <- 1: *", "e <- 1: *"}));
}

// Both ways of deciding must agree, whatever the rules are.
TEST_F(ListingTest, AgreesWithTheContext) {
  Dir("a");
  Dir("a/b");
  File("a/b/c");
  File("a/d");
  File("x.o");
  Dir("x");
  File("x/y.o");
  for (const char* rules :
       {"", "a", "a\n!a/b", "**/*.o\n!x", "*\n!a/b/c", "*\n!x/y.o\na/b"}) {
    Strings expected = Paths(Open(rules)->Walk("", nullptr));
    expected.erase(expected.begin());  // the root
    Strings got;
    for (const ListedFile& file : List(rules).files) got.push_back(file.path);
    EXPECT_EQ(got, expected) << rules;
  }
}

}  // namespace
}  // namespace imgbuild::context
