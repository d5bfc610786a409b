#include "cli/build_options.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "imgbuild/util/error.h"

namespace imgbuild::cli {
namespace {

template <typename F>
std::string Failure(F action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.message();
  }
  return "(nothing was thrown)";
}

TEST(BuildOptionsTest, BuildArgsAndTheEnvironment) {
  ::setenv("IMGBUILD_TEST_ARG", "from env", 1);
  ::unsetenv("IMGBUILD_TEST_NO_ARG");
  BuildFlags flags;
  flags.build_args = {
      "A=1", "A=2", "B=", "C=x=y", "IMGBUILD_TEST_ARG", "IMGBUILD_TEST_NO_ARG"};
  const plan::PlanOptions options = ToPlanOptions(flags);
  const std::map<std::string, std::string> want = {
      {"A", "2"}, {"B", ""}, {"C", "x=y"}, {"IMGBUILD_TEST_ARG", "from env"}};
  EXPECT_EQ(options.build_args, want);
  ::unsetenv("IMGBUILD_TEST_ARG");
}

TEST(BuildOptionsTest, TheEpochComesFromTheFlagTheArgOrTheEnvironment) {
  ::setenv("SOURCE_DATE_EPOCH", "3", 1);
  BuildFlags flags;
  EXPECT_EQ(ToPlanOptions(flags).source_date_epoch, 3);
  flags.build_args = {"SOURCE_DATE_EPOCH=2"};
  EXPECT_EQ(ToPlanOptions(flags).source_date_epoch, 2);
  flags.source_date_epoch = "1";
  EXPECT_EQ(ToPlanOptions(flags).source_date_epoch, 1);
  ::unsetenv("SOURCE_DATE_EPOCH");
  EXPECT_EQ(ToPlanOptions(BuildFlags{}).source_date_epoch, std::nullopt);
}

TEST(BuildOptionsTest, WhatIsRefused) {
  struct Case {
    std::string BuildFlags::*field;
    std::string value;
    std::string message;
  };
  const Case cases[] = {
      {&BuildFlags::network, "bridge", "invalid --network \"bridge\""},
      {&BuildFlags::shm_size, "many", "invalid --shm-size \"many\""},
      {&BuildFlags::source_date_epoch, "-1",
       "invalid --source-date-epoch \"-1\""},
      {&BuildFlags::source_date_epoch, "now",
       "invalid --source-date-epoch \"now\""},
      {&BuildFlags::platform, "linux/amd64,linux/arm64",
       "--platform takes one platform a build"},
  };
  for (const Case& c : cases) {
    BuildFlags flags;
    flags.*c.field = c.value;
    EXPECT_EQ(Failure([&] { ToPlanOptions(flags); }), c.message);
  }
  BuildFlags flags;
  flags.allow = {"everything"};
  EXPECT_EQ(Failure([&] { ToPlanOptions(flags); }),
            "unknown entitlement \"everything\"");
  flags = {};
  flags.add_hosts = {"db"};
  EXPECT_EQ(Failure([&] { ToPlanOptions(flags); }),
            "invalid --add-host \"db\"");
  flags.add_hosts = {"db:1.2.3"};
  EXPECT_EQ(Failure([&] { ToPlanOptions(flags); }),
            "invalid --add-host \"db:1.2.3\": \"1.2.3\" is no address");
  flags = {};
  flags.cgroup_parent = "a/../b";
  EXPECT_EQ(Failure([&] { ToPlanOptions(flags); }),
            "invalid --cgroup-parent \"a/../b\"");
  flags = {};
  flags.no_cache = true;
  flags.no_cache_filter = {"x"};
  EXPECT_EQ(Failure([&] { ToPlanOptions(flags); }),
            "--no-cache and --no-cache-filter exclude one another");
}

TEST(BuildOptionsTest, DevicesAreAllowedByName) {
  BuildFlags flags;
  flags.allow = {"device=v/c=x", "device=v/c=*,alias=all", "network.host"};
  plan::PlanOptions options = ToPlanOptions(flags);
  EXPECT_EQ(options.granted_devices, (std::map<std::string, std::string>{
                                         {"v/c=x", ""}, {"all", "v/c=*"}}));
  EXPECT_FALSE(options.entitlements.contains("device"));
  flags.allow = {"device"};
  EXPECT_TRUE(ToPlanOptions(flags).entitlements.contains("device"));
  flags.allow = {"device=v/c=x,as=y"};
  EXPECT_EQ(Failure([&] { ToPlanOptions(flags); }),
            "invalid --allow \"device=v/c=x,as=y\": unknown \"as=y\"");
}

TEST(BuildOptionsTest, PlacesOfRun) {
  BuildFlags flags;
  flags.cgroup_parent = "builds//inner/";
  EXPECT_EQ(ToPlanOptions(flags).cgroup_parent, "/builds/inner");
  flags.cpu_shares = "512";
  flags.resources = {"memory=64m,cpu-shares=2", "cpuset-cpus=0-2,4"};
  const exec::ResourceLimits limits = ParseLimits(flags);
  EXPECT_EQ(limits.cpu_shares, 2u);
  EXPECT_EQ(limits.memory_bytes, 64u << 20);
  EXPECT_EQ(limits.cpuset_cpus, "0-2,4");
}

TEST(BuildOptionsTest, HostsMayBeIpv6) {
  BuildFlags flags;
  flags.add_hosts = {"a:10.0.0.1", "b:[::1]", "c=::2"};
  const auto hosts = ToPlanOptions(flags).extra_hosts;
  EXPECT_EQ(hosts.at(0), std::pair(std::string("a"), std::string("10.0.0.1")));
  EXPECT_EQ(hosts.at(1), std::pair(std::string("b"), std::string("::1")));
  EXPECT_EQ(hosts.at(2), std::pair(std::string("c"), std::string("::2")));
}

TEST(BuildOptionsTest, TagsGetLatestAndNoDigest) {
  BuildFlags flags;
  flags.tags = {"a/b", "c:1"};
  const auto tags = ParseTags(flags);
  EXPECT_EQ(tags.at(0).ToString(), "docker.io/a/b:latest");
  EXPECT_EQ(tags.at(1).ToString(), "docker.io/library/c:1");
  flags.tags = {"a@sha256:" + std::string(64, '0')};
  EXPECT_EQ(Failure([&] { ParseTags(flags); }),
            "refusing to create a tag with a digest reference: " +
                flags.tags.front());
}

TEST(BuildOptionsTest, Secrets) {
  ::setenv("IMGBUILD_TEST_SECRET", "x", 1);
  BuildFlags flags;
  flags.secrets = {"id=a,src=/dev/null", "id=b,env=IMGBUILD_TEST_SECRET",
                   "id=IMGBUILD_TEST_SECRET",
                   "type=file,id=d,source=/dev/null"};
  const auto secrets = ParseSecrets(flags);
  EXPECT_EQ(secrets.at("a").file, "/dev/null");
  EXPECT_EQ(secrets.at("b").env, "IMGBUILD_TEST_SECRET");
  EXPECT_EQ(secrets.at("IMGBUILD_TEST_SECRET").env, "IMGBUILD_TEST_SECRET");
  EXPECT_EQ(secrets.at("d").file, "/dev/null");
  flags.secrets = {"src=/dev/null"};
  EXPECT_EQ(Failure([&] { ParseSecrets(flags); }), "--secret needs an id=…");
  flags.secrets = {"id=a,src=/nonexistent/secret"};
  EXPECT_EQ(Failure([&] { ParseSecrets(flags); }),
            "open \"/nonexistent/secret\": no such file or directory");
  flags.secrets = {"id=a,path=/dev/null"};
  EXPECT_EQ(Failure([&] { ParseSecrets(flags); }),
            "invalid --secret: unknown \"path=/dev/null\"");
  ::unsetenv("IMGBUILD_TEST_SECRET");
}

TEST(OutputTest, Forms) {
  using build::OutputSpec;
  using build::ParseOutput;
  EXPECT_EQ(ParseOutput("-").type, OutputSpec::Type::kTar);
  EXPECT_EQ(ParseOutput("out").type, OutputSpec::Type::kLocal);
  EXPECT_EQ(ParseOutput("out").dest, "out");
  EXPECT_EQ(ParseOutput("type=oci,dest=x.tar").type, OutputSpec::Type::kOci);
  EXPECT_EQ(ParseOutput("type=docker").dest, "-");
  EXPECT_FALSE(ParseOutput("type=oci,dest=x,tar=false").as_tar);
  EXPECT_EQ(ParseOutput("type=image,\"name=a,b\"").names,
            (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(Failure([] { ParseOutput("type=ocl"); }),
            "unknown output type \"ocl\"");
  EXPECT_EQ(Failure([] { ParseOutput("type=oci,dst=x"); }),
            "unknown key \"dst\" in --output");
  EXPECT_EQ(Failure([] { ParseOutput("dest=x"); }), "--output needs type=…");
  EXPECT_EQ(Failure([] { ParseOutput("type=local"); }),
            "--output type=local needs dest=DIR");
}

}  // namespace
}  // namespace imgbuild::cli
