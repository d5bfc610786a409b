#include "imgbuild/lock/outputs.h"

#include <gtest/gtest.h>

namespace imgbuild::lock {
namespace {

const oci::Digest kOne = oci::Digest::OfBytes("one");
const oci::Digest kTwo = oci::Digest::OfBytes("two");

Lockfile Recorded() {
  Lockfile lock;
  lock.variants = {{"ci", {{"V", "2"}}, {}, {}}};
  lock.outputs = {{"", "linux/amd64", "", kOne, {}, {}},
                  {"test", "linux/amd64", "ci", kTwo, {}, {}}};
  return lock;
}

TEST(OutputsTest, AVariantIsExactlyItsArguments) {
  const Lockfile lock = Recorded();
  EXPECT_EQ(VariantOf(lock, {}), "");
  EXPECT_EQ(VariantOf(lock, {{"V", "2"}}), "ci");
  EXPECT_EQ(VariantOf(lock, {{"V", "3"}}), std::nullopt);
  EXPECT_EQ(VariantOf(lock, {{"V", "2"}, {"W", "1"}}), std::nullopt);
}

TEST(OutputsTest, FoundByTargetPlatformAndVariant) {
  const Lockfile lock = Recorded();
  ASSERT_NE(FindOutput(lock, "", "linux/amd64", ""), nullptr);
  EXPECT_EQ(FindOutput(lock, "", "linux/amd64", "")->manifest, kOne);
  EXPECT_EQ(FindOutput(lock, "test", "linux/amd64", "ci")->manifest, kTwo);
  EXPECT_EQ(FindOutput(lock, "test", "linux/amd64", ""), nullptr);
  EXPECT_EQ(FindOutput(lock, "", "linux/arm64", ""), nullptr);
  EXPECT_EQ(FindOutput(lock, "other", "linux/amd64", ""), nullptr);
}

TEST(OutputsTest, BothDigestsAreNamed) {
  EXPECT_EQ(DescribeMismatch(Recorded(), Recorded().outputs[0], kTwo),
            "this build made " + kTwo.ToString() + "; the lock expects " +
                kOne.ToString());
}

}  // namespace
}  // namespace imgbuild::lock
