#include "cli/table.h"

#include <gtest/gtest.h>

namespace imgbuild::cli {
namespace {

TEST(TableTest, ColumnsAsDockersAre) {
  Table table({"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"});
  table.Add({"mine", "1", "6a5558296b03", "3 seconds ago", "1.98MB"});
  EXPECT_EQ(table.ToString(),
            "REPOSITORY   TAG       IMAGE ID       CREATED         SIZE\n"
            "mine         1         6a5558296b03   3 seconds ago   1.98MB\n");
}

TEST(TableTest, TheHeaderStandsAlone) {
  EXPECT_EQ(
      Table({"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}).ToString(),
      "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
}

TEST(TableTest, WidthCountsCharacters) {
  Table table({"A", "B"});
  table.Add({"ä", "x"});
  EXPECT_EQ(table.ToString(), "A         B\nä         x\n");
}

}  // namespace
}  // namespace imgbuild::cli
