#include "imgbuild/plan/external_names.h"

#include <gtest/gtest.h>

#include "plan/plan_fixture.h"

namespace imgbuild::plan {
namespace {

// "SITE LINE:COLUMN stage platform name [args] written" a line.
std::string Names(const std::string& text, const PlanOptions& options) {
  FakeResolver resolver;
  const dockerfile::Dockerfile file =
      dockerfile::Parse(std::make_shared<SourceFile>("Dockerfile", text));
  std::string out;
  for (const ExternalName& name : ExternalNames(file, options, resolver)) {
    std::string args;
    for (const auto& [key, value] : name.args) args += key + "=" + value + " ";
    out += name.site + " " + std::to_string(name.range.begin().line) + ":" +
           std::to_string(name.range.begin().column) + " " + name.stage + " " +
           name.platform.ToString() + " " + name.name + " [" + args + "] " +
           name.written +
           (name.own_checksum.empty() ? "" : " = " + name.own_checksum) + "\n";
  }
  return out;
}

TEST(ExternalNamesTest, EveryKindInEveryStage) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  EXPECT_EQ(
      Names("# syntax=docker/dockerfile:1.7\n"
            "ARG TAG=1\n"
            "ARG BASE=busybox:${TAG}\n"
            "FROM $BASE AS one\n"
            "ARG V=2\n"
            "ADD https://user:secret@e.com/a-$V.tgz /\n"
            "ADD --checksum=" +
                digest +
                " https://e.com/b /\n"
                "ADD https://e.com/r.git#v$V /r\n"
                "FROM --platform=linux/arm64 onbuild AS unused\n"
                "FROM scratch\n"
                "COPY --from=one / /\n"
                "COPY --from=old@" +
                digest +
                " / /\n"
                "FROM one\n"
                "RUN --mount=from=busybox,target=/x true\n"
                "COPY --from=tools /x /\n",
            ParseOptions("build-context tools=docker-image://old:3\n")),
      "# syntax 1:10  linux/amd64 docker.io/docker/dockerfile:1.7 [] "
      "docker/dockerfile:1.7\n"
      "FROM 4:6 one linux/amd64 docker.io/library/busybox:1 "
      "[BASE=busybox:1 TAG=1 ] $BASE\n"
      "ADD 6:5 one linux/amd64 https://e.com/a-2.tgz [V=2 ] "
      "https://user:secret@e.com/a-$V.tgz\n"
      "ADD 7:88 one linux/amd64 https://e.com/b [] https://e.com/b = " +
          digest +
          "\n"
          "ADD 8:5 one linux/amd64 https://e.com/r.git#v2 [V=2 ] "
          "https://e.com/r.git#v$V\n"
          "FROM 9:29 unused linux/arm64 docker.io/library/onbuild:latest [] "
          "onbuild\n"
          "COPY --from 12:13 stage-2 linux/amd64 docker.io/library/old@" +
          digest + " [] old@" + digest +
          "\n"
          "RUN --mount 14:18 stage-3 linux/amd64 "
          "docker.io/library/busybox:latest [] busybox\n"
          "--build-context tools 15:13 stage-3 linux/amd64 "
          "docker.io/library/old:3 [] old:3\n");
}

// The base's own triggers name images too; people look at FROM.
TEST(ExternalNamesTest, Triggers) {
  class Resolver : public FakeResolver {
   public:
    ResolvedImage Resolve(const oci::Reference& reference,
                          const oci::Platform& platform) override {
      ResolvedImage image = FakeResolver::Resolve(reference, platform);
      if (reference.repository().Familiar() == "onbuild") {
        image.config.on_build = {"COPY --from=busybox:9 /a /b",
                                 "ADD https://e.com/x /"};
      }
      return image;
    }
  } resolver;
  const dockerfile::Dockerfile file = dockerfile::Parse(
      std::make_shared<SourceFile>("Dockerfile", "FROM onbuild\n"));
  const auto names = ExternalNames(file, DefaultOptions(), resolver);
  ASSERT_EQ(names.size(), 3u);
  EXPECT_EQ(names[1].site, "ONBUILD COPY --from");
  EXPECT_EQ(names[1].name, "docker.io/library/busybox:9");
  EXPECT_EQ(names[1].range.ToString(), "Dockerfile:1:6");
  EXPECT_EQ(names[2].site, "ONBUILD ADD");
}

// A build asks for the names of its own stages alone, and the pins go into its
// plan without changing the key.
TEST(ExternalNamesTest, PlanNotesWhatItUses) {
  class Resolver : public FakeResolver {
   public:
    std::string PinOf(const ExternalName& name) override {
      pinned.push_back(name.name);
      return pin;
    }
    std::vector<std::string> pinned;
    std::string pin;
  } resolver;
  const std::string text =
      "FROM old AS unused\nFROM busybox\nADD https://e.com/a /\n";
  const std::string before = ToText(PlanText(text, DefaultOptions(), resolver));
  resolver.pin = "sha256:" + std::string(64, 'b');
  const BuildGraph graph = PlanText(text, DefaultOptions(), resolver);
  ASSERT_EQ(graph.names.size(), 2u);
  EXPECT_EQ(graph.names[0].name, "docker.io/library/busybox:latest");
  EXPECT_EQ(resolver.pinned.at(0), "https://e.com/a");
  EXPECT_EQ(std::get<CopyOp>(graph.vertices.back().op).remotes.at(0).pin,
            resolver.pin);
  EXPECT_EQ(ToText(graph), before);
}

}  // namespace
}  // namespace imgbuild::plan
