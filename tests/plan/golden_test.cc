// The cases of testdata/plan: a Dockerfile, options, and the printed graph or
// the whole text of the error. IMGBUILD_UPDATE_GOLDENS=1 writes the files anew
// (and fails, so that nobody takes that for a pass): read the diff.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "plan/plan_fixture.h"

namespace imgbuild::plan {
namespace {

namespace stdfs = std::filesystem;

std::optional<std::string> ReadText(const stdfs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<stdfs::path> Cases(const std::string& folder) {
  std::vector<stdfs::path> out;
  for (const auto& entry : stdfs::directory_iterator(
           stdfs::path(IMGBUILD_TESTDATA) / "plan" / folder)) {
    if (stdfs::exists(entry.path() / "Dockerfile")) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

void Compare(const stdfs::path& golden, const std::string& actual) {
  if (std::getenv("IMGBUILD_UPDATE_GOLDENS") != nullptr) {
    if (ReadText(golden) != actual) {
      std::ofstream(golden, std::ios::binary) << actual;
      ADD_FAILURE() << "wrote " << golden;
    }
    return;
  }
  const std::optional<std::string> expected = ReadText(golden);
  ASSERT_TRUE(expected.has_value()) << golden << " is missing; got:\n"
                                    << actual;
  EXPECT_EQ(actual, *expected) << golden;
}

BuildGraph PlanCase(const stdfs::path& folder, FakeResolver& resolver) {
  return PlanText(*ReadText(folder / "Dockerfile"),
                  ParseOptions(ReadText(folder / "options").value_or("")),
                  resolver);
}

TEST(PlanGoldenTest, Graphs) {
  const std::vector<stdfs::path> cases = Cases("");
  EXPECT_GE(cases.size(), 15u);
  for (const stdfs::path& folder : cases) {
    FakeResolver resolver;
    std::string actual;
    try {
      const BuildGraph graph = PlanCase(folder, resolver);
      actual = ToText(graph);
      actual += "\nasked for:\n";
      for (const std::string& name : resolver.asked) {
        actual += "  " + name + "\n";
      }
      actual += "\nhistory:\n";
      for (const ImageTemplate::Step& step : graph.image.steps) {
        actual += "  " + step.history.created_by + "\n";
      }
      actual += "\nconfig:\n" + oci::Serialize(graph.image.config) + "\n";
    } catch (const Error& error) {
      ADD_FAILURE() << folder << ": " << error.Render();
      continue;
    }
    Compare(folder / "graph.txt", actual);
  }
}

TEST(PlanGoldenTest, Errors) {
  const std::vector<stdfs::path> cases = Cases("errors");
  EXPECT_GE(cases.size(), 30u);
  for (const stdfs::path& folder : cases) {
    FakeResolver resolver;
    try {
      PlanCase(folder, resolver);
      ADD_FAILURE() << folder << " is not refused";
    } catch (const Error& error) {
      Compare(folder / "stderr.txt", error.Render());
    }
  }
}

}  // namespace
}  // namespace imgbuild::plan
