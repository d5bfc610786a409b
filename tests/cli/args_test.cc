#include "cli/args.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::cli {
namespace {

using Words = std::vector<std::string>;

struct Flags {
  bool quiet = false;
  std::string file;
  Words tags;
  std::string path;
};

Flags Parse(const Words& words) {
  Flags flags;
  Args args("build [OPTIONS] PATH", "Build.");
  args.Flag("-q,--quiet", &flags.quiet, "less");
  args.Value("-f,--file", &flags.file, "FILE", "the file");
  args.List("-t,--tag", &flags.tags, "NAME", "names");
  args.Positional("PATH", &flags.path, true, "context");
  args.Parse(words);
  return flags;
}

std::string Failure(const Words& words) {
  try {
    Parse(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.Render();
  }
  return "(nothing was thrown)";
}

TEST(ArgsTest, FlagsInAnyOrder) {
  const Flags flags = Parse({"-t", "a", ".", "-f", "x", "--tag=b", "-q"});
  EXPECT_TRUE(flags.quiet);
  EXPECT_EQ(flags.file, "x");
  EXPECT_EQ(flags.tags, (Words{"a", "b"}));
  EXPECT_EQ(flags.path, ".");
}

TEST(ArgsTest, TheLastValueWins) {
  EXPECT_EQ(Parse({"-f", "x", "-f", "y", "."}).file, "y");
}

TEST(ArgsTest, AListTakesOneWordAtATime) {
  EXPECT_EQ(Parse({"-t", "a", "dir"}).path, "dir");
}

TEST(ArgsTest, StandardInputIsAPath) {
  EXPECT_EQ(Parse({"-"}).path, "-");
  EXPECT_EQ(Parse({"-f", "-", "."}).file, "-");
}

TEST(ArgsTest, AnUnknownFlagNamesTheNearest) {
  EXPECT_EQ(Failure({"--fle=x", "."}),
            "error: unknown flag: --fle\n   = hint: did you mean --file?\n");
  EXPECT_EQ(
      Failure({"--nothing-like-it", "."}),
      "error: unknown flag: --nothing-like-it\n   = hint: see imgbuild build "
      "--help\n");
}

TEST(ArgsTest, OneWordTooMany) {
  EXPECT_EQ(Failure({"a", "b"}),
            "error: unexpected argument: b\n   = hint: see imgbuild build "
            "--help\n");
}

TEST(ArgsTest, AMissingPathShowsTheUsage) {
  EXPECT_EQ(Failure({}),
            "error: PATH is required\n   = hint: usage: imgbuild build "
            "[OPTIONS] PATH\n");
}

TEST(ArgsTest, EverythingAfterTheImageBelongsToTheCommand) {
  bool remove = false;
  Words rest;
  Args args("run [OPTIONS] IMAGE", "Run.");
  args.Flag("--rm", &remove, "remove");
  args.Rest(&rest);
  args.Parse({"--rm", "image", "sh", "-c", "echo --rm", "--rm"});
  EXPECT_TRUE(remove);
  EXPECT_EQ(rest, (Words{"image", "sh", "-c", "echo --rm", "--rm"}));
}

TEST(ArgsTest, AnUnknownFlagBeforeTheImage) {
  bool remove = false;
  Words rest;
  Args args("run [OPTIONS] IMAGE", "Run.");
  args.Flag("--rm", &remove, "remove");
  args.Rest(&rest);
  EXPECT_THROW(args.Parse({"--detach", "image"}), Error);
}

}  // namespace
}  // namespace imgbuild::cli
