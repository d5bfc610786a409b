// The cases of testdata/lock: texts that format to themselves, texts that
// format to another, and the whole error of bad ones.
// IMGBUILD_UPDATE_GOLDENS=1 writes the expectations anew (and fails).
#include "imgbuild/lock/lockfile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

namespace imgbuild::lock {
namespace {

namespace stdfs = std::filesystem;

const stdfs::path kData = stdfs::path(IMGBUILD_TESTDATA) / "lock";

std::optional<std::string> ReadText(const stdfs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

void Compare(const stdfs::path& golden, const std::string& actual) {
  if (std::getenv("IMGBUILD_UPDATE_GOLDENS") != nullptr) {
    if (ReadText(golden) != actual) {
      std::ofstream(golden, std::ios::binary) << actual;
      ADD_FAILURE() << "wrote " << golden;
    }
    return;
  }
  EXPECT_EQ(ReadText(golden).value_or("missing"), actual) << golden;
}

Lockfile ParseText(const std::string& text) {
  return Parse(std::make_shared<SourceFile>("Dockerfile.lock", text));
}

TEST(LockfileTest, FormatsToItself) {
  const std::string text = *ReadText(kData / "full" / "Dockerfile.lock");
  EXPECT_EQ(Format(ParseText(text)), text);
}

TEST(LockfileTest, SameBytesFromOtherOrderAndLineEnds) {
  const std::string text = *ReadText(kData / "reordered" / "input");
  const std::string formatted = Format(ParseText(text));
  Compare(kData / "reordered" / "Dockerfile.lock", formatted);
  EXPECT_EQ(Format(ParseText(formatted)), formatted);
}

TEST(LockfileTest, ReadsEveryField) {
  const Lockfile lock =
      ParseText(*ReadText(kData / "full" / "Dockerfile.lock"));
  EXPECT_EQ(lock.settings.layer_format, 1);
  EXPECT_EQ(lock.settings.source_date_epoch, 1704067200);
  EXPECT_EQ(lock.settings.contexts.at("assets"),
            "docker-image://example.com/assets:3");
  const ImagePin* alpine = lock.FindImage(
      oci::Reference::Parse("alpine:3.20@sha256:" + std::string(64, '0')));
  ASSERT_NE(alpine, nullptr);
  EXPECT_EQ(alpine->previous.size(), 2u);
  EXPECT_TRUE(alpine->added);
  EXPECT_EQ(alpine->platforms.at("linux/arm64").created,
            "2024-05-22T18:18:13Z");
  EXPECT_EQ(alpine->platforms.at("linux/arm64").unknown.at("note"), "\"kept\"");
  EXPECT_EQ(alpine->range.ToString(), "Dockerfile.lock:20:10");
  EXPECT_EQ(lock.FindImage(oci::Reference::Parse("alpine")), nullptr);
  EXPECT_NE(lock.FindImage(oci::Reference::Parse("example.com/tools@sha256:" +
                                                 std::string(64, '7'))),
            nullptr);
  ASSERT_NE(lock.FindUrl("https://example.com/app-1.2.tar.gz"), nullptr);
  EXPECT_EQ(lock.FindUrl("https://example.com/app-1.3.tar.gz"), nullptr);
  EXPECT_NE(lock.FindGit("https://github.com/owner/repo.git#v1"), nullptr);
  EXPECT_EQ(lock.policy,
            "[policy]\n# Only what we mirror.\n"
            "registries = [\"docker.io\", \"example.com\"]\n"
            "[policy.network]\nrun = \"none\"\n");
  EXPECT_EQ(lock.policy_range.begin().line, 89u);
}

TEST(LockfileTest, PolicyInOtherFormsIsKept) {
  const Lockfile lock = ParseText(
      "version = 1\npolicy = { digest = \"required\", max-age = 3 }\n");
  EXPECT_EQ(lock.policy, "[policy]\ndigest = \"required\"\nmax-age = 3\n");
}

TEST(LockfileTest, OddStringsSurvive) {
  Lockfile lock;
  UrlPin pin{"https://e/\"\\\x01\x7f\tü",
             oci::Digest::OfBytes("x"),
             1,
             {},
             {},
             {},
             {},
             {}};
  pin.args["A B"] = "c\nd";
  lock.urls.push_back(pin);
  const Lockfile again = ParseText(Format(lock));
  ASSERT_EQ(again.urls.size(), 1u);
  EXPECT_EQ(again.urls[0].name, pin.name);
  EXPECT_EQ(again.urls[0].args, pin.args);
}

TEST(LockfileTest, Errors) {
  size_t cases = 0;
  for (const auto& entry : stdfs::directory_iterator(kData / "errors")) {
    ++cases;
    const stdfs::path folder = entry.path();
    try {
      ParseText(*ReadText(folder / "Dockerfile.lock"));
      ADD_FAILURE() << folder << " is not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDockerfile) << folder;
      EXPECT_TRUE(static_cast<bool>(error.range())) << folder;
      Compare(folder / "stderr.txt", error.Render());
    }
  }
  EXPECT_GE(cases, 30u);
}

TEST(LockfileTest, KeyIsTagOrDigest) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto key = [](const std::string& text) {
    return KeyOf(oci::Reference::Parse(text)).ToString();
  };
  EXPECT_EQ(key("alpine"), "docker.io/library/alpine:latest");
  EXPECT_EQ(key("alpine:3@" + digest), "docker.io/library/alpine:3");
  EXPECT_EQ(key("alpine@" + digest), "docker.io/library/alpine@" + digest);
}

TEST(LockfileTest, LockPath) {
  EXPECT_EQ(LockPathOf("Dockerfile"), "Dockerfile.lock");
  EXPECT_EQ(LockPathOf("dir/app.Dockerfile"), "dir/app.Dockerfile.lock");
}

// Every field of the schema stands in the full example, which in turn reads
// without a field that is unknown, but for those it has on purpose.
TEST(LockfileTest, SchemaHasTheFieldsOfTheFile) {
  const auto schema = nlohmann::json::parse(JsonSchema());
  const std::string text = *ReadText(kData / "full" / "Dockerfile.lock");
  const auto& properties = schema["properties"];
  for (const auto& [name, table] : properties.items()) {
    EXPECT_NE(text.find(name), std::string::npos) << name;
    if (!table.contains("items")) continue;
    for (const auto& [field, type] : table["items"]["properties"].items()) {
      const std::string line = field == "platform" && name == "image"
                                   ? "[image.platform."
                                   : field + " = ";
      EXPECT_NE(text.find("\n" + line), std::string::npos)
          << name << "." << field;
    }
  }
}

}  // namespace
}  // namespace imgbuild::lock
