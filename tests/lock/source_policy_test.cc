// BuildKit's source policy: what it decides (each row was checked against
// BuildKit 0.25), and the whole text of every error (testdata/source-policy).
#include "imgbuild/lock/source_policy.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

#include "lock/golden.h"

namespace imgbuild::lock {
namespace {

SourcePolicy Policy(const std::string& rules) {
  return SourcePolicy::Parse(std::make_shared<SourceFile>(
      "policy.json", "{\"rules\": [" + rules + "]}"));
}

constexpr char kBusybox[] = "docker-image://127.0.0.1:5000/busybox:latest";

std::string Decide(const std::string& rules,
                   const std::string& identifier = kBusybox) {
  try {
    return Policy(rules).Evaluate({identifier, {}}).identifier;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPolicy);
    return "error: " + error.message();
  }
}

std::string Rule(const std::string& action, const std::string& selector,
                 const std::string& more = "") {
  return R"({"action": ")" + action + R"(", "selector": {"identifier": ")" +
         selector + "\"" + more + "}}";
}
std::string Convert(const std::string& selector, const std::string& to,
                    const std::string& more = "") {
  return R"({"action": "CONVERT", "selector": {"identifier": ")" + selector +
         "\"" + more + R"(}, "updates": {"identifier": ")" + to + "\"}}";
}
const std::string kExact = R"(, "match_type": "EXACT")";
const std::string kRegex = R"(, "match_type": "REGEX")";
const std::string kDenied =
    std::string("error: the source policy denies ") + kBusybox;

TEST(SourcePolicyTest, AllowAndDeny) {
  EXPECT_EQ(Decide(""), kBusybox);
  EXPECT_EQ(Decide(Rule("DENY", kBusybox, kExact)), kDenied);
  EXPECT_EQ(Decide(Rule("DENY", "docker-image://*")), kDenied);
  EXPECT_EQ(Decide(Rule("DENY", "docker-image://*busybox")), kBusybox);
  EXPECT_EQ(Decide(Rule("DENY", "docker-image://*", kExact)), kBusybox);
  EXPECT_EQ(Decide(Rule("DENY", "")), kBusybox);
  EXPECT_EQ(Decide(Rule("DENY", "https://*")), kBusybox);
  EXPECT_EQ(Decide(R"({"selector": {"identifier": "*"}})"), kBusybox);
  EXPECT_EQ(Decide(R"({"action": 1, "selector": {"identifier": "*"}})"),
            kDenied);
}

TEST(SourcePolicyTest, TheLastMatchWins) {
  const std::string deny = Rule("DENY", "*");
  const std::string allow = Rule("ALLOW", "docker-image://*/busybox:*");
  EXPECT_EQ(Decide(deny + "," + allow), kBusybox);
  EXPECT_EQ(Decide(allow + "," + deny), kDenied);
  EXPECT_EQ(Decide(deny + "," + allow, "local://context"),
            "error: the source policy denies local://context");
}

TEST(SourcePolicyTest, RegexMatchesAnywhere) {
  EXPECT_EQ(Decide(Rule("DENY", "busybox", kRegex)), kDenied);
  EXPECT_EQ(Decide(Rule("DENY", "^busybox", kRegex)), kBusybox);
  EXPECT_EQ(Decide(Rule("DENY", "docker-image://.*busybox.*", kRegex)),
            kDenied);
  // BuildKit reads match_type alone; this spelling of its documentation counts
  // here too, so that a rule is never weaker than it looks.
  EXPECT_EQ(Decide(Rule("DENY", "docker-image://.*busybox.*",
                        R"(, "matchType": "REGEX")")),
            kDenied);
}

TEST(SourcePolicyTest, ConversionsFillTheirGroupsIn) {
  EXPECT_EQ(Decide(Convert(kBusybox, "docker-image://a/b:1@c", kExact)),
            "docker-image://a/b:1@c");
  EXPECT_EQ(Decide(Convert("docker-image://*/busybox:*",
                           "docker-image://${1}/multi:${2}")),
            "docker-image://127.0.0.1:5000/multi:latest");
  EXPECT_EQ(Decide(Convert("docker-image://*/busybox:*",
                           "docker-image://$1/multi:$2x")),
            "docker-image://127.0.0.1:5000/multi:");
  EXPECT_EQ(Decide(Convert("docker-image://(.*)/(?P<n>busybox):.*",
                           "docker-image://$1/${n}:2$$", kRegex)),
            "docker-image://127.0.0.1:5000/busybox:2$");
  EXPECT_EQ(Decide(Convert("latest|busy", "x", kRegex)),
            "docker-image://127.0.0.1:5000/xbox:x");
}

TEST(SourcePolicyTest, AConversionThatChangesNothingIsNone) {
  EXPECT_EQ(Decide(Convert(kBusybox, kBusybox)), kBusybox);
  EXPECT_EQ(Decide(Convert(kBusybox, kBusybox) + "," + Rule("DENY", "*")),
            kDenied);
}

TEST(SourcePolicyTest, AConversionBeginsAnew) {
  // What was denied before it became something else does not count.
  EXPECT_EQ(Decide(Rule("DENY", kBusybox) + "," +
                   Convert(kBusybox, "docker-image://h/multi:latest")),
            "docker-image://h/multi:latest");
  EXPECT_EQ(Decide(Convert(kBusybox, "docker-image://h/evil:1") + "," +
                   Rule("DENY", "docker-image://h/*")),
            std::string(
                "error: the source policy makes docker-image://h/evil:1 of ") +
                kBusybox + ", and denies that");
}

TEST(SourcePolicyTest, ACircleEnds) {
  EXPECT_EQ(Decide(Convert(kBusybox, "docker-image://b") + "," +
                   Convert("docker-image://b", kBusybox)),
            std::string("error: the source policy converts ") + kBusybox +
                " more than 20 times");
  std::string chain = Convert(kBusybox, "x:1");
  for (int i = 1; i < 20; ++i) {
    chain +=
        "," + Convert("x:" + std::to_string(i), "x:" + std::to_string(i + 1));
  }
  EXPECT_EQ(Decide(chain), "x:20");
}

TEST(SourcePolicyTest, Attributes) {
  const SourcePolicy policy = Policy(
      R"({"action": "CONVERT", "selector": {"identifier": "https://h/*"},
          "updates": {"identifier": "https://h/${1}",
                      "attrs": {"http.checksum": "sha256:1"}}})");
  const PolicySource made = policy.Evaluate({"https://h/f", {}});
  EXPECT_EQ(made.identifier, "https://h/f");
  EXPECT_EQ(made.attrs.at("http.checksum"), "sha256:1");
}

TEST(SourcePolicyTest, Constraints) {
  const auto deny = [](const std::string& constraint) {
    return Policy(
        R"({"action": "DENY", "selector": {"identifier": "*", "constraints": [{)" +
        constraint + "}]}}");
  };
  const PolicySource pinned{"https://h/f", {{"http.checksum", "sha256:1"}}};
  const PolicySource open{"https://h/f", {}};
  const SourcePolicy unequal = deny(
      R"("key": "http.checksum", "value": "sha256:1", "condition": "NOTEQUAL")");
  EXPECT_EQ(unequal.Evaluate(pinned), pinned);
  EXPECT_THROW(unequal.Evaluate(open), Error);
  const SourcePolicy equal = deny(R"("key": "http.checksum", "value": "")");
  EXPECT_EQ(equal.Evaluate(pinned), pinned);
  EXPECT_THROW(equal.Evaluate(open), Error);
  const SourcePolicy matches = deny(
      R"("key": "http.checksum", "value": "^sha", "condition": "MATCHES")");
  EXPECT_EQ(matches.Evaluate(open), open);
  EXPECT_THROW(matches.Evaluate(pinned), Error);
}

TEST(SourcePolicyTest, TheRuleIsNamed) {
  try {
    Policy(Rule("ALLOW", "*") + ",\n" + Rule("DENY", "docker-image://*"))
        .Evaluate({kBusybox, {}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.Render(),
              kDenied + "\n   = by the rule at policy.json:2:47\n");
  }
}

TEST(SourcePolicyTest, Errors) {
  const auto files = testing::Files("source-policy", ".json");
  EXPECT_GE(files.size(), 20u);
  for (const auto& file : files) {
    try {
      SourcePolicy::Parse(std::make_shared<SourceFile>(
          "policy.json", *testing::ReadText(file)));
      ADD_FAILURE() << file << " is not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDockerfile);
      testing::Compare(testing::Beside(file, ".stderr"), error.Render());
    }
  }
}

TEST(SourcePolicyTest, Identifiers) {
  EXPECT_EQ(PolicyIdentifier(oci::Reference::Parse("alpine")),
            "docker-image://docker.io/library/alpine:latest");
  EXPECT_EQ(ImageOfIdentifier("docker-image://docker.io/library/alpine:latest")
                ->Familiar(),
            "alpine:latest");
  EXPECT_FALSE(ImageOfIdentifier("https://alpine"));
  EXPECT_FALSE(ImageOfIdentifier("docker-image://A"));
}

}  // namespace
}  // namespace imgbuild::lock
