// [policy]: what it finds, and the whole text of every error
// (testdata/policy).
#include "imgbuild/lock/policy.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "lock/golden.h"

namespace imgbuild::lock {
namespace {

Policy Read(const std::string& lines) {
  return ParsePolicyFile(
      std::make_shared<SourceFile>("imgbuild.toml", "[policy]\n" + lines));
}

// A Dockerfile of one word a line, so that findings have places.
class PolicyTest : public ::testing::Test {
 protected:
  UsedName& Image(const std::string& text) {
    UsedName& used = Add(text);
    used.image = oci::Reference::Parse(text).WithDefaultTag();
    used.name = KeyOf(*used.image).ToString();
    used.platform = oci::Platform::Parse("linux/amd64");
    return used;
  }
  UsedName& Add(const std::string& text) {
    UsedName used;
    used.range = Place(text);
    used.name = text;
    facts_.used.push_back(used);
    return facts_.used.back();
  }
  static SourceRange Place(const std::string& text) {
    const auto file = std::make_shared<SourceFile>("Dockerfile", text);
    return SourceRange::FromOffsets(file, 0, text.size());
  }
  void Lock(const std::string& name, const std::string& created = "") {
    ImagePin pin{oci::Reference::Parse(name),
                 {},
                 oci::Digest::OfBytes("x"),
                 "",
                 0,
                 {},
                 {},
                 {},
                 {},
                 {},
                 {}};
    PlatformPin platform{oci::Digest::OfBytes("x"),
                         0,
                         oci::Digest::OfBytes("x"),
                         {},
                         {},
                         {},
                         {}};
    platform.created = created;
    pin.platforms.emplace("linux/amd64", platform);
    lockfile_.images.push_back(pin);
    facts_.lockfile = &lockfile_;
  }
  std::string Find(const std::string& lines) {
    std::string out;
    for (const PolicyFinding& finding : EvaluatePolicy(Read(lines), facts_)) {
      out += finding.rule + ": " + finding.message + "\n";
    }
    return out;
  }

  Lockfile lockfile_;
  PolicyFacts facts_;
};

TEST_F(PolicyTest, NothingIsAskedForByDefault) {
  Image("alpine");
  Add("https://example.org/a").kind = Kind::kUrl;
  facts_.runs.push_back({"0", "default", {}});
  EXPECT_EQ(Find(""), "");
  EXPECT_EQ(Find("require-digest = false\nrun-network = \"on\"\n"), "");
}

TEST_F(PolicyTest, Registries) {
  Image("alpine:3.20");
  Image("ghcr.io/acme/app:1");
  Image("ghcr.io/acme-evil/app:1");
  Image("a.acme.example/x");
  Image("acme.example/x");
  const auto refused = [](const std::string& name) {
    return "registries: " + name +
           " comes from a registry that the policy does not allow\n";
  };
  EXPECT_EQ(Find(R"(registries = ["docker.io/library", "ghcr.io/acme"])"),
            refused("ghcr.io/acme-evil/app") + refused("a.acme.example/x") +
                refused("acme.example/x"));
  EXPECT_EQ(Find(R"(registries = ["docker.io", "ghcr.io", "*.acme.example"])"),
            refused("acme.example/x"));
}

TEST_F(PolicyTest, RequireDigest) {
  Image("alpine:3.20");
  Image("debian:12@sha256:" + std::string(64, 'a'));
  Image("busybox:1");
  Lock("docker.io/library/busybox:1");
  EXPECT_EQ(Find("require-digest = true"),
            "require-digest: docker.io/library/alpine:3.20 is not pinned to a "
            "digest\n");
}

TEST_F(PolicyTest, MaxPinAge) {
  facts_.now = *ParseRfc3339("2024-04-01T00:00:00Z");
  Image("alpine:3.20");
  Image("busybox:1");
  Image("debian:12");
  Lock("docker.io/library/alpine:3.20", "2024-03-01T00:00:00Z");
  Lock("docker.io/library/busybox:1", "2023-12-01T00:00:00Z");
  EXPECT_EQ(Find("max-pin-age = \"90d\""),
            "max-pin-age: docker.io/library/busybox:1 is pinned to an image "
            "that is 4 months old; at most 3 months are allowed\n");
  EXPECT_EQ(Find("max-pin-age = \"52w\""), "");
  // What was resolved counts more than what the lock says.
  facts_.created["docker.io/library/busybox:1"] = "2024-03-31T00:00:00Z";
  EXPECT_EQ(Find("max-pin-age = \"90d\""), "");
  facts_.created["docker.io/library/busybox:1"] = "";
  EXPECT_EQ(Find("max-pin-age = \"90d\""),
            "max-pin-age: the age of docker.io/library/busybox:1 cannot be "
            "told: the image has no date\n");
}

TEST_F(PolicyTest, RequireChecksum) {
  Add("https://example.org/a").kind = Kind::kUrl;
  UsedName& pinned = Add("https://example.org/b");
  pinned.kind = Kind::kUrl;
  pinned.own_checksum = "sha256:1";
  Add("https://example.org/c").kind = Kind::kUrl;
  Add("https://github.com/o/r.git#main").kind = Kind::kGit;
  lockfile_.urls.push_back({"https://example.org/c",
                            oci::Digest::OfBytes(""),
                            0,
                            {},
                            {},
                            {},
                            {},
                            {}});
  facts_.lockfile = &lockfile_;
  EXPECT_EQ(Find("require-checksum = true"),
            "require-checksum: https://example.org/a has no checksum\n"
            "require-checksum: https://github.com/o/r.git#main has no "
            "checksum\n");
}

TEST_F(PolicyTest, RunNetwork) {
  facts_.runs.push_back({"deps", "default", Place("RUN a")});
  facts_.runs.push_back({"build", "none", Place("RUN b")});
  facts_.runs.push_back({"build", "host", Place("RUN c")});
  EXPECT_EQ(Find("run-network = \"off\"\nrun-network-stages = [\"deps\"]"),
            "run-network: this RUN has network\n");
}

TEST_F(PolicyTest, AFindingIsAnErrorAtItsPlaceByItsRule) {
  Image("alpine:3.20");
  const auto findings = EvaluatePolicy(Read("require-digest = true"), facts_);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(ToError(findings[0]).code(), ErrorCode::kPolicy);
  EXPECT_EQ(ToError(findings[0]).Render(),
            "error: docker.io/library/alpine:3.20 is not pinned to a digest\n"
            " --> Dockerfile:1:1\n"
            "  |\n"
            "1 | alpine:3.20\n"
            "  | ^^^^^^^^^^^\n"
            "  = by require-digest at imgbuild.toml:2:1\n"
            "  = hint: imgbuild lock pins it in the lock, imgbuild pin in the "
            "Dockerfile\n");
}

TEST_F(PolicyTest, OfALock) {
  const Lockfile lockfile = Parse(std::make_shared<SourceFile>(
      "Dockerfile.lock",
      "version = 1\n\n[policy]\n# why\nrequire-digest = true\n"));
  const auto policy = PolicyOf(lockfile);
  ASSERT_TRUE(policy);
  EXPECT_TRUE(policy->require_digest);
  EXPECT_EQ(policy->ranges.at("require-digest").ToString(),
            "Dockerfile.lock:5:1");
  EXPECT_FALSE(
      PolicyOf(Parse(std::make_shared<SourceFile>("x", "version = 1\n"))));
}

TEST_F(PolicyTest, Errors) {
  const auto files = testing::Files("policy", ".toml");
  EXPECT_GE(files.size(), 15u);
  for (const auto& file : files) {
    try {
      ParsePolicyFile(std::make_shared<SourceFile>("imgbuild.toml",
                                                   *testing::ReadText(file)));
      ADD_FAILURE() << file << " is not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDockerfile);
      testing::Compare(testing::Beside(file, ".stderr"), error.Render());
    }
  }
}

}  // namespace
}  // namespace imgbuild::lock
