// Builds on fakes: what runs, what is cached, what the image is.
#include "imgbuild/build/builder.h"

#include <latch>

#include "build/build_fixture.h"

namespace imgbuild::build {
namespace {

using Commands = std::vector<std::string>;

class BuilderTest : public BuildFixture {
 protected:
  void SetUp() override {
    // `write PATH TEXT…` writes a file; `fail N` exits; `nothing` does nothing.
    script_ = [](const exec::FakeProcess& process) {
      const std::string& command = process.command();
      exec::ExitResult result;
      if (command.starts_with("write ")) {
        const size_t space = command.find(' ', 6);
        process.WriteFile(command.substr(6, space - 6),
                          command.substr(space + 1));
      } else if (command.starts_with("fail ")) {
        process.Print("about to fail\n", 2);
        result.exit_code = std::stoi(command.substr(5));
      }
      return result;
    };
  }
};

TEST_F(BuilderTest, CopyRunAndConfigBecomeAnImage) {
  WriteFile("a.txt", "hello");
  const BuildResult result = Build(
      "FROM scratch\n"
      "COPY a.txt /dir/\n"
      "RUN write /made by a step\n"
      "ENV A=1\n"
      "CMD [\"/made\"]\n");
  const auto files = Files(result);
  EXPECT_EQ(ReadFromTree(*files, "dir/a.txt", 100), "hello");
  EXPECT_EQ(ReadFromTree(*files, "made", 100), "by a step");
  const oci::ImageConfig config = oci::ParseImageConfig(result.config);
  EXPECT_EQ(config.Env("A"), "1");
  EXPECT_EQ(config.cmd, std::vector<std::string>{"/made"});
  EXPECT_EQ(config.diff_ids.size(), 2u);
  EXPECT_EQ(config.created, "1980-01-01T00:00:00Z");
  ASSERT_EQ(config.history.size(), 4u);
  EXPECT_EQ(config.history[1].created_by,
            "RUN /bin/sh -c write /made by a step # buildkit");
  EXPECT_TRUE(config.history[2].empty_layer);
  EXPECT_TRUE(store_->images().FindManifest(result.manifest.digest));
}

TEST_F(BuilderTest, ASecondBuildRunsNothingAndGivesTheSameDigest) {
  WriteFile("a.txt", "hello");
  const std::string text =
      "FROM scratch AS one\nCOPY a.txt /\nRUN write /x y\n"
      "FROM scratch\nCOPY --from=one /x /\nRUN write /z z\n";
  const BuildResult first = Build(text);
  EXPECT_EQ(executor_->commands(), (Commands{"write /x y", "write /z z"}));
  const BuildResult second = Build(text);
  EXPECT_TRUE(executor_->commands().empty());
  EXPECT_EQ(second.manifest.digest, first.manifest.digest);
  EXPECT_TRUE(second.unchanged);
  EXPECT_EQ(second.cached_steps, 4u);
  EXPECT_EQ(second.run_steps, 0u);
  EXPECT_EQ(progress_->outcomes.at("[one 2/3] COPY a.txt /"), "cached");
}

TEST_F(BuilderTest, ThreadsDoNotChangeTheDigest) {
  for (int i = 0; i < 40; ++i) {
    WriteFile("d/f" + std::to_string(i), std::string(50'000, 'x'));
  }
  const std::string text =
      "FROM scratch AS a\nRUN write /a a\nFROM scratch AS b\nRUN write /b b\n"
      "FROM scratch\nCOPY d /d\nCOPY --from=a /a /\nCOPY --from=b /b /\n";
  const BuildResult one = Build(text, {}, 1);
  plan::PlanOptions options;
  options.no_cache = true;
  EXPECT_EQ(Build(text, options, 8).manifest.digest, one.manifest.digest);
}

TEST_F(BuilderTest, AChangedFileRunsWhatDependsOnItAndSaysWhy) {
  WriteFile("a.txt", "1");
  WriteFile("b.txt", "1");
  const std::string text =
      "FROM scratch\nCOPY b.txt /b\nRUN write /early e\nCOPY a.txt /a\n"
      "RUN write /late l\n";
  Build(text);
  WriteFile("a.txt", "2");
  const BuildResult second = Build(text);
  EXPECT_EQ(executor_->commands(), Commands{"write /late l"});
  EXPECT_EQ(second.cached_steps, 2u);
  EXPECT_EQ(progress_->notes.at("[4/5] COPY a.txt /a"),
            "miss: the contents of its source changed");
  EXPECT_EQ(progress_->notes.at("[5/5] RUN write /late l"),
            "miss: the step before made other files");
}

TEST_F(BuilderTest, AStepThatMakesTheSameLayerAgainEndsTheRebuild) {
  Build("FROM scratch\nRUN write /same same\nRUN write /late l\n");
  // The first step is another one now (another command), with the same result.
  script_ = [](const exec::FakeProcess& process) {
    process.WriteFile("/same", "same");
    return exec::ExitResult{};
  };
  Build("FROM scratch\nRUN make same\nRUN write /late l\n");
  EXPECT_EQ(executor_->commands(), Commands{"make same"});
}

TEST_F(BuilderTest, CopyFromAStageCountsTheFilesThatItTakesAlone) {
  WriteFile("a.txt", "1");
  const std::string text =
      "FROM scratch AS a\nCOPY a.txt /noise\nRUN write /x x\n"
      "FROM scratch\nCOPY --from=a /x /x\nRUN write /late l\n";
  const BuildResult first = Build(text);
  WriteFile("a.txt", "2");
  const BuildResult second = Build(text);
  EXPECT_EQ(executor_->commands(), Commands{"write /x x"});
  EXPECT_EQ(second.manifest.digest, first.manifest.digest);
}

TEST_F(BuilderTest, MtimesOfTheContextDoNotMatter) {
  WriteFile("a.txt", "hello");
  const std::string text = "FROM scratch\nCOPY . /\n";
  const BuildResult first = Build(text);
  const struct timespec times[2] = {{12345, 0}, {12345, 0}};
  ASSERT_EQ(::utimensat(context_.fd(), "a.txt", times, 0), 0);
  plan::PlanOptions options;
  options.no_cache = true;
  EXPECT_EQ(Build(text, options).manifest.digest, first.manifest.digest);
}

TEST_F(BuilderTest, AStepThatChangesNothingMakesNoLayer) {
  const BuildResult result = Build("FROM scratch\nRUN nothing\n");
  EXPECT_TRUE(result.layers.empty());
  const oci::ImageConfig config = oci::ParseImageConfig(result.config);
  ASSERT_EQ(config.history.size(), 1u);
  EXPECT_TRUE(config.history[0].empty_layer);
}

TEST_F(BuilderTest, LaterStepsSeeTheTimesThatTheLayerHas) {
  const BuildResult result = Build("FROM scratch\nRUN write /made x\n");
  // The directory of the step itself, not one unpacked from its blob.
  ASSERT_TRUE(store_->snapshots().Has(result.layers.at(0).diff_id));
  EXPECT_EQ(Files(result)->Lstat("made")->mtime_s, plan::kDefaultEpoch);
}

TEST_F(BuilderTest, UnusedStagesAreNotRun) {
  Build("FROM scratch AS unused\nRUN fail 1\nFROM scratch\nRUN write /x y\n");
  EXPECT_EQ(executor_->commands(), Commands{"write /x y"});
}

TEST_F(BuilderTest, AFailingStepNamesItsLineAndItsExitCode) {
  EXPECT_EQ(FailureOf("FROM scratch\nRUN write /x y\nRUN fail 3\n"),
            "error: process \"/bin/sh -c fail 3\" did not complete "
            "successfully: exit code: 3\n"
            " --> Dockerfile:3:1\n"
            "  |\n"
            "3 | RUN fail 3\n"
            "  | ^^^^^^^^^^\n");
  EXPECT_EQ(progress_->outcomes.at("[3/3] RUN fail 3"), "error");
  EXPECT_EQ(progress_->logs.at("[3/3] RUN fail 3"), "about to fail\n");
  // Nothing is named, and what went well before is cached.
  EXPECT_TRUE(store_->images().List().empty());
  Build("FROM scratch\nRUN write /x y\n");
  EXPECT_TRUE(executor_->commands().empty());
}

TEST_F(BuilderTest, AFailureCancelsTheStepsBesideIt) {
  std::latch both(2);
  script_ = [&](const exec::FakeProcess& process) {
    both.arrive_and_wait();
    if (process.command() == "wait") process.WaitForCancel();
    exec::ExitResult result;
    result.exit_code = 7;
    return result;
  };
  const std::string failure = FailureOf(
      "FROM scratch AS a\nRUN wait\nFROM scratch AS b\nRUN fail\n"
      "FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n");
  EXPECT_TRUE(failure.starts_with(
      "error: process \"/bin/sh -c fail\" did not complete successfully: exit "
      "code: 7\n"))
      << failure;
  EXPECT_EQ(progress_->outcomes.at("[a 2/2] RUN wait"), "cancelled");
}

TEST_F(BuilderTest, AMissingSourceIsLocated) {
  WriteFile("app.txt", "x");
  EXPECT_EQ(FailureOf("FROM scratch\nCOPY ap.txt /x\n"),
            "error: COPY: \"ap.txt\" is not in the build context\n"
            " --> Dockerfile:2:6\n"
            "  |\n"
            "2 | COPY ap.txt /x\n"
            "  |      ^^^^^^\n"
            "  = hint: did you mean app.txt?\n");
}

TEST_F(BuilderTest, ARecordWhoseLayerIsGoneIsAMiss) {
  const std::string text = "FROM scratch\nRUN write /x y\n";
  const BuildResult first = Build(text);
  store_->content().Remove(first.layers.at(0).blob.digest);
  const BuildResult second = Build(text);
  EXPECT_EQ(executor_->commands(), Commands{"write /x y"});
  EXPECT_EQ(progress_->notes.at("[2/2] RUN write /x y"),
            "miss: its layer is gone from the store");
  EXPECT_EQ(second.manifest.digest, first.manifest.digest);
}

TEST_F(BuilderTest, NoCacheRunsEverythingAgain) {
  const std::string text = "FROM scratch AS s\nRUN write /x y\n";
  Build(text);
  plan::PlanOptions options;
  options.no_cache = true;
  Build(text, options);
  EXPECT_EQ(executor_->commands(), Commands{"write /x y"});
  options.no_cache = false;
  options.no_cache_stages = {"s"};
  Build(text, options);
  EXPECT_EQ(executor_->commands(), Commands{"write /x y"});
  options.no_cache_stages = {"other"};
  Build(text, options);
  EXPECT_TRUE(executor_->commands().empty());
}

TEST_F(BuilderTest, ProxiesReachTheProcessButNotTheKeyNorTheHistory) {
  const std::string text = "FROM scratch\nRUN write /x y\n";
  plan::PlanOptions options;
  options.build_args["http_proxy"] = "http://user:secret@proxy";
  const BuildResult first = Build(text, options);
  const std::vector<std::string> env = executor_->specs().at(0).env;
  EXPECT_NE(std::ranges::find(env, "HTTP_PROXY=http://user:secret@proxy"),
            env.end());
  EXPECT_EQ(first.config.find("secret"), std::string::npos);
  options.build_args["http_proxy"] = "http://other";
  Build(text, options);
  EXPECT_TRUE(executor_->commands().empty());
}

}  // namespace
}  // namespace imgbuild::build
