// Other tools' pins: the files of testdata/interchange, read, and the lock
// written for BuildKit.
#include "imgbuild/lock/interchange.h"

#include <gtest/gtest.h>

#include "imgbuild/lock/source_policy.h"
#include "imgbuild/util/error.h"

#include "lock/golden.h"

namespace imgbuild::lock {
namespace {

std::string Print(const ForeignPins& pins) {
  std::string out;
  for (const ForeignPin& pin : pins.pins) {
    out += std::string(ToString(pin.kind)) + " " + pin.name + " " +
           (pin.digest ? pin.digest->ToString() : pin.commit) + " (" +
           pin.range.ToString() + ")\n";
  }
  for (const std::string& why : pins.skipped) out += "skipped: " + why + "\n";
  return out;
}

TEST(InterchangeTest, Files) {
  const auto files = testing::Files("interchange", ".json");
  EXPECT_GE(files.size(), 10u);
  for (const auto& file : files) {
    if (file.filename().string().starts_with("exported")) continue;
    const auto source = std::make_shared<SourceFile>(file.filename().string(),
                                                     *testing::ReadText(file));
    std::string text;
    ForeignFormat format = ForeignFormat::kDockerLock;
    try {
      const ForeignPins pins = Import(source, "", &format);
      text = std::string(ToString(format)) + "\n" + Print(pins);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDockerfile);
      text = error.Render();
    }
    testing::Compare(testing::Beside(file, ".txt"), text);
  }
}

TEST(InterchangeTest, DockerLockOfOneDockerfile) {
  const auto source = std::make_shared<SourceFile>(
      "docker-lock.json",
      *testing::ReadText(std::filesystem::path(IMGBUILD_TESTDATA) /
                         "interchange" / "docker-lock.json"));
  ForeignFormat format = ForeignFormat::kProvenance;
  const ForeignPins pins = Import(source, "web/Dockerfile", &format);
  ASSERT_EQ(pins.pins.size(), 2u);
  EXPECT_EQ(pins.pins[1].name, "ghcr.io/o/app:v1");
  EXPECT_THROW(Import(source, "no/Dockerfile", &format), Error);
}

TEST(InterchangeTest, InlinePins) {
  std::vector<UsedName> used(3);
  const std::string digest = "@sha256:" + std::string(64, 'a');
  used[0].image = oci::Reference::Parse("alpine:3.20" + digest);
  used[1].image = oci::Reference::Parse("debian" + digest);
  used[2].image = oci::Reference::Parse("busybox:1");
  EXPECT_EQ(
      Print(ImportInline(used)),
      "image docker.io/library/alpine:3.20 sha256:" + std::string(64, 'a') +
          " ()\nskipped: debian@sha256:" + std::string(64, 'a') +
          ": it has no tag\n");
}

Lockfile SampleLock() {
  const oci::Digest digest = oci::Digest::OfBytes("a");
  Lockfile lockfile;
  const auto image = [&](const std::string& name) {
    lockfile.images.push_back({oci::Reference::Parse(name),
                               {},
                               digest,
                               "",
                               0,
                               {},
                               {},
                               {},
                               {},
                               {},
                               {}});
  };
  image("docker.io/library/alpine:3.20");
  image("docker.io/library/debian@" + digest.ToString());
  image("ghcr.io/o/app:v1");
  UrlPin url{"https://example.org/a*$1.tar", digest, 1, {}, {}, {}, {}, {}};
  lockfile.urls.push_back(url);
  GitPin git;
  git.name = "https://github.com/o/r.git#main";
  git.commit = std::string(40, 'c');
  lockfile.gits.push_back(git);
  FrontendPin frontend{oci::Reference::Parse("docker.io/docker/dockerfile:1"),
                       digest,
                       "",
                       0,
                       {},
                       {}};
  lockfile.frontends.push_back(frontend);
  return lockfile;
}

TEST(InterchangeTest, ExportedPolicy) {
  testing::Compare(std::filesystem::path(IMGBUILD_TESTDATA) / "interchange" /
                       "exported-policy.json",
                   ExportSourcePolicy(SampleLock()));
}

// What we write for others we read ourselves, to the same pins.
TEST(InterchangeTest, ExportComesBack) {
  const Lockfile lockfile = SampleLock();
  const auto source =
      std::make_shared<SourceFile>("exported", ExportSourcePolicy(lockfile));
  const SourcePolicy policy = SourcePolicy::Parse(source);
  for (const ImagePin& pin : lockfile.images) {
    const PolicySource made = policy.Evaluate({PolicyIdentifier(pin.name), {}});
    EXPECT_EQ(ImageOfIdentifier(made.identifier)->digest(), pin.digest);
  }
  EXPECT_EQ(
      policy.Evaluate({lockfile.urls[0].name, {}}).attrs.at("http.checksum"),
      lockfile.urls[0].checksum.ToString());
  const std::string commit = lockfile.gits[0].commit;
  EXPECT_EQ(policy.Evaluate({"git://github.com/o/r.git#main", {}}).identifier,
            "git://github.com/o/r.git#" + commit);
  EXPECT_EQ(
      policy.Evaluate({"git://github.com/o/r.git#main:dir", {}}).identifier,
      "git://github.com/o/r.git#" + commit + ":dir");
  ForeignFormat format = ForeignFormat::kDockerLock;
  const ForeignPins pins = Import(source, "", &format);
  EXPECT_EQ(format, ForeignFormat::kSourcePolicy);
  EXPECT_EQ(pins.pins.size(), 5u);
}

TEST(InterchangeTest, GitIdentifiers) {
  EXPECT_EQ(GitIdentifier("https://github.com/o/r.git#main"),
            "git://github.com/o/r.git#main");
  EXPECT_EQ(GitIdentifier("ssh://git@host:22/r"), "git://host:22/r");
  EXPECT_EQ(GitIdentifier("git@github.com:o/r.git"),
            "git://github.com/o/r.git");
  EXPECT_EQ(GitIdentifier("https://u:p@h/r@v#a@b"), "git://h/r@v#a@b");
}

}  // namespace
}  // namespace imgbuild::lock
