// Nothing that is accepted is ignored: every flag of `build` has a row that
// shows what it changes: the plan of a Dockerfile, a part of the request, or a
// test of the whole program by its name. A flag without a row fails.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"

#include "cli/build_options.h"
#include "cli/commands.h"
#include "plan/plan_fixture.h"

namespace imgbuild::cli {
namespace {

using WordList = std::vector<std::string>;

struct Parsed {
  BuildFlags flags;
  GlobalOptions global;
  std::vector<std::string> names;

  explicit Parsed(WordList words) {
    Args args("build [OPTIONS] PATH", "");
    AddPlanFlags(args, flags);
    AddBuildFlags(args, flags);
    AddGlobalFlags(args, global);
    names = args.Names();
    words.emplace_back(".");
    args.Parse(words);
  }
};

// Changes the plan of `dockerfile`.
struct PlanRow {
  std::string flag;
  WordList words;
  std::string dockerfile = "FROM busybox\nRUN true\n";
};

const std::vector<PlanRow>& PlanRows() {
  static const std::vector<PlanRow> rows = {
      {"--build-arg",
       {"--build-arg", "A=1"},
       "FROM busybox\nARG A\nRUN true\n"},
      {"--build-context", {"--build-context", "busybox=docker-image://old"}},
      {"--target",
       {"--target", "a"},
       "FROM busybox AS a\nFROM busybox AS b\nRUN true\n"},
      {"--platform", {"--platform", "linux/arm64"}},
      {"--no-cache", {"--no-cache"}},
      {"--no-cache-filter",
       {"--no-cache-filter", "a"},
       "FROM busybox AS a\nRUN true\n"},
      {"--label", {"--label", "k=v"}},
      {"--allow",
       {"--allow", "network.host"},
       "FROM busybox\nRUN --network=host true\n"},
      {"--allow",
       {"--allow", "security.insecure"},
       "FROM busybox\nRUN --security=insecure true\n"},
      {"--network", {"--network", "none"}},
      {"--add-host", {"--add-host", "db:10.0.0.5"}},
      {"--cgroup-parent", {"--cgroup-parent", "/builds"}},
      {"--shm-size", {"--shm-size", "1m"}},
      {"--ulimit", {"--ulimit", "nofile=10:20"}},
      {"--source-date-epoch", {"--source-date-epoch", "7"}},
  };
  return rows;
}

std::string PlanOf(const WordList& words, const std::string& dockerfile) {
  plan::FakeResolver resolver;
  try {
    plan::PlanOptions options = ToPlanOptions(Parsed(words).flags);
    return plan::Told(plan::PlanText(dockerfile, options, resolver));
  } catch (const Error& error) {
    return error.Render();
  }
}

// Changes what is asked of the builder beside the plan.
struct RequestRow {
  std::string flag;
  WordList words;
  std::function<std::string(const BuildFlags&)> show;
};

std::string Limits(const BuildFlags& flags) {
  const exec::ResourceLimits limits = ParseLimits(flags);
  return fmt::format("{} {} {} {} {} {} {}", limits.memory_bytes,
                     limits.memory_swap_bytes, limits.cpu_quota_us,
                     limits.cpu_period_us, limits.cpu_shares,
                     limits.cpuset_cpus, limits.cpuset_mems);
}

const std::vector<RequestRow>& RequestRows() {
  static const std::vector<RequestRow> rows = {
      {"--tag",
       {"--tag", "a"},
       [](const BuildFlags& flags) {
         std::string out;
         for (const oci::Reference& tag : ParseTags(flags)) {
           out += tag.ToString();
         }
         return out;
       }},
      {"--secret",
       {"--secret", "id=a,src=/dev/null"},
       [](const BuildFlags& flags) {
         std::string out;
         for (const auto& [id, secret] : ParseSecrets(flags)) {
           out += id + secret.file;
         }
         return out;
       }},
      {"--ssh",
       {"--ssh", "default=/dev/null"},
       [](const BuildFlags& flags) {
         std::string out;
         for (const build::SshForward& forward : ParseSsh(flags)) {
           out += forward.id + Join(forward.paths, ",");
         }
         return out;
       }},
      {"--annotation",
       {"--annotation", "k=v"},
       [](const BuildFlags& flags) {
         std::string out;
         for (const auto& [key, value] :
              ParseAnnotations(flags, oci::Platform::Host()).manifest) {
           out += key + "=" + value;
         }
         return out;
       }},
      {"--memory", {"--memory", "100m"}, Limits},
      {"--memory-swap", {"--memory", "100m", "--memory-swap", "200m"}, Limits},
      {"--cpu-period", {"--cpu-quota", "1000", "--cpu-period", "2000"}, Limits},
      {"--cpu-quota", {"--cpu-quota", "1000"}, Limits},
      {"--cpu-shares", {"--cpu-shares", "512"}, Limits},
      {"--cpuset-cpus", {"--cpuset-cpus", "0"}, Limits},
      {"--cpuset-mems", {"--cpuset-mems", "0"}, Limits},
      {"--resource", {"--resource", "memory=100m"}, Limits},
      {"--jobs",
       {"--jobs", "3"},
       [](const BuildFlags& flags) {
         return std::to_string(ParseJobs(flags));
       }},
  };
  return rows;
}

// What a test of another file shows: the words `mark` stand in the text of
// `test`, below tests/.
struct TestRow {
  std::string flag;
  std::string file;
  std::string test;
  std::string mark;
};

const std::vector<TestRow>& TestRows() {
  static const std::vector<TestRow> rows = {
      {"--file", "e2e/build_test.py",
       "test_dockerfile_elsewhere_and_build_is_optional", "\"-f\""},
      {"--pull", "e2e/build_flags_test.py",
       "test_pull_asks_what_a_tag_stands_for_now", "\"--pull\""},
      {"--store-max", "e2e/store_max_test.py",
       "test_a_build_makes_room_before_and_after", "\"--store-max\""},
      {"--keep-locked", "e2e/store_max_test.py",
       "test_a_build_keeps_what_other_locks_name", "\"--keep-locked\""},
      {"--source-policy", "e2e/source_policy_test.py", "",
       "\"--source-policy\""},
      {"--locked", "e2e/lock_test.py",
       "test_locked_names_the_line_and_the_command", "\"--locked\""},
      {"--no-locked", "e2e/lock_test.py", "test_moved_tag_keeps_the_old_base",
       "\"--no-locked\""},
      {"--frozen", "e2e/lock_test.py", "test_frozen_makes_no_request",
       "\"--frozen\""},
      {"--lockfile", "e2e/build_flags_test.py",
       "test_lockfile_takes_another_lock", "\"--lockfile\""},
      {"--lock-bundle", "e2e/lock_test.py",
       "test_bundle_builds_without_a_registry", "\"--lock-bundle\""},
      {"--record-output", "e2e/lock_test.py", "test_recorded_output",
       "\"--record-output\""},
      {"--progress", "e2e/build_test.py", "test_rawjson", "\"--progress\""},
      {"--iidfile", "e2e/build_test.py", "test_iidfile_metadata_and_quiet",
       "\"--iidfile\""},
      {"--metadata-file", "e2e/build_test.py",
       "test_iidfile_metadata_and_quiet", "\"--metadata-file\""},
      {"--quiet", "e2e/build_test.py", "test_iidfile_metadata_and_quiet",
       "\"-q\""},
      {"--output", "e2e/output_test.py", "test_local", "\"-o\""},
      {"--slow-path", "build/copy_reuse_test.cc", "", "slow_path_ = true"},
      {"--check", "e2e/check_test.py", "", "\"--check\""},
      {"--call", "e2e/check_test.py", "", "\"--call=check\""},
      {"--print", "e2e/call_test.py", "test_older_spelling", "\"--print\""},
      {"--root", "e2e/lock_test.py", "test_global_flag_before_two_words",
       "\"--root\""},
      {"--insecure-registry", "e2e/build_flags_test.py",
       "test_insecure_registry_is_asked_over_http", "\"--insecure-registry\""},
      {"--runtime", "e2e/build_flags_test.py", "test_runtime_is_the_one_named",
       "\"--runtime\""},
  };
  return rows;
}

// The text of a Python function, or the whole file for "".
std::string TextOf(const TestRow& row) {
  std::ifstream in(std::string(IMGBUILD_TESTDATA) + "/../tests/" + row.file);
  std::stringstream out;
  out << in.rdbuf();
  const std::string text = out.str();
  if (row.test.empty()) return text;
  const size_t begin = text.find("def " + row.test + "(");
  if (begin == std::string::npos) return "";
  const size_t end = text.find("\n    def ", begin);
  return text.substr(begin, end - begin);
}

TEST(BuildFlagsTest, EveryFlagHasARowAndEveryRowAFlag) {
  std::set<std::string> shown;
  for (const PlanRow& row : PlanRows()) shown.insert(row.flag);
  for (const RequestRow& row : RequestRows()) shown.insert(row.flag);
  for (const TestRow& row : TestRows()) shown.insert(row.flag);
  const std::vector<std::string> names = Parsed({}).names;
  EXPECT_GE(names.size(), 40u);
  for (const std::string& name : names) {
    EXPECT_TRUE(shown.contains(name)) << name << " has no row in this test";
  }
  for (const std::string& name : shown) {
    EXPECT_TRUE(std::ranges::count(names, name)) << "no flag " << name;
  }
}

TEST(BuildFlagsTest, PlansChange) {
  for (const PlanRow& row : PlanRows()) {
    const std::string with = PlanOf(row.words, row.dockerfile);
    EXPECT_FALSE(with.starts_with("error:")) << row.flag << "\n" << with;
    EXPECT_NE(with, PlanOf({}, row.dockerfile)) << row.flag;
  }
}

TEST(BuildFlagsTest, RequestsChange) {
  for (const RequestRow& row : RequestRows()) {
    // Without the flag itself and its value.
    WordList without = row.words;
    const auto at = std::ranges::find(without, row.flag);
    without.erase(at, at + 2);
    EXPECT_NE(row.show(Parsed(row.words).flags),
              row.show(Parsed(without).flags))
        << row.flag;
  }
}

TEST(BuildFlagsTest, TestsOfTheProgramNameTheFlag) {
  for (const TestRow& row : TestRows()) {
    EXPECT_NE(TextOf(row).find(row.mark), std::string::npos)
        << row.flag << ": no " << row.mark << " in " << row.file << " "
        << row.test;
  }
}

TEST(BuildFlagsTest, AMisspeltFlagIsAnsweredWithTheNearest) {
  for (const std::string& name : Parsed({}).names) {
    const std::string wrong = name + name.back();
    try {
      const Parsed parsed({wrong});
      ADD_FAILURE() << wrong << " is taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_EQ(error.message(), "unknown flag: " + wrong);
      EXPECT_EQ(error.hint(), "did you mean " + name + "?");
    }
  }
}

}  // namespace
}  // namespace imgbuild::cli
