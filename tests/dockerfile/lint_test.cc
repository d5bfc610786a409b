// The rules that need only the text, and what is told of what they find. The
// whole texts are compared with BuildKit's in tests/e2e/check_test.py.
#include "imgbuild/dockerfile/lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Dockerfile ParseText(const std::string& text) {
  return Parse(std::make_shared<SourceFile>("Dockerfile", text));
}

// "StageNameCasing:1" of what is told on that occasion.
std::vector<std::string> Told(const std::string& text, LintOccasion occasion,
                              const std::optional<std::string>& build_arg = {},
                              const std::string& target = "") {
  const Dockerfile file = ParseText(text);
  std::vector<std::string> out;
  for (const Finding& finding :
       SelectFindings(file, EffectiveCheckOptions(file, build_arg), occasion,
                      Lint({file, occasion, target}))) {
    out.push_back(std::string(RuleOf(finding.rule).name) + ":" +
                  std::to_string(finding.range.begin().line));
  }
  return out;
}

std::vector<std::string> Check(const std::string& text) {
  return Told(text, LintOccasion::kCheck);
}

TEST(LintRulesTest, TheTableIsWhole) {
  ASSERT_EQ(Rules().size(), 28u);
  std::set<std::string_view> names;
  for (size_t i = 0; i < Rules().size(); ++i) {
    const Rule& rule = Rules()[i];
    EXPECT_EQ(static_cast<size_t>(rule.id), i) << rule.name;
    EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    for (const std::string_view text : {rule.name, rule.description, rule.fires,
                                        rule.why, rule.bad, rule.good}) {
      EXPECT_FALSE(text.empty()) << rule.name;
    }
    EXPECT_EQ(FindRule(rule.name), &rule);
    EXPECT_EQ(rule.check_only, rule.name.starts_with("imgbuild/"));
  }
}

// The examples of a page are examples: the bad one has a finding of the rule,
// the good one has none.
TEST(LintRulesTest, ExamplesAreTrue) {
  for (const Rule& rule : Rules()) {
    if (!rule.judge_instruction && !rule.judge_file) continue;
    const auto fires = [&](std::string_view example) {
      std::string text(example);
      if (text.starts_with("# check=")) {
        text += "\nFROM scratch";
      } else if (text.find("FROM") == std::string::npos) {
        text = "FROM scratch\n" + text;
      }
      const Dockerfile file = ParseText(text);
      for (const Finding& f : Lint({file, LintOccasion::kCheck})) {
        if (f.rule == rule.id) return true;
      }
      return false;
    };
    EXPECT_TRUE(fires(rule.bad)) << rule.name;
    EXPECT_FALSE(fires(rule.good)) << rule.name;
  }
}

TEST(LintRulesTest, NearestName) {
  EXPECT_EQ(NearestRule("StageNameCasng"), "StageNameCasing");
  EXPECT_EQ(NearestRule("undefinedvar"), "UndefinedVar");
  EXPECT_EQ(NearestRule("UnusedStage"), "imgbuild/UnusedStage");
  EXPECT_EQ(NearestRule("UnusedSatge"), "imgbuild/UnusedStage");
  EXPECT_EQ(NearestRule("WorkdirRelative"), "WorkdirRelativePath");
  EXPECT_EQ(NearestRule("Nonsense"), std::nullopt);
}

TEST(LintSelectTest, Directive) {
  const std::string body = "FROM scratch AS A\nMAINTAINER me\n";
  EXPECT_THAT(Check(body),
              ElementsAre("StageNameCasing:1", "MaintainerDeprecated:2"));
  EXPECT_THAT(Check("# check=skip=StageNameCasing\n" + body),
              ElementsAre("MaintainerDeprecated:3"));
  EXPECT_THAT(
      Check("# check=skip=MaintainerDeprecated, StageNameCasing\n" + body),
      IsEmpty());
  EXPECT_THAT(Check("# check=skip=all\n" + body), IsEmpty());
  // Names are exact.
  EXPECT_THAT(Check("# check=skip=stagenamecasing\n" + body),
              ElementsAre("StageNameCasing:2", "MaintainerDeprecated:3",
                          "imgbuild/UnknownRule:1"));
}

TEST(LintSelectTest, BuildArgTakesTheDirectivesPlace) {
  const std::string text =
      "# check=skip=all\nFROM scratch AS A\nMAINTAINER me\n";
  const auto told = [&](const std::string& arg) {
    return Told(text, LintOccasion::kBuild, arg);
  };
  EXPECT_THAT(told("skip=StageNameCasing"),
              ElementsAre("MaintainerDeprecated:3"));
  EXPECT_THAT(told(""),
              ElementsAre("StageNameCasing:2", "MaintainerDeprecated:3"));
  EXPECT_THROW(told("skipp=all"), Error);
}

TEST(LintSelectTest, Experimental) {
  const std::string body = "# some words\nARG A=1\nFROM scratch$A\n";
  EXPECT_THAT(Told("\n" + body, LintOccasion::kBuild), IsEmpty());
  EXPECT_THAT(Told("# check=experimental=all\n\n" + body, LintOccasion::kBuild),
              ElementsAre("InvalidDefinitionDescription:4"));
  // To ask for it outweighs skipping, as in BuildKit.
  EXPECT_THAT(
      Told("# check=skip=all;experimental=InvalidDefinitionDescription\n\n" +
               body,
           LintOccasion::kBuild),
      ElementsAre("InvalidDefinitionDescription:4"));
}

TEST(LintSelectTest, CommentAboveAnInstruction) {
  EXPECT_THAT(Check("\n# check=skip=StageNameCasing\n"
                    "# check=skip=UndefinedVar\n"
                    "FROM scratch AS A\n"),
              IsEmpty());
  EXPECT_THAT(Check("FROM scratch\n"
                    "# words\n"
                    "#check = skip = MaintainerDeprecated\n"
                    "MAINTAINER me\n"
                    "MAINTAINER me\n"),
              ElementsAre("MaintainerDeprecated:5"));
  // Behind a continuation the finding stands on another line of it.
  EXPECT_THAT(Check("FROM scratch\n"
                    "# check=skip=NoEmptyContinuation\n"
                    "ENV a=1 \\\n\n  b=2\n"
                    "ENV c=1 \\\n\n  d=2\n"),
              ElementsAre("NoEmptyContinuation:8"));
  // Prose that begins like it.
  EXPECT_THAT(Check("FROM scratch\n# check the mail\nMAINTAINER me\n"),
              ElementsAre("MaintainerDeprecated:3"));
}

TEST(LintSelectTest, OursOnlyInACheck) {
  const std::string text = "FROM scratch AS a\nFROM scratch\n";
  EXPECT_THAT(Check(text), ElementsAre("imgbuild/UnusedStage:1"));
  EXPECT_THAT(Told(text, LintOccasion::kBuild), IsEmpty());
  EXPECT_THAT(Check("# check=skip=imgbuild/*\n" + text), IsEmpty());
  EXPECT_THAT(Check("# check=skip=imgbuild/UnusedStage\n" + text), IsEmpty());
  EXPECT_THAT(Told(text, LintOccasion::kCheck, {}, "a"), IsEmpty());
}

TEST(LintSelectTest, NamesOnceAndSorted) {
  const Dockerfile file =
      ParseText("FROM scratch AS B\nMAINTAINER x\nFROM scratch AS A\n");
  EXPECT_EQ(RuleNames(Lint({file, LintOccasion::kBuild})),
            "MaintainerDeprecated, StageNameCasing");
}

TEST(LintTest, OddPlacesOfNames) {
  // Continued words and tabs; a name over two lines is taken as it is stored.
  EXPECT_THAT(Check("FROM scratch \\\n AS \\\n Base\n"),
              ElementsAre("StageNameCasing:1"));
  EXPECT_THAT(Check("FROM\tscratch\tas\tbase\n"),
              ElementsAre("FromAsCasing:1"));
  EXPECT_THAT(Check("FROM scratch AS ba\\\nse\n"), IsEmpty());
}

TEST(LintTest, RequiredVariablesAreUses) {
  EXPECT_THAT(Check("FROM scratch\nARG A\nENV b=${A:?set}\n"), IsEmpty());
  EXPECT_THAT(Check("ARG A\nFROM scratch${A:?set}\n"), IsEmpty());
}

TEST(LintTest, StaysLinear) {
  // A chain of stages, each with ARGs that only the last one reads.
  std::string text = "FROM scratch AS s0\n";
  for (int i = 1; i < 5000; ++i) {
    text += "FROM s" + std::to_string(i - 1) + " AS s" + std::to_string(i) +
            "\nARG A" + std::to_string(i) + "=1\n";
  }
  EXPECT_EQ(Check(text).size(), 4999u);
}

}  // namespace
}  // namespace imgbuild::dockerfile
