// How an image's config and the flags of `run` become a process.
#include <gtest/gtest.h>

#include "imgbuild/container/config.h"
#include "imgbuild/util/error.h"

namespace imgbuild::container {
namespace {

using List = std::vector<std::string>;

oci::ImageConfig Image() {
  oci::ImageConfig config;
  config.env = {"PATH=/bin", "A=1"};
  config.entrypoint = List{"/entry"};
  config.cmd = List{"default"};
  config.working_dir = "/work";
  return config;
}

exec::ProcessSpec Make(const Config& options,
                       const oci::ImageConfig& config = Image()) {
  return MakeProcess(config, options, EmptyTree());
}

std::string Message(const Config& options, const oci::ImageConfig& config) {
  try {
    Make(options, config);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.message();
  }
  return "(nothing was thrown)";
}

TEST(ProcessSpecTest, EntrypointAndCommand) {
  struct Case {
    std::optional<List> entrypoint;
    std::optional<List> cmd;
    List command;
    std::optional<std::string> flag;
    List want;
  };
  const Case cases[] = {
      {List{"/e"}, List{"c"}, {}, {}, {"/e", "c"}},
      {List{"/e"}, List{"c"}, {"x", "y"}, {}, {"/e", "x", "y"}},
      {{}, List{"c"}, {}, {}, {"c"}},
      {{}, List{"c"}, {"x"}, {}, {"x"}},
      // --entrypoint drops the image's CMD.
      {List{"/e"}, List{"c"}, {}, "/f", {"/f"}},
      {List{"/e"}, List{"c"}, {"x"}, "/f", {"/f", "x"}},
      {List{"/e"}, List{"c"}, {"x"}, "", {"x"}},
  };
  for (const Case& c : cases) {
    oci::ImageConfig config = Image();
    config.entrypoint = c.entrypoint;
    config.cmd = c.cmd;
    Config options;
    options.command = c.command;
    options.entrypoint = c.flag;
    EXPECT_EQ(Make(options, config).args, c.want);
  }
}

TEST(ProcessSpecTest, NothingToRunIsAnError) {
  oci::ImageConfig config = Image();
  config.entrypoint.reset();
  config.cmd.reset();
  EXPECT_EQ(Message({}, config), "no command specified");
  Config options;
  options.entrypoint = "";
  EXPECT_EQ(Message(options, Image()), "no command specified");
}

TEST(ProcessSpecTest, EnvironmentIsTheImagesThenOurs) {
  Config options;
  options.env = {"A=2", "B=3"};
  options.hostname = "box";
  EXPECT_EQ(Make(options).env,
            (List{"PATH=/bin", "A=2", "B=3", "HOSTNAME=box"}));
  options.terminal = true;
  EXPECT_EQ(Make(options).env.back(), "TERM=xterm");
}

TEST(ProcessSpecTest, NothingOfTheCallersEnvironmentGetsIn) {
  ::setenv("IMGBUILD_CANARY", "leak", 1);
  oci::ImageConfig config = Image();
  config.env.clear();
  Config options;
  options.hostname = "box";
  EXPECT_EQ(Make(options, config).env,
            (List{"HOSTNAME=box",
                  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                  "/sbin:/bin"}));
  ::unsetenv("IMGBUILD_CANARY");
}

TEST(ProcessSpecTest, WorkingDirectory) {
  EXPECT_EQ(Make({}).cwd, "/work");
  Config options;
  options.working_dir = "/tmp";
  EXPECT_EQ(Make(options).cwd, "/tmp");
  options.working_dir = "tmp";
  EXPECT_EQ(Message(options, Image()),
            "the working directory \"tmp\" is not absolute");
}

TEST(ProcessSpecTest, UserByNumber) {
  Config options;
  options.user = "1000:2000";
  const exec::ProcessSpec spec = Make(options);
  EXPECT_EQ(spec.user.uid, 1000u);
  EXPECT_EQ(spec.user.gid, 2000u);
}

TEST(VolumeTest, Forms) {
  const Volume plain = ParseVolume("/a:/b");
  EXPECT_EQ(plain.source, "/a");
  EXPECT_EQ(plain.target, "/b");
  EXPECT_FALSE(plain.read_only);
  EXPECT_TRUE(ParseVolume("/a:/b:ro").read_only);
  EXPECT_FALSE(ParseVolume("/a:/b:rw").read_only);
}

TEST(VolumeTest, WhatIsNoVolumeSaysWhy) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      ParseVolume(text);
    } catch (const Error& error) {
      return error.message();
    }
    return "(nothing was thrown)";
  };
  EXPECT_EQ(message("/a"),
            "invalid volume \"/a\": it has no host path and container path");
  EXPECT_EQ(message("a:/b"),
            "invalid volume \"a:/b\": named volumes are not supported; the "
            "host path is absolute");
  EXPECT_EQ(message("/a:b"),
            "invalid volume \"/a:b\": the container path is absolute");
  EXPECT_EQ(message("/a:/"),
            "invalid volume \"/a:/\": the container path is its root");
  EXPECT_EQ(message("/a:/b/..:ro"),
            "invalid volume \"/a:/b/..:ro\": the container path is its root");
  EXPECT_EQ(message("/a:/b:z"),
            "invalid volume \"/a:/b:z\": the mode is ro or rw");
}

}  // namespace
}  // namespace imgbuild::container
