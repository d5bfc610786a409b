#include "imgbuild/oci/reference.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "imgbuild/util/error.h"

namespace imgbuild::oci {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

// Undoes the escapes that the data file's head explains.
std::string Unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == '{') {
      const size_t end = text.find('}', i);
      out.append(std::stoul(text.substr(i + 3, end - i - 3)), text[i + 1]);
      i = end;
    } else {
      out += c == 't' ? '\t' : c == 'n' ? '\n' : c;
    }
  }
  return out;
}

std::string Outcome(const std::string& text) {
  try {
    const Reference reference = Reference::Parse(text);
    // What is canonical stays so, and the familiar form means the same.
    EXPECT_EQ(Reference::Parse(reference.ToString()), reference);
    EXPECT_EQ(Reference::Parse(reference.Familiar()), reference);
    return "= " + reference.ToString();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kUsage);
    EXPECT_EQ(Reference::TryParse(text), std::nullopt);
    return e.message();
  }
}

TEST(Reference, AcceptsAndRefusesAsTheTableSays) {
  std::ifstream file(IMGBUILD_TESTDATA "/oci/references.txt");
  int cases = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    const size_t end = line.rfind("] ");
    ASSERT_NE(end, line.npos) << line;
    EXPECT_EQ(Outcome(Unescape(line.substr(1, end - 1))),
              Unescape(line.substr(end + 2)))
        << line;
    ++cases;
  }
  EXPECT_EQ(cases, 245);
}

TEST(Reference, HasParts) {
  const Reference full = Reference::Parse("127.0.0.1:5000/t/app:v1@" + kDigest);
  EXPECT_EQ(full.repository().domain(), "127.0.0.1:5000");
  EXPECT_EQ(full.repository().path(), "t/app");
  EXPECT_EQ(full.repository().RegistryHost(), "127.0.0.1:5000");
  EXPECT_EQ(full.tag(), "v1");
  EXPECT_EQ(full.digest()->ToString(), kDigest);
  const Reference plain = Reference::Parse("alpine");
  EXPECT_EQ(plain.tag(), std::nullopt);
  EXPECT_EQ(plain.digest(), std::nullopt);
  EXPECT_EQ(plain.repository().RegistryHost(), "registry-1.docker.io");
}

TEST(Reference, TheFamiliarFormLeavesOutWhatIsUsual) {
  const struct {
    std::string text;
    std::string familiar;
  } kCases[] = {
      {"docker.io/library/alpine:3.20", "alpine:3.20"},
      {"docker.io/user/app", "user/app"},
      {"docker.io/library/a/b", "library/a/b"},
      {"quay.io/library/x", "quay.io/library/x"},
      {"alpine@" + kDigest, "alpine@" + kDigest},
      {"localhost:5000/x:1@" + kDigest, "localhost:5000/x:1@" + kDigest},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Reference::Parse(c.text).Familiar(), c.familiar);
  }
}

TEST(Reference, OnlyABareNameGetsTheDefaultTag) {
  EXPECT_EQ(Reference::Parse("a").WithDefaultTag().Familiar(), "a:latest");
  EXPECT_EQ(Reference::Parse("a:b").WithDefaultTag().Familiar(), "a:b");
  EXPECT_EQ(Reference::Parse("a@" + kDigest).WithDefaultTag().Familiar(),
            "a@" + kDigest);
}

TEST(Reference, TheRegistryIsAskedForTheDigestFirst) {
  EXPECT_EQ(Reference::Parse("a").Object(), "latest");
  EXPECT_EQ(Reference::Parse("a:b").Object(), "b");
  EXPECT_EQ(Reference::Parse("a:b@" + kDigest).Object(), kDigest);
}

TEST(Reference, PartsCanBeReplaced) {
  const Reference name = Reference::Parse("a:b");
  const Reference pinned = name.WithDigest(Digest::Parse(kDigest));
  EXPECT_EQ(pinned.Familiar(), "a:b@" + kDigest);
  EXPECT_EQ(pinned.WithoutDigest(), name);
  EXPECT_EQ(pinned.WithTag("c").Familiar(), "a:c@" + kDigest);
  try {
    name.WithTag("-x");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "invalid tag \"-x\"");
  }
}

std::string HintOf(const std::string& text) {
  try {
    Reference::Parse(text);
  } catch (const Error& e) {
    return e.hint();
  }
  return "(no error)";
}

TEST(Reference, HintsWhereItHelps) {
  EXPECT_EQ(HintOf("127.0.0.1:5000/T/app"), "write \"t/app\"");
  EXPECT_EQ(HintOf("a:"), "the tag after \":\" is empty");
  EXPECT_EQ(HintOf("a:" + std::string(129, 'x')),
            "a tag has at most 128 characters");
  EXPECT_EQ(HintOf("a@"), "the digest after \"@\" is empty");
  EXPECT_EQ(HintOf("a@sha256:abc"),
            "a digest is \"sha256:\" and 64 lower-case hex digits");
  EXPECT_EQ(HintOf("https://quay.io/a"),
            "write the registry's name without \"https://\"");
  EXPECT_EQ(HintOf(std::string(64, 'a')),
            "to name an image by its digest, write NAME@" + kDigest);
  EXPECT_EQ(HintOf("a b"), "");
}

TEST(Repository, HasNeitherTagNorDigest) {
  EXPECT_EQ(Repository::Parse("alpine").ToString(), "docker.io/library/alpine");
  EXPECT_EQ(Repository::Parse("alpine").Familiar(), "alpine");
  for (const std::string& text : {std::string("a:b"), "a@" + kDigest}) {
    try {
      Repository::Parse(text);
      FAIL() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.message(), "invalid repository name \"" + text +
                                 "\": it must not have a tag or a digest");
    }
  }
}

TEST(Reference, ValidTags) {
  EXPECT_TRUE(IsValidTag("_"));
  EXPECT_TRUE(IsValidTag("3.20-rc_1"));
  EXPECT_TRUE(IsValidTag(std::string(128, 'a')));
  EXPECT_FALSE(IsValidTag(std::string(129, 'a')));
  EXPECT_FALSE(IsValidTag(""));
  EXPECT_FALSE(IsValidTag(".a"));
  EXPECT_FALSE(IsValidTag("-a"));
  EXPECT_FALSE(IsValidTag("a/b"));
  EXPECT_FALSE(IsValidTag("a:b"));
}

}  // namespace
}  // namespace imgbuild::oci
