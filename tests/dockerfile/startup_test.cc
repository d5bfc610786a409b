// A binary of its own: what it tests is the time before the first use.
#include <DockerfileLexer.h>
#include <DockerfileParser.h>
#include <antlr4-runtime.h>
#include <gtest/gtest.h>

#include <memory>

#include "imgbuild/dockerfile/parser.h"

namespace imgbuild::dockerfile {
namespace {

struct TableSizes {
  size_t lexer;
  size_t parser;
};

TableSizes Sizes() {
  antlr4::ANTLRInputStream input("");
  imgbuild_grammar::DockerfileLexer lexer(&input);
  antlr4::CommonTokenStream tokens(&lexer);
  imgbuild_grammar::DockerfileParser parser(&tokens);
  return {lexer.getATN().states.size(), parser.getATN().states.size()};
}

TEST(StartupTest, TablesAreBuiltAtTheFirstUse) {
  const TableSizes before = Sizes();
  EXPECT_EQ(before.lexer, 0u);
  EXPECT_EQ(before.parser, 0u);
  Parse(std::make_shared<SourceFile>("Dockerfile", "FROM a\n"));
  const TableSizes after = Sizes();
  EXPECT_GT(after.lexer, 100u);
  EXPECT_GT(after.parser, 100u);
}

}  // namespace
}  // namespace imgbuild::dockerfile
