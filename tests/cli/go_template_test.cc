// Templates against what real docker printed for them (testdata/template,
// tools/record_templates.py), and our words for those that it refuses.
#include "cli/go_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string TestFile(const std::string& name) {
  std::ifstream in(IMGBUILD_TESTDATA "/template/" + name, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

const Json& Image() {
  static const Json image = Json::parse(TestFile("image.json"));
  return image;
}

TemplateShape ImageShape() {
  TemplateShape shape;
  shape.maps = {"Labels", "ExposedPorts", "Volumes"};
  shape.lists = {"Cmd", "Entrypoint", "Env", "OnBuild", "Shell"};
  return shape;
}

std::string Shown(const std::string& text, const Json& data = Image(),
                  const TemplateShape& shape = ImageShape()) {
  return GoTemplate::Parse(text).Execute(data, shape);
}

std::string Refusal(const std::string& text) {
  try {
    return "no error: " + Shown(text);
  } catch (const Error& error) {
    return error.Render();
  }
}

// Where ours is meant to differ: docker evaluates a second time, over plain
// JSON, when the first time failed, and numbers are texts then.
const std::map<std::string, std::string>& Ours() {
  static const std::map<std::string, std::string> ours = {
      {"{{len .RepoTags}} {{len .Config.Labels}} {{len .Id}} "
       "{{len .Config.OnBuild}}",
       "2 4 71 0"},
      {"{{index .Size 0}}", "error"},
      {"{{len .Size}}", "error"},
      {"{{range .Config}}x{{end}}", "xxxxxxxxxx"},
  };
  return ours;
}

TEST(GoTemplateTest, PrintsWhatDockerPrints) {
  std::string refusals;
  const Json cases = Json::parse(TestFile("docker.json"));
  ASSERT_GT(cases.size(), 180u);
  for (const Json& one : cases) {
    const auto text = one.at(0).get<std::string>();
    const auto ours = Ours().find(text);
    const bool refused =
        ours != Ours().end() ? ours->second == "error" : one.at(1).is_null();
    if (refused) {
      EXPECT_THROW(Shown(text), Error) << text;
      refusals += "$ " + text + "\n" + Refusal(text);
      continue;
    }
    const std::string expected =
        ours != Ours().end() ? ours->second : one.at(1).get<std::string>();
    try {
      EXPECT_EQ(Shown(text), expected) << text;
    } catch (const Error& error) {
      ADD_FAILURE() << text << "\n" << error.Render();
    }
  }
  if (std::getenv("IMGBUILD_UPDATE_GOLDENS") != nullptr) {
    std::ofstream(IMGBUILD_TESTDATA "/template/errors.golden") << refusals;
  }
  EXPECT_EQ(refusals, TestFile("errors.golden"));
}

TEST(GoTemplateTest, EveryTemplateOfTheListWasRecorded) {
  std::istringstream lines(TestFile("templates.txt"));
  const Json cases = Json::parse(TestFile("docker.json"));
  size_t i = 0;
  for (std::string line; std::getline(lines, line); ++i) {
    EXPECT_EQ(cases.at(i).at(0), line);
  }
  EXPECT_EQ(i, cases.size());
}

TEST(GoTemplateTest, ErrorsHaveTheirPlaceAndAHint) {
  EXPECT_EQ(Refusal("{{.Config.WorkingDirr}}"),
            "error: template: no field \"WorkingDirr\" here\n"
            " --> --format:1:10\n"
            "  |\n"
            "1 | {{.Config.WorkingDirr}}\n"
            "  |          ^^^^^^^^^^^^\n"
            "  = hint: did you mean .WorkingDir?\n");
}

TEST(GoTemplateTest, LinesAreCounted) {
  EXPECT_NE(Refusal("a\nb {{.Nope}}").find("--> --format:2:5"),
            std::string::npos);
}

TEST(GoTemplateTest, AMethodTakesAText) {
  TemplateShape shape;
  shape.methods["Label"] = [](const std::vector<Json>& words) {
    return Json("label " + words.at(0).get<std::string>());
  };
  EXPECT_EQ(Shown("{{.Label \"x\"}} {{\"y\" | .Label}}", Json::object(), shape),
            "label x label y");
}

TEST(GoTemplateTest, WhatGoLeavesOutIsThere) {
  TemplateShape shape = ImageShape();
  shape.texts = {"StopSignal"};
  shape.optional = {"Healthcheck"};
  shape.durations = {"Interval"};
  const Json data = {{"Interval", 90'500'000'000},
                     {"Test", {{"Interval", 1'500'000}}}};
  EXPECT_EQ(Shown("[{{.StopSignal}}] {{.Healthcheck}} {{.Env}} {{.Labels}} "
                  "{{if .Healthcheck}}x{{end}}",
                  data, shape),
            "[] <nil> [] map[] ");
  EXPECT_EQ(
      Shown("{{.Interval}} {{.Test.Interval}} {{json .Interval}}", data, shape),
      "1m30.5s 1.5ms 90500000000");
}

TEST(GoTemplateTest, CapsHold) {
  EXPECT_THROW(GoTemplate::Parse(std::string(kMaxTemplateBytes + 1, 'x')),
               Error);
  std::string deep = "1";
  for (int i = 0; i <= kMaxTemplateDepth; ++i) deep = "(" + deep + ")";
  EXPECT_NE(Refusal("{{" + deep + "}}").find("nested more than 100 levels"),
            std::string::npos);
  EXPECT_NE(Refusal("{{range 2000000000}}{{end}}").find("too much to do"),
            std::string::npos);
  EXPECT_NE(Refusal("{{define \"a\"}}{{template \"a\"}}{{end}}"
                    "{{template \"a\"}}")
                .find("without end"),
            std::string::npos);
}

}  // namespace
}  // namespace imgbuild::cli
