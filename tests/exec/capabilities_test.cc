#include "exec/capabilities.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::exec {
namespace {

using testing::ElementsAre;

constexpr CapabilitySet kEverything = ~CapabilitySet{0};

CapabilitySet Of(std::vector<std::string> add, std::vector<std::string> drop,
                 CapabilitySet available = kEverything) {
  ProcessSpec spec;
  spec.cap_add = std::move(add);
  spec.cap_drop = std::move(drop);
  return ContainerCapabilities(spec, available);
}

TEST(CapabilitiesTest, NamesAreNumbers) {
  EXPECT_EQ(ParseCapability("CAP_CHOWN"), 1u);
  EXPECT_EQ(ParseCapability("chown"), 1u);
  EXPECT_EQ(ParseCapability("Sys_Admin"), CapabilitySet{1} << 21);
  EXPECT_EQ(ParseCapability("checkpoint_restore"), CapabilitySet{1} << 40);
  EXPECT_EQ(ParseCapability("nosuch"), 0u);
  EXPECT_EQ(ParseCapability(""), 0u);
  EXPECT_EQ(ParseCapability("all"), (CapabilitySet{1} << 41) - 1);
  EXPECT_THAT(CapabilityNames(0x200001),
              ElementsAre("CAP_CHOWN", "CAP_SYS_ADMIN"));
}

TEST(CapabilitiesTest, TheDefaultIsDockers) {
  EXPECT_EQ(DefaultCapabilities(), 0xa80425fbu);
  EXPECT_EQ(Of({}, {}), 0xa80425fbu);
}

TEST(CapabilitiesTest, AddAndDrop) {
  EXPECT_EQ(Of({"SYS_ADMIN"}, {}), 0xa82425fbu);
  EXPECT_EQ(Of({}, {"CAP_CHOWN"}), 0xa80425fau);
  EXPECT_EQ(Of({"CHOWN"}, {"ALL"}), 1u);
  EXPECT_EQ(Of({"ALL"}, {"CHOWN"}), ParseCapability("ALL") - 1);
  EXPECT_EQ(Of({"ALL"}, {"ALL"}), ParseCapability("ALL"));
}

TEST(CapabilitiesTest, NeverMoreThanThisProcessHas) {
  EXPECT_EQ(Of({}, {}, 0x3), 0x3u);
  EXPECT_EQ(Of({"ALL"}, {}, 0x3), 0x3u);
  ProcessSpec privileged;
  privileged.privileged = true;
  EXPECT_EQ(ContainerCapabilities(privileged, 0x7), 0x7u);
  try {
    Of({"SYS_ADMIN"}, {}, 0x3);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(),
              "cap-add: imgbuild itself does not have CAP_SYS_ADMIN");
  }
}

TEST(CapabilitiesTest, UnknownNamesAreRefusedWithASuggestion) {
  try {
    Of({}, {"sys_admni"});
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(error.message(), "cap-drop: no such capability \"sys_admni\"");
    EXPECT_EQ(error.hint(), "did you mean \"sys_admin\"?");
  }
}

}  // namespace
}  // namespace imgbuild::exec
