#include "imgbuild/exec/cdi.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "exec/yaml_reader.h"

namespace imgbuild::exec {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string YamlError(std::string_view text) {
  try {
    return "read: " + ParseYaml(text).dump();
  } catch (const Error& error) {
    return error.message();
  }
}

TEST(YamlTest, BlocksAndScalars) {
  EXPECT_EQ(ParseYaml("---\n"
                      "a: 1   # one\n"
                      "b:\n"
                      "  c: true\n"
                      "  d: ~\n"
                      "  'e f': 0.5.0\n"
                      "list:\n"
                      "- x\n"
                      "- y: 0644\n"
                      "  z: \"q\\\"#\\x41\"\n"
                      "-\n"
                      "  - in: ''\n"
                      "empty:\n"),
            Json::parse(R"({"a": 1, "b": {"c": true, "d": null,
                "e f": "0.5.0"}, "list": ["x", {"y": 420, "z": "q\"#A"},
                [{"in": ""}]], "empty": null})"));
}

TEST(YamlTest, FlowsAndOddities) {
  EXPECT_EQ(ParseYaml("a: [1, 'b,c', {d: e, \"f\": [ ]}, ]\n"
                      "url: http://x/y#z\n"),
            Json::parse(R"({"a": [1, "b,c", {"d": "e", "f": []}],
                            "url": "http://x/y#z"})"));
}

TEST(YamlTest, NumbersStayWhatTheyAre) {
  EXPECT_EQ(ParseYaml("[0x1F, 0o17, 017, 089, -3, 1.0, 99999999999999999999]"),
            Json::parse(R"([31, 15, 15, "089", -3, "1.0",
                            "99999999999999999999"])"));
}

TEST(YamlTest, WhatIsNotReadIsSaid) {
  EXPECT_EQ(YamlError("a: 1\n b: 2\n"), "line 2: wrong indentation");
  EXPECT_EQ(YamlError("a: 1\na: 2\n"), "line 2: \"a\" twice");
  EXPECT_EQ(YamlError("a: &x 1\n"),
            "line 1: a value that begins with \"&\" is not supported");
  EXPECT_EQ(YamlError("a: |\n  text\n"),
            "line 1: a value that begins with \"|\" is not supported");
  EXPECT_EQ(YamlError("a: 1\n---\nb: 2\n"), "line 2: more than one document");
  EXPECT_EQ(YamlError("a: [1\n"), "line 1: \"]\" is missing");
  EXPECT_EQ(YamlError("a: 'x\n"), "line 1: a quote has no end");
  EXPECT_EQ(YamlError("a:\n\t b: 1\n"), "line 2: a tab as indentation");
  EXPECT_EQ(YamlError(std::string(100, '[')), "line 1: nested too deeply");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += std::string(i, ' ') + "a:\n";
  EXPECT_THAT(YamlError(deep), HasSubstr("nested too deeply"));
}

std::string SpecError(const std::string& text, bool yaml = true) {
  try {
    ParseCdiSpec(text, yaml);
    return "read";
  } catch (const Error& error) {
    return error.message();
  }
}

constexpr char kHead[] = "cdiVersion: 0.6.0\nkind: v.com/c\n";

TEST(CdiSpecTest, EverythingIsTaken) {
  const CdiSpec spec = ParseCdiSpec(
      std::string(kHead) +
          "containerEdits: {env: [ALL=1]}\n"
          "annotations: {a: spec, b: spec}\n"
          "devices:\n"
          "- name: 0\n"
          "  annotations: {a: own}\n"
          "  containerEdits:\n"
          "    env: [ONE=1]\n"
          "    additionalGids: [0, 7]\n"
          "    deviceNodes:\n"
          "    - {path: /dev/x, hostPath: /dev/null, permissions: r}\n"
          "    mounts:\n"
          "    - {hostPath: /a, containerPath: /b, options: [ro, nosuid, "
          "bind]}\n"
          "    hooks:\n"
          "    - {hookName: createContainer, path: /h, args: [h, x]}\n",
      true);
  EXPECT_EQ(spec.kind, "v.com/c");
  EXPECT_THAT(spec.edits.env, ElementsAre("ALL=1"));
  ASSERT_EQ(spec.devices.size(), 1u);
  const CdiSpec::Device& device = spec.devices[0];
  EXPECT_EQ(device.name, "0");
  EXPECT_EQ(device.annotations.at("a"), "own");
  EXPECT_EQ(device.annotations.at("b"), "spec");
  EXPECT_THAT(device.edits.env, ElementsAre("ONE=1"));
  EXPECT_THAT(device.edits.groups, ElementsAre(7u));
  ASSERT_EQ(device.edits.nodes.size(), 1u);
  EXPECT_EQ(device.edits.nodes[0].host_path, "/dev/null");
  EXPECT_EQ(device.edits.nodes[0].permissions, "r");
  ASSERT_EQ(device.edits.binds.size(), 1u);
  EXPECT_TRUE(device.edits.binds[0].read_only);
  EXPECT_THAT(device.edits.binds[0].options, ElementsAre("nosuid"));
  ASSERT_EQ(device.edits.hooks.size(), 1u);
  EXPECT_THAT(device.edits.hooks[0].args, ElementsAre("h", "x"));
}

TEST(CdiSpecTest, WhatIsNotUnderstoodIsRefused) {
  const std::string head = kHead;
  const std::string device = head + "devices:\n- name: d\n  containerEdits: ";
  EXPECT_EQ(SpecError("kind: v.com/c\n"), "the file has no \"cdiVersion\"");
  EXPECT_EQ(SpecError("cdiVersion: 9.0.0\nkind: v.com/c\n"),
            "cdiVersion \"9.0.0\" is not supported");
  EXPECT_EQ(SpecError("cdiVersion: 0.6.0\nkind: c\n"),
            "invalid kind \"c\": the form is VENDOR/CLASS");
  EXPECT_EQ(SpecError(head), "the file has no devices");
  EXPECT_EQ(SpecError(head + "devices: [{name: -x}]\n"), "invalid name \"-x\"");
  EXPECT_EQ(SpecError(head + "devices: [{name: x, more: 1}]\n"),
            "devices has a \"more\", which is not supported");
  EXPECT_EQ(SpecError(device + "{intelRdt: {}}\n"),
            "containerEdits has a \"intelRdt\", which is not supported");
  EXPECT_EQ(SpecError(device + "{env: [X]}\n"), "invalid env \"X\"");
  EXPECT_EQ(SpecError(device + "{deviceNodes: [{path: /etc/x}]}\n"),
            "the device node \"/etc/x\" is not below /dev");
  EXPECT_EQ(SpecError(device + "{deviceNodes: [{path: /dev/../x}]}\n"),
            "the device node \"/dev/../x\" is not below /dev");
  EXPECT_EQ(SpecError(device + "{mounts: [{hostPath: /a, containerPath: /b, "
                               "options: [rshared]}]}\n"),
            "the mount option \"rshared\" is not supported");
  EXPECT_EQ(SpecError(device + "{hooks: [{hookName: x, path: /y}]}\n"),
            "there is no hook \"x\"");
  EXPECT_THAT(SpecError("{", false), HasSubstr("invalid JSON"));
  EXPECT_EQ(SpecError(std::string(100, '['), false), "nested too deeply");
}

class CdiRegistryTest : public testing::Test {
 protected:
  std::string Dir(const std::string& name) {
    fs::MakeDirs(AT_FDCWD, dir_.path() + "/" + name, 0755);
    return dir_.path() + "/" + name;
  }
  static void Write(const std::string& path, const std::string& devices,
                    const std::string& shared = "") {
    fs::WriteFileAtomic(AT_FDCWD, path,
                        std::string(kHead) + shared + "devices: " + devices);
  }
  static std::vector<std::string> Names(const CdiRegistry& registry) {
    std::vector<std::string> out;
    for (const auto& device : registry.devices()) out.push_back(device.name);
    return out;
  }
  fs::TempDir dir_ = fs::TempDir::InTmp();
};

TEST_F(CdiRegistryTest, LaterDirectoriesWin) {
  Write(Dir("a") + "/x.yaml",
        "[{name: one, containerEdits: {env: [F=a]}}, {name: two}]\n");
  Write(Dir("b") + "/y.yml", "[{name: one, containerEdits: {env: [F=b]}}]\n");
  fs::WriteFileAtomic(AT_FDCWD, Dir("b") + "/not.txt", "no");
  const CdiRegistry registry =
      CdiRegistry::Read({Dir("a"), dir_.path() + "/none", Dir("b")});
  EXPECT_THAT(Names(registry), ElementsAre("v.com/c=one", "v.com/c=two"));
  EXPECT_THAT(registry.problems(), IsEmpty());
  EXPECT_THAT(registry.EditsOf({"v.com/c=one"}).env, ElementsAre("F=b"));
  EXPECT_THROW(registry.EditsOf({"v.com/c=no"}), Error);
}

TEST_F(CdiRegistryTest, ABrokenFileHidesNoOther) {
  Write(Dir("a") + "/good.yaml", "[{name: one}]\n");
  Write(Dir("a") + "/bad.yaml", "[{name: one: two}\n");
  const CdiRegistry registry = CdiRegistry::Read({Dir("a")});
  EXPECT_THAT(Names(registry), ElementsAre("v.com/c=one"));
  EXPECT_THAT(registry.problems(),
              ElementsAre(HasSubstr("/a/bad.yaml: line 3: ")));
}

TEST_F(CdiRegistryTest, ADeviceThatIsDescribedTwiceIsNone) {
  Write(Dir("a") + "/1.yaml", "[{name: one}, {name: two}]\n");
  Write(Dir("a") + "/2.yaml", "[{name: one}]\n");
  const CdiRegistry registry = CdiRegistry::Read({Dir("a")});
  EXPECT_THAT(Names(registry), ElementsAre("v.com/c=two"));
  EXPECT_THAT(registry.problems(),
              ElementsAre(HasSubstr("v.com/c=one is described twice")));
}

TEST_F(CdiRegistryTest, WhatAFileGivesToAllIsGivenOnce) {
  Write(Dir("a") + "/1.yaml",
        "[{name: one, containerEdits: {env: [A=1]}}, {name: two, "
        "containerEdits: {env: [B=1]}}]\n",
        "containerEdits: {env: [ALL=1]}\n");
  const CdiRegistry registry = CdiRegistry::Read({Dir("a")});
  EXPECT_THAT(registry.EditsOf({"v.com/c=two", "v.com/c=one"}).env,
              ElementsAre("ALL=1", "B=1", "A=1"));
  EXPECT_NE(registry.devices()[0].get().recipe,
            registry.devices()[1].get().recipe);
}

TEST(CdiEditsTest, AreAppliedToAProcess) {
  ProcessSpec spec;
  spec.env = {"A=1", "B=2"};
  spec.user = {1000, 1001, {5}};
  ContainerEdits edits;
  edits.env = {"B=3", "C=4"};
  edits.groups = {5, 6};
  ContainerEdits::Node node;
  node.path = "/dev/nothing";
  node.host_path = "/dev/null";
  edits.nodes = {node};
  ApplyEdits(edits, spec);
  EXPECT_THAT(spec.env, ElementsAre("A=1", "B=3", "C=4"));
  EXPECT_THAT(spec.user.groups, ElementsAre(5u, 6u));
  ASSERT_EQ(spec.devices.size(), 1u);
  EXPECT_FALSE(spec.devices[0].block);
  EXPECT_EQ(spec.devices[0].major, 1u);
  EXPECT_EQ(spec.devices[0].minor, 3u);
  EXPECT_EQ(spec.devices[0].uid, 1000u);
  edits.nodes[0].host_path = "/dev/null/no";
  EXPECT_THROW(ApplyEdits(edits, spec), Error);
  edits.nodes[0].host_path = "/etc/passwd";
  EXPECT_THROW(ApplyEdits(edits, spec), Error);
}

}  // namespace
}  // namespace imgbuild::exec
