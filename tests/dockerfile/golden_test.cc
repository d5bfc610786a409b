// The cases of testdata/dockerfile: a Dockerfile, and the dump of its AST or
// the whole text of its error. IMGBUILD_UPDATE_GOLDENS=1 writes the files anew
// (and fails, so that nobody takes that for a pass): read the diff.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"

#include "dockerfile/expand_all.h"

namespace imgbuild::dockerfile {
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
           stdfs::path(IMGBUILD_TESTDATA) / "dockerfile" / folder)) {
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

std::shared_ptr<const SourceFile> Load(const stdfs::path& folder) {
  return std::make_shared<SourceFile>("Dockerfile",
                                      *ReadText(folder / "Dockerfile"));
}

// INCLUDE finds the files of the case, relative to the one that includes.
Dockerfile ParseCase(const stdfs::path& folder) {
  ParseOptions options;
  options.include = [folder](const SourceFile& from, const std::string& name) {
    const stdfs::path path =
        stdfs::path(from.name()).parent_path() / stdfs::path(name);
    const auto text = ReadText(folder / path);
    if (!text) {
      throw Error(ErrorCode::kDockerfile, "INCLUDE: there is no " + name);
    }
    return std::make_shared<SourceFile>(path.string(), *text);
  };
  return Parse(Load(folder), options);
}

TEST(DockerfileGoldenTest, Trees) {
  const std::vector<stdfs::path> cases = Cases("");
  EXPECT_GE(cases.size(), 120u);
  for (const stdfs::path& folder : cases) {
    std::string actual;
    try {
      actual = Dump(ParseCase(folder));
    } catch (const Error& error) {
      ADD_FAILURE() << folder << ": " << error.Render();
      continue;
    }
    Compare(folder / "ast.txt", actual);
  }
}

// What only expansion can find is found with no variable set.
TEST(DockerfileGoldenTest, Errors) {
  const std::vector<stdfs::path> cases = Cases("errors");
  EXPECT_GE(cases.size(), 100u);
  for (const stdfs::path& folder : cases) {
    try {
      const Dockerfile file = ParseCase(folder);
      ExpandAll(file);
      ADD_FAILURE() << folder << " has no error:\n" << Dump(file);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kDockerfile) << folder;
      EXPECT_TRUE(static_cast<bool>(error.range())) << folder;
      Compare(folder / "stderr.txt", error.Render());
    }
  }
}

}  // namespace
}  // namespace imgbuild::dockerfile
