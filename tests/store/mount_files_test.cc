#include "store/mount_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "imgbuild/util/fs.h"

namespace imgbuild::store {
namespace {

oci::Digest DigestFor(const std::string& text) {
  return oci::Digest::OfBytes(text);
}

class MountFilesTest : public ::testing::Test {
 protected:
  MountRecord Record(const std::string& name) {
    return {DigestFor(name).hex(), false, DigestFor(name),
            oci::ImageId(DigestFor("config")), "app:1"};
  }

  fs::TempDir dir_ = fs::TempDir::InTmp();
  Layout layout_{dir_.path()};
};

TEST_F(MountFilesTest, RemembersWhatWasAdded) {
  MountFiles mounts(layout_, "boot-1");
  EXPECT_TRUE(mounts.List().empty());
  const MountRecord record = Record("a");
  mounts.Add(record);
  mounts.Add(record);
  ASSERT_EQ(mounts.List().size(), 1u);
  const auto found = MountFiles(layout_, "boot-1").Find(record.id);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->manifest, record.manifest);
  EXPECT_EQ(found->image, record.image);
  EXPECT_EQ(found->reference, "app:1");
  EXPECT_FALSE(found->of_container);
  struct ::stat st = {};
  EXPECT_EQ(::stat(mounts.MountPoint(record.id).c_str(), &st), 0);
  mounts.Remove(record.id);
  mounts.Remove(record.id);
  EXPECT_FALSE(mounts.Find(record.id));
}

TEST_F(MountFilesTest, AnotherStartOfTheMachineEndsThem) {
  const MountRecord record = Record("a");
  MountFiles(layout_, "boot-1").Add(record);
  MountFiles later(layout_, "boot-2");
  EXPECT_TRUE(later.List().empty());
  EXPECT_FALSE(later.Find(record.id));
  later.Add(Record("b"));
  later.SweepStale();
  EXPECT_FALSE(fs::LstatIfExists(layout_.root_fd(), "mounted/" + record.id));
  EXPECT_EQ(later.List().size(), 1u);
}

TEST_F(MountFilesTest, WhatIsHalfMadeIsNobodys) {
  MountFiles mounts(layout_, "boot-1");
  const MountRecord record = Record("a");
  mounts.Add(record);
  fs::RemoveTree(layout_.root_fd(), "mounted/" + record.id + "/record");
  EXPECT_TRUE(mounts.List().empty());
  // No path is ever made of what is no id.
  EXPECT_FALSE(mounts.Find("../containers"));
  mounts.SweepStale();
  EXPECT_FALSE(fs::LstatIfExists(layout_.root_fd(), "mounted/" + record.id));
}

}  // namespace
}  // namespace imgbuild::store
