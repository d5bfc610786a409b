#include "registry/registries_conf.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::registry {
namespace {

TEST(RegistriesConf, ReadsEverything) {
  const auto rules = ParseRegistriesConf(R"(
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "mirror.example/hub"
insecure = true
mirror-by-digest-only = true
[[registry.mirror]]
location = "m1.example:5000/x/"
insecure = true
[[registry.mirror]]
location = "m2.example"
pull-from-mirror = "tag-only"
[[registry]]
location = "bad.example"
blocked = true
)",
                                         "r.conf");
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].prefix, "docker.io");
  EXPECT_EQ(rules[0].location, "mirror.example/hub");
  EXPECT_TRUE(rules[0].insecure);
  ASSERT_EQ(rules[0].mirrors.size(), 2U);
  EXPECT_EQ(rules[0].mirrors[0], (MirrorRule{"m1.example:5000/x", true,
                                             MirrorRule::Use::kDigestOnly, 8}));
  EXPECT_EQ(rules[0].mirrors[1],
            (MirrorRule{"m2.example", false, MirrorRule::Use::kTagOnly, 11}));
  EXPECT_EQ(rules[0].line, 3U);
  EXPECT_EQ(rules[1].prefix, "bad.example");
  EXPECT_TRUE(rules[1].blocked);
}

TEST(RegistriesConf, ErrorsNameTheLine) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"[[registry]]\nlocation = 5\n", "r.conf:2: location is not a string"},
      {"[[registry]]\nlocation = \"https://h\"\n",
       "r.conf:1: location \"https://h\" must be a host and a path, without a "
       "scheme"},
      {"[[registry]]\ninsecure = true\n",
       "r.conf:1: a registry without prefix and location"},
      {"[[registry]]\nlocation=\"h\"\nblocked=\"yes\"\n",
       "r.conf:3: blocked is not a boolean"},
      {"[[registry]]\nlocation=\"h\"\n[[registry.mirror]]\ninsecure=true\n",
       "r.conf:3: a mirror without a location"},
      {"[[registry]]\nlocation=\"h\"\n[[registry.mirror]]\nlocation=\"m\"\n"
       "pull-from-mirror=\"never\"\n",
       "r.conf:3: unknown pull-from-mirror \"never\""},
      {"[[registry]]\nprefix=\"a.*.b\"\n",
       "r.conf:1: prefix \"a.*.b\": only *.host is understood as a pattern"},
      {"[registries.search]\nregistries = ['h']\n",
       "r.conf: version 1 of registries.conf is not supported"},
  };
  for (const auto& c : cases) {
    try {
      ParseRegistriesConf(c.text, "r.conf");
      ADD_FAILURE() << "accepted: " << c.text;
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), c.message);
    }
  }
  EXPECT_THROW(ParseRegistriesConf("[[registry", "r.conf"), Error);
}

TEST(RegistriesConf, LongestPrefixWins) {
  const auto rules = ParseRegistriesConf(R"(
[[registry]]
prefix = "example.com"
location = "a"
[[registry]]
prefix = "example.com/team"
location = "b"
[[registry]]
prefix = "*.example.com"
location = "c"
[[registry]]
prefix = "host:5000"
location = "d"
)",
                                         "r.conf");
  const struct {
    const char* name;
    const char* location;  // "" is no rule
  } cases[] = {
      {"example.com/x", "a"},      {"example.com/team", "b"},
      {"example.com/team/x", "b"}, {"example.com/teamx", "a"},
      {"sub.example.com/x", "c"},  {"a.b.example.com:5000/x", "c"},
      {"example.com.evil/x", ""},  {"notexample.com/x", ""},
      {"host:5000/x", "d"},        {"host/x", ""},
      {"host:50001/x", ""},
  };
  for (const auto& c : cases) {
    const RegistryRule* rule = FindRule(rules, c.name);
    EXPECT_EQ(rule == nullptr ? "" : rule->location, c.location) << c.name;
  }
}

TEST(RegistriesConf, Rewrites) {
  RegistryRule rule;
  rule.prefix = "example.com/team";
  EXPECT_EQ(RewriteName(rule, "m:5000/x", "example.com/team/a/b"),
            "m:5000/x/a/b");
  EXPECT_EQ(RewriteName(rule, "m", "example.com/team/a"), "m/a");
  EXPECT_EQ(RewriteName(rule, "", "example.com/team/a"), "example.com/team/a");
  rule.prefix = "*.example.com";
  EXPECT_EQ(RewriteName(rule, "m", "s.example.com/a"), "m/a");
}

TEST(RegistriesConf, LaterFilesReplaceByPrefix) {
  auto rules = ParseRegistriesConf(
      "[[registry]]\nprefix=\"a\"\nlocation=\"1\"\n"
      "[[registry]]\nprefix=\"b\"\nlocation=\"2\"\n",
      "one.conf");
  MergeRules(&rules,
             ParseRegistriesConf("[[registry]]\nprefix=\"a\"\nlocation=\"3\"\n",
                                 "two.conf"));
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].location, "3");
  EXPECT_EQ(rules[0].file, "two.conf");
  EXPECT_EQ(rules[1].location, "2");
}

}  // namespace
}  // namespace imgbuild::registry
