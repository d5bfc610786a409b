#include "container/placement.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::container {
namespace {

TEST(Placement, EndsOfPaths) {
  EXPECT_TRUE(MeansContent("."));
  EXPECT_TRUE(MeansContent("a/."));
  EXPECT_FALSE(MeansContent("a/.b"));
  EXPECT_FALSE(MeansContent("a."));
  EXPECT_TRUE(AssertsDirectory("a/"));
  EXPECT_TRUE(AssertsDirectory("/"));
  EXPECT_TRUE(AssertsDirectory("a/."));
  EXPECT_FALSE(AssertsDirectory("a"));
}

TEST(Placement, NamesOfSources) {
  EXPECT_EQ(NameOfSource("/a/b"), "b");
  EXPECT_EQ(NameOfSource("/a/b/"), "b");
  EXPECT_EQ(NameOfSource("/a/b/."), ".");
  EXPECT_EQ(NameOfSource("/"), ".");
  EXPECT_EQ(NameOfSource("/a/../b//"), "b");
  EXPECT_EQ(NameOfSource("/.."), ".");
}

std::string Placed(const CopySource& source, const CopyTarget& target) {
  try {
    const Placement place = Place(source, target);
    return place.directory + " " + place.name;
  } catch (const Error& error) {
    return error.message();
  }
}

TEST(Placement, FollowsDockersTable) {
  const CopySource file{"f", false};
  const CopySource dir{"d", true};
  const CopySource content{".", true};
  const CopyTarget new_name{"/t/n"};
  const CopyTarget new_dir{"/t/n", false, false, true};
  const CopyTarget present_file{"/t/n", true};
  const CopyTarget present_dir{"/t/n", true, true, true};
  EXPECT_EQ(Placed(file, new_name), "/t n");
  EXPECT_EQ(Placed(file, new_dir), "no such directory");
  EXPECT_EQ(Placed(file, present_file), "/t n");
  EXPECT_EQ(Placed(file, present_dir), "/t/n f");
  EXPECT_EQ(Placed(dir, new_name), "/t n");
  EXPECT_EQ(Placed(dir, new_dir), "/t n");
  EXPECT_EQ(Placed(dir, present_file), "cannot copy directory");
  EXPECT_EQ(Placed(dir, present_dir), "/t/n d");
  EXPECT_EQ(Placed(content, new_name), "/t n");
  EXPECT_EQ(Placed(content, present_dir), "/t/n .");
  EXPECT_EQ(Placed(file, CopyTarget{"/n"}), "/ n");
  EXPECT_EQ(Placed(file, CopyTarget{"n"}), " n");
}

}  // namespace
}  // namespace imgbuild::container
