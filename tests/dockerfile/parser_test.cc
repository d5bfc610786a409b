#include "imgbuild/dockerfile/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {
namespace {

Dockerfile ParseText(std::string text) {
  return Parse(std::make_shared<SourceFile>("Dockerfile", std::move(text)));
}

TEST(ParserTest, AnOrdinaryFile) {
  const Dockerfile file = ParseText(
      "FROM debian AS base\nRUN echo a \\\n  b\nCOPY --from=base a b /c/\n");
  ASSERT_EQ(file.stages.size(), 1u);
  EXPECT_EQ(std::get<From>(file.stages[0].from.node).image.text, "debian");
  ASSERT_EQ(file.stages[0].instructions.size(), 2u);
  const auto& run =
      std::get<dockerfile::Run>(file.stages[0].instructions[0].node);
  EXPECT_EQ(run.command.shell, "echo a   b");
  const Copy& copy = std::get<Copy>(file.stages[0].instructions[1].node);
  EXPECT_EQ(copy.destination.text, "/c/");
}

}  // namespace
}  // namespace imgbuild::dockerfile
