#include "imgbuild/util/source.h"

#include <gtest/gtest.h>

#include <memory>

namespace imgbuild {
namespace {

std::shared_ptr<const SourceFile> File(std::string text) {
  return std::make_shared<SourceFile>("f", std::move(text));
}

std::string ExcerptOf(const std::string& text, size_t begin, size_t end) {
  return SourceRange::FromOffsets(File(text), begin, end).Excerpt();
}

TEST(SourceFile, SplitsLines) {
  const SourceFile file("f", "one\r\ntwo\n\nfour");
  EXPECT_EQ(file.line_count(), 4u);
  EXPECT_EQ(file.Line(0), "");
  EXPECT_EQ(file.Line(1), "one");
  EXPECT_EQ(file.Line(2), "two");
  EXPECT_EQ(file.Line(3), "");
  EXPECT_EQ(file.Line(4), "four");
  EXPECT_EQ(file.Line(5), "");
}

TEST(SourceFile, ALastNewlineBeginsNoLine) {
  EXPECT_EQ(SourceFile("f", "one\n").line_count(), 1u);
  EXPECT_EQ(SourceFile("f", "one\n").Line(1), "one");
  EXPECT_EQ(SourceFile("f", "").line_count(), 1u);
  EXPECT_EQ(SourceFile("f", "\n").Line(1), "");
  EXPECT_EQ(SourceFile("f", "\n\n").line_count(), 2u);
}

TEST(SourceFile, KeepsALoneCarriageReturn) {
  EXPECT_EQ(SourceFile("f", "a\rb\n").Line(1), "a\rb");
  EXPECT_EQ(SourceFile("f", "a\r").Line(1), "a\r");
}

TEST(SourcePos, CountsFromOne) {
  const SourceFile file("f", "ab\r\ncd\n");
  const struct {
    size_t offset;
    SourcePos expected;
  } kCases[] = {
      {0, {1, 1}}, {1, {1, 2}}, {2, {1, 3}}, {3, {1, 3}},  {4, {2, 1}},
      {5, {2, 2}}, {6, {2, 3}}, {7, {2, 3}}, {99, {2, 3}},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(SourcePos::FromOffset(file, c.offset), c.expected) << c.offset;
  }
  EXPECT_EQ(SourcePos::FromOffset(SourceFile("f", ""), 0), (SourcePos{1, 1}));
}

TEST(SourceRange, IsFalseWhenNowhere) {
  EXPECT_FALSE(SourceRange());
  EXPECT_EQ(SourceRange().ToString(), "");
  EXPECT_EQ(SourceRange().Excerpt(), "");
  EXPECT_EQ(SourceRange::FromOffsets(File("a"), 0, 1).ToString(), "f:1:1");
}

TEST(SourceRange, MarksTheText) {
  EXPECT_EQ(ExcerptOf("FROM a\nRUN x y\n", 11, 12),
            " --> f:2:5\n"
            "  |\n"
            "2 | RUN x y\n"
            "  |     ^\n");
}

TEST(SourceRange, MarksAnEmptyRangeWithOneCaret) {
  EXPECT_EQ(ExcerptOf("FROM\n", 4, 4),
            " --> f:1:5\n"
            "  |\n"
            "1 | FROM\n"
            "  |     ^\n");
  EXPECT_EQ(ExcerptOf("", 0, 0),
            " --> f:1:1\n"
            "  |\n"
            "1 | \n"
            "  | ^\n");
}

TEST(SourceRange, MarksSeveralLinesToTheEndOfTheFirst) {
  EXPECT_EQ(ExcerptOf("RUN a \\\n  b\n", 4, 11),
            " --> f:1:5\n"
            "  |\n"
            "1 | RUN a \\\n"
            "  |     ^^^\n");
}

TEST(SourceRange, KeepsTabsSoThatTheCaretStaysBelow) {
  EXPECT_EQ(ExcerptOf("\tRUN\tx\n", 5, 6),
            " --> f:1:6\n"
            "  |\n"
            "1 | \tRUN\tx\n"
            "  | \t   \t^\n");
}

TEST(SourceRange, CountsCharactersAndNotBytesBeforeTheCaret) {
  EXPECT_EQ(ExcerptOf("\xc3\xa4\xc3\xb6 x\xc3\xbc y", 5, 8),
            " --> f:1:6\n"
            "  |\n"
            "1 | \xc3\xa4\xc3\xb6 x\xc3\xbc y\n"
            "  |    ^^\n");
}

TEST(SourceRange, ShowsControlCharactersAsQuestionMarks) {
  EXPECT_EQ(ExcerptOf("RUN \x1b[2J\x7f", 4, 5),
            " --> f:1:5\n"
            "  |\n"
            "1 | RUN ?[2J?\n"
            "  |     ^\n");
}

TEST(SourceRange, CutsALongLineAroundTheCaret) {
  const std::string line = std::string(300, 'a') + "X" + std::string(300, 'b');
  EXPECT_EQ(ExcerptOf(line, 300, 301),
            " --> f:1:301\n"
            "  |\n"
            "1 | ..." +
                std::string(53, 'a') + "X" + std::string(106, 'b') +
                "...\n"
                "  |    " +
                std::string(53, ' ') + "^\n");
}

TEST(SourceRange, CutsALongRangeAtTheWindow) {
  const std::string line(400, 'a');
  EXPECT_EQ(ExcerptOf(line, 0, 400),
            " --> f:1:1\n"
            "  |\n"
            "1 | " +
                std::string(160, 'a') +
                "...\n"
                "  | " +
                std::string(160, '^') + "\n");
}

TEST(SourceRange, CutsAtTheEndOfALongLine) {
  const std::string line(400, 'a');
  EXPECT_EQ(ExcerptOf(line, 400, 400),
            " --> f:1:401\n"
            "  |\n"
            "1 | ..." +
                std::string(160, 'a') +
                "\n"
                "  |    " +
                std::string(160, ' ') + "^\n");
}

TEST(SourceRange, NeverCutsInsideACharacter) {
  std::string line;
  for (int i = 0; i < 200; ++i) line += "\xe2\x82\xac";
  const std::string excerpt = ExcerptOf(line, 301, 301);
  EXPECT_EQ(excerpt.find("...\xe2\x82\xac"), excerpt.find("..."));
  EXPECT_NE(excerpt.find("\xe2\x82\xac...\n"), excerpt.npos);
}

}  // namespace
}  // namespace imgbuild
