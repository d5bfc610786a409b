// Nothing that is accepted is ignored: every flag of every instruction and
// every option of every mount changes the plan of some Dockerfile, and one
// without a row here fails. What is not in the tables is refused at its place.
#include "dockerfile/flag_table.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "dockerfile/ast_builder.h"
#include "dockerfile/mount_options.h"
#include "plan/plan_fixture.h"

namespace imgbuild::plan {
namespace {

using dockerfile::FlagsOf;
using dockerfile::FlagSpec;
using dockerfile::Keyword;
using dockerfile::MountSpec;

// The plan, or the error.
std::string Outcome(const std::string& text) {
  FakeResolver resolver;
  PlanOptions options = DefaultOptions();
  options.entitlements = {"network.host", "security.insecure"};
  try {
    return Told(PlanText(text, options, resolver));
  } catch (const Error& error) {
    return error.Render();
  }
}

bool Refused(const std::string& outcome) {
  return outcome.starts_with("error:");
}

std::string With(std::string text, const std::string& flag) {
  return text.replace(text.find('@'), 1, flag);
}

struct Row {
  Keyword keyword;
  std::string flag;
  std::string text;  // '@' is where the flag goes
  std::vector<std::string> changes;
  // Its default, written out.
  std::vector<std::string> same;
};

const std::vector<Row>& Rows() {
  static const std::string copy =
      "FROM busybox AS s\nFROM busybox\nCOPY @a /b\n";
  static const std::string add = "FROM busybox\nADD @a /b\n";
  static const std::string git = "FROM busybox\nADD @git://h/r /b\n";
  static const std::string url = "FROM busybox\nADD @http://h/f /b\n";
  static const std::string run = "FROM busybox\nRUN @true\n";
  static const std::string health = "FROM busybox\nHEALTHCHECK @CMD true\n";
  static const std::string sha = "sha256:" + std::string(64, 'a');
  static const std::vector<Row> rows = {
      {Keyword::kFrom,
       "platform",
       "FROM @busybox\n",
       {"--platform=linux/arm64"},
       {"--platform=linux/amd64", "--platform="}},
      {Keyword::kRun, "mount", run, {"--mount=type=cache,target=/c"}, {}},
      {Keyword::kRun,
       "network",
       run,
       {"--network=none", "--network=host"},
       {"--network=default"}},
      {Keyword::kRun,
       "security",
       run,
       {"--security=insecure"},
       {"--security=sandbox"}},
      {Keyword::kRun, "device", run, {"--device=vendor.com/usb=x"}, {}},
      {Keyword::kRun, "no-cache", run, {"--no-cache"}, {"--no-cache=false"}},
      {Keyword::kCopy, "chown", copy, {"--chown=1:2"}, {"--chown="}},
      {Keyword::kCopy, "chmod", copy, {"--chmod=700", "--chmod=u+x"}, {}},
      {Keyword::kCopy, "link", copy, {"--link"}, {"--link=false"}},
      {Keyword::kCopy,
       "exclude",
       copy,
       {"--exclude=*.md", "--exclude=a --exclude=b"},
       {}},
      {Keyword::kCopy, "from", copy, {"--from=s", "--from=old"}, {"--from="}},
      {Keyword::kCopy, "parents", copy, {"--parents"}, {"--parents=false"}},
      {Keyword::kCopy,
       "if-exists",
       copy,
       {"--if-exists"},
       {"--if-exists=false"}},
      {Keyword::kAdd, "chown", add, {"--chown=1:2"}, {"--chown="}},
      {Keyword::kAdd, "chmod", add, {"--chmod=700"}, {}},
      {Keyword::kAdd, "link", add, {"--link"}, {"--link=false"}},
      {Keyword::kAdd, "exclude", add, {"--exclude=*.md"}, {}},
      {Keyword::kAdd, "checksum", url, {"--checksum=" + sha}, {}},
      {Keyword::kAdd,
       "keep-git-dir",
       git,
       {"--keep-git-dir"},
       {"--keep-git-dir=false"}},
      {Keyword::kAdd, "unpack", add, {"--unpack=false"}, {}},
      {Keyword::kAdd, "unpack", url, {"--unpack=true"}, {}},
      {Keyword::kHealthcheck,
       "interval",
       health,
       {"--interval=5s"},
       {"--interval=0s"}},
      {Keyword::kHealthcheck,
       "timeout",
       health,
       {"--timeout=5s"},
       {"--timeout=0s"}},
      {Keyword::kHealthcheck,
       "start-period",
       health,
       {"--start-period=5s"},
       {"--start-period=0s"}},
      {Keyword::kHealthcheck,
       "start-interval",
       health,
       {"--start-interval=5s"},
       {"--start-interval=0s"}},
      {Keyword::kHealthcheck,
       "retries",
       health,
       {"--retries=7"},
       {"--retries=0"}},
  };
  return rows;
}

std::vector<Keyword> Keywords() {
  std::vector<Keyword> out;
  for (int k = 0; k < static_cast<int>(Keyword::kUnknown); ++k) {
    out.push_back(static_cast<Keyword>(k));
  }
  return out;
}

// The keyword at the start of a line of a Dockerfile that may have it.
std::string LineOf(Keyword keyword, const std::string& rest) {
  const std::string line =
      std::string(dockerfile::KeywordName(keyword)) + " " + rest + "\n";
  const std::string head = "# imgbuild: extensions=1\n";
  if (keyword == Keyword::kFrom) return head + line;
  return head + "FROM busybox\n" + line;
}

TEST(FlagTableTest, EveryFlagOfEveryInstructionChangesThePlan) {
  size_t flags = 0;
  for (const Keyword keyword : Keywords()) {
    for (const FlagSpec& spec : FlagsOf(keyword)) {
      ++flags;
      const std::string name =
          fmt::format("{} --{}", dockerfile::KeywordName(keyword), spec.name);
      SCOPED_TRACE(name);
      bool found = false;
      for (const Row& row : Rows()) {
        if (row.keyword != keyword || row.flag != spec.name) continue;
        found = true;
        const std::string without = Outcome(With(row.text, ""));
        ASSERT_FALSE(Refused(without)) << without;
        std::vector<std::string> seen = {without};
        for (const std::string& change : row.changes) {
          const std::string with = Outcome(With(row.text, change + " "));
          // No plan at all, if what it asks for cannot be had.
          EXPECT_TRUE(!Refused(with) ||
                      with.find("is not granted") != std::string::npos)
              << with;
          EXPECT_EQ(std::ranges::count(seen, with), 0) << change;
          seen.push_back(with);
        }
        for (const std::string& same : row.same) {
          EXPECT_EQ(Outcome(With(row.text, same + " ")), without) << same;
        }
      }
      EXPECT_TRUE(found) << "the flag has no row in this test";
    }
  }
  EXPECT_GE(flags, 25u);
}

TEST(FlagTableTest, AnyOtherFlagIsRefusedWhereItStands) {
  std::vector<std::string> all;
  for (const Keyword keyword : Keywords()) {
    for (const FlagSpec& spec : FlagsOf(keyword)) all.emplace_back(spec.name);
  }
  all.emplace_back("nonsense");
  for (const Keyword keyword : Keywords()) {
    for (const std::string& flag : all) {
      if (std::ranges::any_of(FlagsOf(keyword), [&](const FlagSpec& spec) {
            return spec.name == flag;
          })) {
        continue;
      }
      const std::string keyword_name(dockerfile::KeywordName(keyword));
      const std::string text = LineOf(keyword, "--" + flag + "=1 a b");
      const std::string outcome = Outcome(text);
      const std::string want = fmt::format(
          "error: {}: unknown flag \"--{}\"\n --> Dockerfile:{}:{}\n",
          keyword_name, flag, std::ranges::count(text, '\n'),
          keyword_name.size() + 2);
      EXPECT_TRUE(outcome.starts_with(want)) << want << "\n" << outcome;
      EXPECT_NE(outcome.find("^"), std::string::npos) << outcome;
    }
  }
}

TEST(FlagTableTest, AMisspeltNameIsAnsweredWithTheNearest) {
  for (const Keyword keyword : Keywords()) {
    const std::string name(dockerfile::KeywordName(keyword));
    const std::string text = "# imgbuild: extensions=1\nFROM busybox\n" + name +
                             name.back() + " a b\n";
    const std::string outcome = Outcome(text);
    EXPECT_NE(outcome.find("\n --> Dockerfile:3:1\n"), std::string::npos)
        << outcome;
    EXPECT_NE(outcome.find("did you mean \"" + name + "\"?"), std::string::npos)
        << outcome;
    for (const FlagSpec& spec : FlagsOf(keyword)) {
      const std::string flag(spec.name);
      const std::string answer =
          Outcome(LineOf(keyword, "--" + flag + flag.back() + "=1 a b"));
      EXPECT_NE(answer.find("did you mean \"--" + flag + "\"?"),
                std::string::npos)
          << answer;
    }
  }
}

struct MountRow {
  MountSpec::Type type;
  std::string key;  // canonical
  std::string value;
  // Instead of the type's usual options.
  std::optional<std::string> base = std::nullopt;
  // The only value that is accepted is the default, this one.
  bool fixed = false;
};

constexpr MountSpec::Type kMountTypes[] = {
    MountSpec::Type::kBind, MountSpec::Type::kCache, MountSpec::Type::kTmpfs,
    MountSpec::Type::kSecret, MountSpec::Type::kSsh};

std::string MountBase(MountSpec::Type type) {
  switch (type) {
    case MountSpec::Type::kBind:
      return "type=bind,target=/t";
    case MountSpec::Type::kCache:
      return "type=cache,target=/t";
    case MountSpec::Type::kTmpfs:
      return "type=tmpfs,target=/t";
    case MountSpec::Type::kSecret:
      return "type=secret,id=x,target=/t";
    case MountSpec::Type::kSsh:
      return "type=ssh,target=/t";
  }
  return "";
}

const std::vector<MountRow>& MountRows() {
  using Type = MountSpec::Type;
  static const std::vector<MountRow> rows = {
      {Type::kBind, "type", "cache"},
      {Type::kBind, "target", "/u"},
      {Type::kBind, "source", "/s"},
      {Type::kBind, "from", "s"},
      {Type::kBind, "readonly", "false"},
      {Type::kBind, "readwrite", "true"},
      {Type::kCache, "type", "bind"},
      {Type::kCache, "target", "/u"},
      {Type::kCache, "source", "/s"},
      {Type::kCache, "from", "s"},
      {Type::kCache, "readonly", "true"},
      {Type::kCache, "readwrite", "false"},
      {Type::kCache, "id", "z"},
      {Type::kCache, "sharing", "locked"},
      {Type::kCache, "mode", "0700"},
      {Type::kCache, "uid", "7"},
      {Type::kCache, "gid", "7"},
      {Type::kTmpfs, "type", "bind"},
      {Type::kTmpfs, "target", "/u"},
      {Type::kTmpfs, "readonly", "true"},
      {Type::kTmpfs, "readwrite", "false"},
      {Type::kTmpfs, "size", "1m"},
      {Type::kSecret, "type", "ssh"},
      {Type::kSecret, "target", "/u"},
      {Type::kSecret, "source", "y", "type=secret,target=/t"},
      {Type::kSecret, "readonly", "true", std::nullopt, true},
      {Type::kSecret, "id", "z"},
      {Type::kSecret, "required", "true"},
      {Type::kSecret, "mode", "0700"},
      {Type::kSecret, "uid", "7"},
      {Type::kSecret, "gid", "7"},
      {Type::kSecret, "env", "E"},
      {Type::kSsh, "type", "secret"},
      {Type::kSsh, "target", "/u"},
      {Type::kSsh, "readonly", "true", std::nullopt, true},
      {Type::kSsh, "id", "z"},
      {Type::kSsh, "required", "true"},
      {Type::kSsh, "mode", "0700"},
      {Type::kSsh, "uid", "7"},
      {Type::kSsh, "gid", "7"},
  };
  return rows;
}

std::string MountText(const std::string& options) {
  return "FROM busybox AS s\nFROM busybox\nRUN --mount=" + options + " true\n";
}

TEST(FlagTableTest, EveryOptionOfEveryMountChangesThePlan) {
  for (const MountSpec::Type type : kMountTypes) {
    for (const std::string& key : dockerfile::MountKeys()) {
      const std::string canonical = dockerfile::CanonicalMountKey(key);
      const std::string trace = MountBase(type) + " " + key;
      SCOPED_TRACE(trace);
      if (!dockerfile::MountTakes(type, canonical)) {
        const std::string outcome =
            Outcome(MountText(MountBase(type) + "," + key + "=1"));
        EXPECT_NE(outcome.find("\n --> Dockerfile:3:"), std::string::npos)
            << outcome;
        EXPECT_NE(outcome.find("has no option \"" + key + "\""),
                  std::string::npos)
            << outcome;
        continue;
      }
      const auto row =
          std::ranges::find_if(MountRows(), [&](const MountRow& r) {
            return r.type == type && r.key == canonical;
          });
      ASSERT_NE(row, MountRows().end()) << "the option has no row in this test";
      const std::string base = row->base.value_or(MountBase(type));
      const std::string without = Outcome(MountText(base));
      ASSERT_FALSE(Refused(without)) << without;
      const std::string with =
          Outcome(MountText(base + "," + key + "=" + row->value));
      EXPECT_FALSE(Refused(with)) << with;
      if (row->fixed) {
        EXPECT_EQ(with, without);
        EXPECT_TRUE(Refused(Outcome(MountText(base + "," + key + "=false"))));
      } else {
        EXPECT_NE(with, without);
      }
    }
  }
}

TEST(FlagTableTest, AMisspeltMountOptionIsAnsweredWithTheNearest) {
  const auto answered = [](const std::string& options,
                           const std::string& name) {
    const std::string outcome = Outcome(MountText(options));
    EXPECT_NE(outcome.find("\n --> Dockerfile:3:"), std::string::npos)
        << outcome;
    EXPECT_NE(outcome.find("did you mean \"" + name + "\"?"), std::string::npos)
        << outcome;
  };
  for (const std::string& key : dockerfile::MountKeys()) {
    if (key.size() < 3) continue;  // too short to be told from a typing error
    answered("target=/t," + key + key.back() + "=1", key);
  }
  for (const char* type : {"bind", "cache", "tmpfs", "secret", "ssh"}) {
    answered(fmt::format("target=/t,type={}x", type), type);
  }
  for (const char* mode : {"shared", "private", "locked"}) {
    answered(fmt::format("type=cache,target=/t,sharing={}x", mode), mode);
  }
}

}  // namespace
}  // namespace imgbuild::plan
