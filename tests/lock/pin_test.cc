// Pins in Dockerfiles: the cases of testdata/pin, and what must hold for every
// text.
#include "imgbuild/lock/pin.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <regex>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/strings.h"

#include "cli/used_names.h"
#include "lock/golden.h"

namespace imgbuild::lock {
namespace {

namespace stdfs = std::filesystem;

using testing::Compare;
using testing::ReadText;

std::vector<stdfs::path> Dockerfiles(const std::string& folder) {
  return testing::Files(folder, "Dockerfile");
}

// Every name stands for the hash of itself, except `unknown`.
std::optional<oci::Digest> HashOfName(const oci::Reference& name) {
  if (name.repository().path() == "library/unknown") return std::nullopt;
  return oci::Digest::OfBytes(name.ToString());
}
// After a push of everything.
std::optional<oci::Digest> OtherHash(const oci::Reference& name) {
  if (!HashOfName(name)) return std::nullopt;
  return oci::Digest::OfBytes("moved " + name.ToString());
}

plan::PlanOptions Options() {
  plan::PlanOptions options;
  options.target_platform = oci::Platform::Parse("linux/amd64");
  options.build_platform = options.target_platform;
  return options;
}

dockerfile::Dockerfile Parse(const std::string& text) {
  return dockerfile::Parse(std::make_shared<SourceFile>("Dockerfile", text));
}

struct Outcome {
  std::string text;
  PinPlan plan;
};

Outcome Do(const std::string& text, PinMode mode,
           const DigestOf& digest_of = HashOfName) {
  const dockerfile::Dockerfile file = Parse(text);
  Outcome out;
  out.plan =
      PlanPins(file, cli::PinnableNames(file, Options()), mode, digest_of);
  std::vector<TextEdit> edits;
  for (const PinChange& change : out.plan.changes) {
    edits.push_back(change.edit);
  }
  out.text = ApplyEdits(text, std::move(edits));
  return out;
}

std::string Report(const PinPlan& plan) {
  std::string out;
  for (const Error& error : plan.refused) out += error.Render();
  return out;
}

// Without the digests, and without the places, which they move.
std::string Shape(const std::string& text) {
  static const std::regex kPlace(R"(\d+:\d+-(\d+:)?\d+)");
  static const std::regex kDigest("@sha(256|512):[0-9a-f]+");
  return std::regex_replace(
      std::regex_replace(dockerfile::Dump(Parse(text)), kPlace, ""), kDigest,
      "");
}

// Every name that was pinned, and no other, has its digest now.
void CheckNames(const std::string& text, const Outcome& pinned,
                const std::string& name) {
  const auto before = cli::PinnableNames(Parse(text), Options());
  const auto after = cli::PinnableNames(Parse(pinned.text), Options());
  ASSERT_EQ(before.size(), after.size()) << name;
  size_t got = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].image->WithoutDigest(),
              after[i].image->WithoutDigest());
    if (before[i].image->digest() || !after[i].image->digest()) continue;
    ++got;
    EXPECT_EQ(after[i].image->digest(),
              HashOfName(before[i].image->WithDefaultTag()))
        << name;
  }
  EXPECT_EQ(got, pinned.plan.changes.size()) << name;
}

void CheckProperties(const std::string& text, const std::string& name) {
  const Outcome pinned = Do(text, PinMode::kPin);
  EXPECT_EQ(Do(pinned.text, PinMode::kPin).text, pinned.text) << name;
  EXPECT_EQ(Shape(pinned.text), Shape(text)) << name;
  EXPECT_EQ(Do(pinned.text, PinMode::kUnpin).text,
            Do(text, PinMode::kUnpin).text)
      << name;
  if (text.find("@sha") == std::string::npos &&
      text.find("sha256:") == std::string::npos) {
    EXPECT_EQ(Do(pinned.text, PinMode::kUnpin).text, text) << name;
    const std::string moved = Do(pinned.text, PinMode::kUpdate, OtherHash).text;
    EXPECT_EQ(moved.size(), pinned.text.size()) << name;
    EXPECT_EQ(Do(moved, PinMode::kUpdate).text, pinned.text) << name;
    EXPECT_EQ(Do(moved, PinMode::kUnpin).text, text) << name;
  }
  CheckNames(text, pinned, name);
}

TEST(PinTest, Cases) {
  const auto cases = Dockerfiles("pin");
  EXPECT_GE(cases.size(), 25u);
  for (const stdfs::path& path : cases) {
    const std::string text = *ReadText(path);
    const Outcome pinned = Do(text, PinMode::kPin);
    const stdfs::path folder = path.parent_path();
    Compare(folder / "pinned", pinned.text);
    if (!pinned.plan.refused.empty() || stdfs::exists(folder / "stderr.txt")) {
      Compare(folder / "stderr.txt", Report(pinned.plan));
    }
    CheckProperties(text, path);
  }
}

// Whatever the parser takes: no digest lands in the wrong place.
TEST(PinTest, PropertiesHoldForTheParsersCases) {
  size_t checked = 0;
  for (const char* folder : {"dockerfile", "cases", "plan"}) {
    for (const stdfs::path& path : Dockerfiles(folder)) {
      const std::string text = *ReadText(path);
      try {
        cli::PinnableNames(Parse(text), Options());
      } catch (const Error&) {
        continue;  // an invalid one
      }
      CheckProperties(text, path);
      ++checked;
    }
  }
  EXPECT_GE(checked, 150u);
}

TEST(PinTest, UpdateAsksForTheRememberedTag) {
  std::vector<std::string> asked;
  const Outcome updated =
      Do("FROM alpine:3.20@sha256:" + std::string(64, 'a') +
             "\nFROM alpine@sha256:" + std::string(64, 'b') + "\nFROM alpine\n",
         PinMode::kUpdate, [&](const oci::Reference& name) {
           asked.push_back(name.ToString());
           return HashOfName(name);
         });
  EXPECT_EQ(asked,
            (std::vector<std::string>{"docker.io/library/alpine:3.20",
                                      "docker.io/library/alpine:latest"}));
  ASSERT_EQ(updated.plan.changes.size(), 3u);
  EXPECT_EQ(updated.plan.changes[0].before, "sha256:" + std::string(64, 'a'));
  EXPECT_TRUE(updated.plan.changes[1].no_tag);
  EXPECT_EQ(updated.plan.changes[2].before, "");
}

// The edit is of the file in which the word or the ARG stands.
TEST(PinTest, IncludedFiles) {
  const auto source = std::make_shared<SourceFile>(
      "Dockerfile",
      "# imgbuild: extensions=1\nINCLUDE args\nFROM alpine:$V\nINCLUDE more\n");
  dockerfile::ParseOptions options;
  options.include = [](const SourceFile&, const std::string& name) {
    return std::make_shared<SourceFile>(
        name, name == "args" ? "# three\n# lines\nARG V=3.20\n"
                             : "COPY --from=busybox:1 / /\n");
  };
  const dockerfile::Dockerfile file = dockerfile::Parse(source, options);
  const PinPlan plan = PlanPins(file, cli::PinnableNames(file, Options()),
                                PinMode::kPin, HashOfName);
  EXPECT_EQ(Report(plan), "");
  ASSERT_EQ(plan.changes.size(), 2u);
  const PinChange& arg = plan.changes[0];
  EXPECT_EQ(arg.range.ToString(), "Dockerfile:3:6");
  EXPECT_EQ(arg.at.ToString(), "args:3:7");
  EXPECT_EQ(ApplyEdits(arg.at.file()->text(), {arg.edit}),
            "# three\n# lines\nARG V=3.20@" +
                HashOfName(oci::Reference::Parse("alpine:3.20"))->ToString() +
                "\n");
  const PinChange& from = plan.changes[1];
  EXPECT_EQ(from.at.ToString(), "more:1:13");
  EXPECT_EQ(ApplyEdits(from.at.file()->text(), {from.edit}),
            "COPY --from=busybox:1@" +
                HashOfName(oci::Reference::Parse("busybox:1"))->ToString() +
                " / /\n");
}

TEST(PinTest, UnpinAsksNobody) {
  const Outcome unpinned = Do("FROM a:1@sha256:" + std::string(64, 'a'),
                              PinMode::kUnpin, [](const oci::Reference&) {
                                ADD_FAILURE();
                                return std::optional<oci::Digest>();
                              });
  EXPECT_EQ(unpinned.text, "FROM a:1");
}

TEST(PinTest, AnErrorOfTheSourceOfDigestsIsPlaced) {
  const Outcome failed =
      Do("FROM alpine:3.20\n", PinMode::kPin,
         [](const oci::Reference&) -> std::optional<oci::Digest> {
           throw Error(ErrorCode::kRegistry, "no answer");
         });
  ASSERT_EQ(failed.plan.refused.size(), 1u);
  EXPECT_EQ(failed.plan.refused[0].code(), ErrorCode::kRegistry);
  EXPECT_EQ(failed.plan.refused[0].range().ToString(), "Dockerfile:1:6");
}

// Dependabot reads FROM lines one by one: keyword, an optional platform, a
// registry with a dot, a lower-case path, a tag, a digest, AS and a name. It
// bumps a digest that stands behind the tag.
std::string DependabotForm() {
  const std::string part = "[[:alnum:]](?:[[:alnum:]-]*[[:alnum:]])?";
  const std::string path = "[a-z0-9]+(?:(?:[._]|__|-*)[a-z0-9]+)*";
  return "[Ff][Rr][Oo][Mm]\\s+(?:--platform=\\S+\\s+)?(?:" + part + "(?:\\." +
         part + ")+(?::[0-9]+)?/)?(" + path + "(?:/" + path +
         ")*)(?::(\\w[\\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?"
         "(?:\\s+[Aa][Ss]\\s+[\\w-]+)?\\s*";
}

// Renovate splits what follows FROM (up to a blank), --from= (up to a blank)
// or from= of a mount (up to a comma or a blank) at '@' and then at the last
// ':' behind the last '/'.
std::optional<std::array<std::string, 3>> RenovateForm(
    const std::string& line) {
  static const std::regex kName(
      "^\\s*(?:FROM\\s+(?:--platform=\\S+\\s+)?(\\S+)|COPY.*--from=(\\S+)|"
      "RUN.*--mount=(?:\\S*=\\S*,)*from=([^, ]+)).*$",
      std::regex::icase);
  std::smatch match;
  if (!std::regex_match(line, match, kName)) return std::nullopt;
  const std::string name = match[1].str() + match[2].str() + match[3].str();
  const std::vector<std::string> halves = Split(name, '@');
  if (halves.size() != 2) return std::nullopt;
  const size_t colon = halves[0].rfind(':');
  const size_t slash = halves[0].rfind('/');
  const bool tag = colon != std::string::npos &&
                   (slash == std::string::npos || colon > slash);
  return std::array<std::string, 3>{
      halves[0].substr(0, tag ? colon : std::string::npos),
      tag ? halves[0].substr(colon + 1) : "", halves[1]};
}

TEST(PinTest, BotsFindWhatPinWrites) {
  const std::string text =
      "FROM alpine:3.20\n"
      "FROM --platform=$BUILDPLATFORM ghcr.io/o/app:v1.2.3 AS build\n"
      "from debian\n"
      "FROM 127.0.0.1:5000/team/base:2024-01-01\n"
      "COPY --from=busybox:1.36 /bin/sh /bin/sh\n"
      "RUN --mount=type=bind,from=golang:1.22,target=/go true\n";
  const std::vector<std::pair<std::string, std::string>> names = {
      {"alpine", "3.20"},  {"ghcr.io/o/app", "v1.2.3"},
      {"debian", ""},      {"127.0.0.1:5000/team/base", "2024-01-01"},
      {"busybox", "1.36"}, {"golang", "1.22"}};
  const auto lines = Split(Do(text, PinMode::kPin).text, '\n');
  const std::regex dependabot(DependabotForm());
  for (size_t i = 0; i < names.size(); ++i) {
    const auto& [name, tag] = names[i];
    const auto found = RenovateForm(lines[i]);
    ASSERT_TRUE(found) << lines[i];
    const std::string digest =
        HashOfName(oci::Reference::Parse(tag.empty() ? name : name + ":" + tag)
                       .WithDefaultTag())
            ->ToString();
    EXPECT_EQ(*found, (std::array<std::string, 3>{name, tag, digest}));
    if (i >= 4) continue;  // Dependabot reads FROM lines only
    std::smatch match;
    ASSERT_TRUE(std::regex_match(lines[i], match, dependabot)) << lines[i];
    EXPECT_TRUE(name.ends_with(match[1].str()));
    EXPECT_EQ(match[2].str(), tag);
    EXPECT_EQ(match[3].str(), digest);
  }
}

TEST(TextEditTest, PatchOfNothingIsNothing) {
  EXPECT_EQ(UnifiedPatch("x", "a\n", "a\n"), "");
}

TEST(TextEditTest, HunksAreJoinedWhenTheirContextsTouch) {
  std::string before;
  for (int i = 1; i <= 20; ++i) before += std::to_string(i) + "\n";
  std::string after = before;
  after.replace(after.find("2\n"), 1, "two");
  after.replace(after.find("\n9\n") + 1, 1, "nine");
  after.replace(after.find("\n20\n") + 1, 2, "twenty");
  EXPECT_EQ(UnifiedPatch("dir/a \"b\"", before, after),
            "diff --git \"a/dir/a \\\"b\\\"\" \"b/dir/a \\\"b\\\"\"\n"
            "--- \"a/dir/a \\\"b\\\"\"\n"
            "+++ \"b/dir/a \\\"b\\\"\"\n"
            "@@ -1,12 +1,12 @@\n"
            " 1\n-2\n+two\n 3\n 4\n 5\n 6\n 7\n 8\n-9\n+nine\n 10\n 11\n 12\n"
            "@@ -17,4 +17,4 @@\n"
            " 17\n 18\n 19\n-20\n+twenty\n");
}

}  // namespace
}  // namespace imgbuild::lock
