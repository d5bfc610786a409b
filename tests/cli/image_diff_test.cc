#include "cli/image_diff.h"

#include <gtest/gtest.h>

namespace imgbuild::cli {
namespace {

using Map = std::map<std::string, std::string>;
using Lines = std::vector<std::string>;

TEST(ImageDiffTest, MapsByName) {
  EXPECT_EQ(DiffMaps({{"a", "1"}, {"b", "1"}, {"c", "1"}},
                     {{"b", "2"}, {"c", "1"}, {"d", "1"}}),
            (Lines{"- a 1", "~ b 1 -> 2", "+ d 1"}));
  EXPECT_EQ(DiffMaps({}, {}), Lines{});
}

TEST(ImageDiffTest, DpkgsDatabase) {
  EXPECT_EQ(ParseDpkgStatus("Package: a\n"
                            "Status: install ok installed\n"
                            "Description: x\n"
                            " Version: not this\n"
                            "Version: 1.2-3\n"
                            "\n"
                            "Package: gone\n"
                            "Status: deinstall ok config-files\n"
                            "Version: 1\n"
                            "\n"
                            "Package: b\nStatus: install ok installed\n"
                            "Version: 2"),
            (Map{{"a", "1.2-3"}, {"b", "2"}}));
}

TEST(ImageDiffTest, ApksDatabase) {
  EXPECT_EQ(ParseApkInstalled("C:Q1\nP:musl\nV:1.2.3-r0\nF:lib\n\n"
                              "P:busybox\nV:1.36\n\nV:9\n"),
            (Map{{"busybox", "1.36"}, {"musl", "1.2.3-r0"}}));
}

TEST(ImageDiffTest, OtherBytesGiveNothing) {
  EXPECT_EQ(ParseDpkgStatus("\x7f"
                            "ELF: : \n:\n: x\n"),
            Map{});
  EXPECT_EQ(ParseApkInstalled("\0P\n:V:\nV:1"), Map{});
  // What would act on a terminal.
  EXPECT_EQ(ParseApkInstalled("P:a\x1b[2J\nV:1\n\nP:b\nV:1\x07\n\nP:c\nV:\n"),
            Map{});
  EXPECT_EQ(ParseDpkgStatus("Package: a b\nStatus: install ok installed\n"
                            "Version: 1\n\nPackage: c\n"
                            "Status: install ok installed\nVersion: \x1b[0m\n"),
            Map{});
}

}  // namespace
}  // namespace imgbuild::cli
