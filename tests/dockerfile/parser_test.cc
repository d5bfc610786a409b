#include "imgbuild/dockerfile/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "imgbuild/dockerfile/directives.h"
#include "imgbuild/util/error.h"

#include "dockerfile/ast_builder.h"

namespace imgbuild::dockerfile {
namespace {

using ::testing::ElementsAre;

std::shared_ptr<const SourceFile> File(std::string text) {
  return std::make_shared<SourceFile>("Dockerfile", std::move(text));
}
Dockerfile ParseText(std::string text, const ParseOptions& options = {}) {
  return Parse(File(std::move(text)), options);
}
// The node of the first instruction behind FROM.
template <typename Node>
Node First(std::string text) {
  return std::get<Node>(ParseText("FROM a\n" + std::move(text))
                            .stages.at(0)
                            .instructions.at(0)
                            .node);
}
std::string RenderOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDockerfile);
    return error.Render();
  }
  return "no error";
}

TEST(ParserTest, InstructionsOfStages) {
  const Dockerfile file = ParseText(
      "ARG A\nFROM debian AS base\nRUN echo a \\\n  b\nFROM base\n"
      "COPY --from=base a b /c/\n");
  ASSERT_EQ(file.stages.size(), 2u);
  EXPECT_EQ(file.meta_args.size(), 1u);
  EXPECT_EQ(std::get<From>(file.stages[0].from.node).image.text, "debian");
  ASSERT_EQ(file.stages[0].instructions.size(), 1u);
  const Instruction& run = file.stages[0].instructions[0];
  EXPECT_EQ(std::get<dockerfile::Run>(run.node).command.shell, "echo a   b");
  EXPECT_EQ(std::get<dockerfile::Run>(run.node).script, "echo a   b");
  EXPECT_EQ(run.keyword, "RUN");
  EXPECT_EQ(run.keyword_range.ToString(), "Dockerfile:3:1");
  EXPECT_EQ(run.range.end(), (SourcePos{4, 4}));
  EXPECT_EQ(run.original, "RUN echo a   b");
}

// A1.3: the reference implementation stops at 64 KiB.
TEST(ParserTest, LongPhysicalLine) {
  const std::string text(200'000, 'x');
  EXPECT_EQ(First<dockerfile::Run>("RUN " + text + "\n").command.shell, text);
  EXPECT_EQ(First<dockerfile::Run>("RUN <<E\n" + text + "\nE\n").script,
            text + "\n");
}

TEST(ParserTest, TenMegabytesInOneLogicalLine) {
  std::string text = "RUN a";
  while (text.size() < 10'000'000) text += " \\\n  && echo 'some' \"words\"";
  EXPECT_GT(First<dockerfile::Run>(text).command.shell.size(), 9'000'000u);
}

TEST(ParserTest, TenThousandStages) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) {
    text += "FROM scratch AS s" + std::to_string(i) +
            "\nRUN make\nCOPY --from=x a b\n";
  }
  EXPECT_EQ(ParseText(text).stages.size(), 10'000u);
}

TEST(ParserTest, CapOfTheLogicalLine) {
  ParseOptions options;
  options.max_line_bytes = 20;
  ParseText("FROM a\nRUN 1234567890123456\n", options);
  EXPECT_EQ(RenderOf([&] {
              ParseText("FROM a\nRUN 123456789 \\\n12345678\n", options);
            }),
            "error: instruction is longer than 20 bytes\n"
            " --> Dockerfile:2:1\n"
            "  |\n"
            "2 | RUN 123456789 \\\n"
            "  | ^\n"
            "  = hint: move the data to a file of the build context\n");
}

TEST(ParserTest, CapOfTheHeredoc) {
  ParseOptions options;
  options.max_line_bytes = 20;
  ParseText("FROM a\nRUN <<E\n123456789\n123456789\nE\n", options);
  EXPECT_EQ(RenderOf([&] {
              ParseText("FROM a\nRUN <<E\n123456789\n1234567890\nE\n", options);
            }),
            "error: here-document is longer than 20 bytes\n"
            " --> Dockerfile:3:1\n"
            "  |\n"
            "3 | 123456789\n"
            "  | ^\n"
            "  = hint: move the data to a file of the build context\n");
}

TEST(ParserTest, CapOfTheFile) {
  ParseOptions options;
  options.max_file_bytes = 10;
  EXPECT_EQ(RenderOf([&] { ParseText("FROM scratch\n", options); }),
            "error: \"Dockerfile\" has 13 bytes: the maximum is 10\n");
}

// Every flag of every instruction is known to just those that have it.
TEST(ParserTest, EveryFlagOfEveryInstruction) {
  const std::vector<std::pair<std::string, std::string>> instructions = {
      {"ADD", "http://a/b c"},
      {"ARG", "a"},
      {"CMD", "a"},
      {"COPY", "a b"},
      {"ENTRYPOINT", "a"},
      {"ENV", "a=b"},
      {"EXPOSE", "1"},
      {"FROM", "a"},
      {"HEALTHCHECK", "CMD a"},
      {"LABEL", "a=b"},
      {"MAINTAINER", "a"},
      {"ONBUILD", "RUN a"},
      {"RUN", "a"},
      {"SHELL", "[\"a\"]"},
      {"STOPSIGNAL", "1"},
      {"USER", "a"},
      {"VOLUME", "/a"},
      {"WORKDIR", "/a"}};
  const std::vector<std::pair<std::string, std::set<std::string>>> flags = {
      {"--platform=linux", {"FROM"}},
      {"--mount=target=/a", {"RUN"}},
      {"--network=none", {"RUN"}},
      {"--security=sandbox", {"RUN"}},
      {"--device=a", {"RUN"}},
      {"--from=a", {"COPY"}},
      {"--parents", {"COPY"}},
      {"--chown=1", {"ADD", "COPY"}},
      {"--chmod=1", {"ADD", "COPY"}},
      {"--link", {"ADD", "COPY"}},
      {"--exclude=a", {"ADD", "COPY"}},
      {"--checksum=sha256:a", {"ADD"}},
      {"--keep-git-dir", {"ADD"}},
      {"--unpack", {"ADD"}},
      {"--interval=1s", {"HEALTHCHECK"}},
      {"--timeout=1s", {"HEALTHCHECK"}},
      {"--start-period=1s", {"HEALTHCHECK"}},
      {"--start-interval=1s", {"HEALTHCHECK"}},
      {"--retries=1", {"HEALTHCHECK"}}};
  for (const auto& [flag, owners] : flags) {
    const std::string name = flag.substr(0, flag.find('='));
    for (const auto& [keyword, arguments] : instructions) {
      std::string message;
      try {
        ParseText("FROM a\n" + keyword + " " + flag + " " + arguments + "\n");
      } catch (const Error& error) {
        message = error.message();
      }
      EXPECT_EQ(message, owners.contains(keyword)
                             ? ""
                             : keyword + ": unknown flag \"" + name + "\"")
          << keyword << " " << flag;
    }
  }
}

TEST(ParserTest, FlagsReachTheTree) {
  const auto add = First<Copy>(
      "ADD --chown=a --chmod=b --link --keep-git-dir=false --checksum=c "
      "--unpack --exclude=d --exclude=e f g\n");
  EXPECT_TRUE(add.is_add);
  EXPECT_EQ(add.chown->text, "a");
  EXPECT_EQ(add.chmod->text, "b");
  EXPECT_TRUE(add.link);
  EXPECT_EQ(add.keep_git_dir, std::optional<bool>(false));
  EXPECT_EQ(add.checksum->text, "c");
  EXPECT_EQ(add.unpack, std::optional<bool>(true));
  ASSERT_EQ(add.excludes.size(), 2u);
  EXPECT_EQ(add.excludes[1].text, "e");
  const auto copy = First<Copy>("COPY --from=a --parents b c\n");
  EXPECT_FALSE(copy.is_add);
  EXPECT_EQ(copy.from->text, "a");
  EXPECT_TRUE(copy.parents);
  EXPECT_FALSE(copy.link);
  EXPECT_EQ(copy.keep_git_dir, std::nullopt);
}

TEST(ParserTest, ThreadsShareTheTables) {
  std::vector<std::thread> threads;
  std::vector<std::string> dumps(4);
  for (std::string& dump : dumps) {
    threads.emplace_back([&dump] {
      for (int i = 0; i < 50; ++i) {
        dump = Dump(ParseText(
            "# escape=`\nFROM a AS b\nRUN [\"x\", 'y']\nENV a=`$b c=\"d e\"\n"
            "COPY <<E /x\n$a\nE\nHEALTHCHECK --retries=1 CMD [\"a\"]\n"));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& dump : dumps) EXPECT_EQ(dump, dumps[0]);
}

TEST(ParseTriggerTest, ReadsWhatOnBuildStored) {
  const auto stored =
      First<OnBuild>("ONBUILD RUN cat <<A <<-B\n# a\nA\n\tb\n\tB\n");
  const Instruction again = ParseTrigger(File(stored.trigger));
  const auto& run = std::get<dockerfile::Run>(again.node);
  ASSERT_EQ(run.heredocs.size(), 2u);
  EXPECT_EQ(run.heredocs[0].body, "# a\n");
  EXPECT_EQ(run.heredocs[1].body, "b\n");
  EXPECT_EQ(run.script, "cat <<A <<-B\n# a\nA\n\tb\nB");
}

TEST(ParseTriggerTest, NoDirectivesAndTheGivenEscape) {
  const auto env = std::get<Env>(ParseTrigger(File("ENV a=b` c"), '`').node);
  ASSERT_EQ(env.pairs.size(), 1u);
  EXPECT_EQ(env.pairs[0].value.text, "b` c");
}

TEST(ParseTriggerTest, Refusals) {
  const auto message = [](std::string text) {
    try {
      ParseTrigger(File(std::move(text)));
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(""), "the trigger has no instruction");
  EXPECT_EQ(message("# a\n"), "the trigger has no instruction");
  EXPECT_EQ(message("FROM a"), "FROM is not allowed as a trigger");
  EXPECT_EQ(message("maintainer a"), "maintainer is not allowed as a trigger");
  EXPECT_EQ(message("ONBUILD RUN a"), "ONBUILD is not allowed as a trigger");
  EXPECT_EQ(message("RUN a\nRUN b"), "a trigger is exactly one instruction");
  EXPECT_EQ(message("RUNN a"), "unknown instruction \"RUNN\"");
}

TEST(CheckOptionsTest, Values) {
  const CheckOptions options = ParseCheckOptions(
      Word{" skip = A, B ,all; error=TRUE;experimental=C", {}});
  EXPECT_THAT(options.skip, ElementsAre("A", "B", "all"));
  EXPECT_TRUE(options.skip_all);
  EXPECT_TRUE(options.error);
  EXPECT_THAT(options.experimental, ElementsAre("C"));
  EXPECT_FALSE(options.experimental_all);
}

TEST(GoDurationTest, Values) {
  const auto is = [](std::string_view text, std::optional<int64_t> expected) {
    EXPECT_EQ(ParseGoDuration(text), expected) << text;
  };
  is("0", 0);
  is("+0", 0);
  is("1ns", 1);
  is("1us", 1'000);
  is("1µs", 1'000);
  is("1μs", 1'000);
  is("1ms", 1'000'000);
  is("1s", 1'000'000'000);
  is("1.5s", 1'500'000'000);
  is(".5s", 500'000'000);
  is("1.s", 1'000'000'000);
  is("-1.5h", -5'400'000'000'000);
  is("1h2m3s4ms5us6ns", 3'723'004'005'006);
  is("2562047h", 9'223'369'200'000'000'000);
  is("9223372036854775807ns", INT64_MAX);
  for (const char* text : {"", "1", "s", "-", "+", ".", ".s", "1x", "1 s", "1d",
                           "1s ", "1s1", "1e3s", "9223372036854775808ns",
                           "2562048h", "99999999999999999999999h"})
    is(text, std::nullopt);
}

}  // namespace
}  // namespace imgbuild::dockerfile
