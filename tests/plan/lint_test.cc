// What the plan's rules find where a base image matters, which the cases of
// testdata/checks cannot have.
#include "imgbuild/plan/lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/plan_fixture.h"

namespace imgbuild::plan {
namespace {

using dockerfile::RuleId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "UndefinedVar:3 Usage of …" of every finding but that nothing is pinned.
std::vector<std::string> Shown(const LintReport& report) {
  std::vector<std::string> out;
  for (const dockerfile::Finding& f : report.findings) {
    if (f.rule == RuleId::kUnpinnedImage) continue;
    out.push_back(std::string(dockerfile::RuleOf(f.rule).name) + ":" +
                  std::to_string(f.range.begin().line) + " " + f.message);
  }
  return out;
}

LintReport LintText(const std::string& text,
                    const PlanOptions& options = DefaultOptions(),
                    const LockLookup& locked = nullptr) {
  FakeResolver resolver;
  const dockerfile::Dockerfile file =
      dockerfile::Parse(std::make_shared<SourceFile>("Dockerfile", text));
  return Lint(file, options, locked, resolver);
}

TEST(PlanLintTest, BaseEnvironmentIsDefined) {
  const LintReport report = LintText("FROM old\nENV b=$A c=$B\n");
  EXPECT_THAT(Shown(report), ElementsAre("UndefinedVar:2 Usage of undefined "
                                         "variable '$B'"));
  EXPECT_FALSE(report.error.has_value());
}

TEST(PlanLintTest, MissingBaseIsPassedOver) {
  const LintReport report = LintText(
      "FROM missing AS a\nENV b=$A\nCMD x\n"
      "FROM missing\nENV x y\nFROM busybox\nENV z=$A\n");
  ASSERT_EQ(report.unresolved.size(), 1u);
  EXPECT_EQ(report.unresolved[0].name.Familiar(), "missing:latest");
  EXPECT_FALSE(report.error.has_value());
  EXPECT_THAT(
      Shown(report),
      ElementsAre("imgbuild/UnusedStage:1 Stage \"a\" is used by no other "
                  "stage, so only --target builds it",
                  "imgbuild/UnusedStage:4 Stage 1 has no name and no other "
                  "stage uses it, so it is never built",
                  "LegacyKeyValueFormat:5 \"ENV key=value\" should be used "
                  "instead of legacy \"ENV key value\" format",
                  "UndefinedVar:7 Usage of undefined variable '$A'"));
}

TEST(PlanLintTest, MissingSourceOfCopy) {
  const LintReport report =
      LintText("FROM busybox\nCOPY --from=missing /a /b\nENV c=$d\n");
  EXPECT_EQ(report.unresolved.size(), 1u);
  // The stage's own base is known.
  EXPECT_THAT(Shown(report), ElementsAre("UndefinedVar:3 Usage of undefined "
                                         "variable '$d'"));
}

TEST(PlanLintTest, TargetLimitsWhatIsLookedAt) {
  PlanOptions options = DefaultOptions();
  options.target = "a";
  const std::string text =
      "FROM busybox AS a\nENV b=$x\nFROM missing\nENV c=$y\n";
  const LintReport one = LintText(text, options);
  EXPECT_THAT(Shown(one), ElementsAre("UndefinedVar:2 Usage of undefined "
                                      "variable '$x'"));
  EXPECT_THAT(one.unresolved, IsEmpty());
  EXPECT_EQ(LintText(text).unresolved.size(), 1u);
}

TEST(PlanLintTest, ErrorsStandBesideFindings) {
  const LintReport report =
      LintText("FROM busybox\nENV a=$x\nSTOPSIGNAL NONE\nENV b=$y\n");
  EXPECT_THAT(Shown(report), ElementsAre("UndefinedVar:2 Usage of undefined "
                                         "variable '$x'"));
  ASSERT_TRUE(report.error.has_value());
  EXPECT_EQ(report.error->range().begin().line, 3u);
}

TEST(PlanLintTest, TriggersOfABaseStandAtFrom) {
  // The triggers are ARG, RUN and COPY: the ARG defines V for what follows.
  EXPECT_THAT(Shown(LintText("\nFROM onbuild\nENV a=$V\n")), IsEmpty());
  EXPECT_THAT(Shown(LintText("FROM busybox AS a\nONBUILD ENV a=$x\n"
                             "ONBUILD CMD y\n\nFROM a\nCMD [\"z\"]\n")),
              ElementsAre("UndefinedVar:5 Usage of undefined variable '$x'",
                          "JSONArgsRecommended:5 JSON arguments recommended "
                          "for CMD to prevent unintended behavior related to "
                          "OS signals",
                          "MultipleInstructionsDisallowed:5 Multiple CMD "
                          "instructions should not be used in the same stage "
                          "because only the last one will be used"));
}

TEST(PlanLintTest, Pins) {
  const std::string digest = "sha256:" + std::string(64, '1');
  const auto rules = [&](const std::string& from, const LockLookup& locked) {
    std::vector<std::string> out;
    for (const auto& f :
         LintText("FROM " + from + "\nENV a=1\n", DefaultOptions(), locked)
             .findings) {
      out.push_back(f.message);
    }
    return out;
  };
  const LockLookup empty = [](const oci::Reference&) { return std::nullopt; };
  const LockLookup full =
      [&](const oci::Reference&) -> std::optional<oci::Digest> {
    return oci::Digest::Parse(digest);
  };
  EXPECT_THAT(rules("busybox", nullptr),
              ElementsAre("Image busybox:latest is not pinned: it has no "
                          "digest and there is no Dockerfile.lock"));
  EXPECT_THAT(rules("busybox:1", empty),
              ElementsAre("Image busybox:1 is not pinned: it has no digest, "
                          "and the lock has no entry for it"));
  EXPECT_THAT(rules("busybox", full), IsEmpty());
  EXPECT_THAT(rules("busybox@" + digest, nullptr), IsEmpty());
  EXPECT_THAT(rules("busybox:1@" + digest, full), IsEmpty());
  const std::string other = "sha256:" + std::string(64, '2');
  EXPECT_THAT(rules("busybox:1@" + other, full),
              ElementsAre("Image busybox:1 has the digest " + other +
                          ", but the lock has " + digest));
  EXPECT_THAT(rules("scratch", empty), IsEmpty());
}

TEST(PlanLintTest, NamedContextsNeedNoPin) {
  PlanOptions options = DefaultOptions();
  options.named_contexts["base"] = "docker-image://busybox:1";
  EXPECT_THAT(LintText("FROM base\nCOPY --from=base /a /b\n", options).findings,
              IsEmpty());
}

TEST(PlanLintTest, HiddenSources) {
  PlanOptions options = DefaultOptions();
  std::vector<std::string> asked;
  options.hidden_by_ignore_file = [&](const std::string& path) {
    asked.push_back(path);
    return path == "secret";
  };
  const LintReport report = LintText(
      "FROM busybox AS a\n"
      "FROM busybox\n"
      "COPY . ./secret /secret/x a/../b* /d/\n"
      "ADD https://example.com/secret git@example.com:x.git /e/\n"
      "COPY --from=a secret /f/\n"
      "COPY <<secret /g\nsecret\n",
      options);
  EXPECT_THAT(asked, ElementsAre(".", "secret", "secret/x", "b*"));
  EXPECT_THAT(Shown(report),
              ElementsAre("CopyIgnoredFile:3 Attempting to Copy file "
                          "\"secret\" that is excluded by .dockerignore"));
}

TEST(PlanLintTest, AnOrdinaryPlanFindsTheSame) {
  FakeResolver resolver;
  const BuildGraph graph =
      PlanText("FROM busybox\nENV a=$x\nENV b c\n", DefaultOptions(), resolver);
  ASSERT_EQ(graph.findings.size(), 2u);
  EXPECT_EQ(graph.findings[0].rule, RuleId::kUndefinedVar);
  // The word, for editors.
  EXPECT_EQ(graph.findings[0].focus.ToString(), "Dockerfile:2:7");
  EXPECT_EQ(graph.findings[0].range.ToString(), "Dockerfile:2:1");
  EXPECT_EQ(graph.findings[1].rule, RuleId::kLegacyKeyValueFormat);
}

}  // namespace
}  // namespace imgbuild::plan
