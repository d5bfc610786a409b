#include "imgbuild/plan/named_context.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::plan {
namespace {

using Kind = NamedContext::Kind;

TEST(NamedContextTest, Kinds) {
  const struct {
    const char* text;
    Kind kind;
    const char* value;
  } cases[] = {
      {"dir", Kind::kFiles, "dir"},
      {"./a:b", Kind::kFiles, "./a:b"},
      {"https://h/x.tar", Kind::kFiles, "https://h/x.tar"},
      {"git@h:r.git#v1:d", Kind::kFiles, "git@h:r.git#v1:d"},
      {"ssh://git@h/r", Kind::kFiles, "ssh://git@h/r"},
      {"docker-image://alpine:3", Kind::kImage, "alpine:3"},
      {"oci-layout://./dir:tag", Kind::kOciLayout, "./dir:tag"},
      {"oci-layout:///a@sha256:1", Kind::kOciLayout, "/a@sha256:1"},
      {"target:build", Kind::kStage, "build"},
  };
  for (const auto& c : cases) {
    const NamedContext context = ParseNamedContext(c.text);
    EXPECT_EQ(context.kind, c.kind) << c.text;
    EXPECT_EQ(context.value, c.value) << c.text;
  }
}

TEST(NamedContextTest, NamesForOnePlatform) {
  EXPECT_EQ(SplitContextName("a:1").name, "a:1");
  EXPECT_FALSE(SplitContextName("a:1").platform);
  const ContextName arm = SplitContextName("h:5000/a:1::linux/aarch64");
  EXPECT_EQ(arm.name, "h:5000/a:1");
  ASSERT_TRUE(arm.platform);
  EXPECT_EQ(arm.platform->ToString(), "linux/arm64");
  EXPECT_THROW(SplitContextName("a::"), Error);
  EXPECT_THROW(SplitContextName("a::li nux"), Error);
}

TEST(NamedContextTest, Refused) {
  const struct {
    const char* text;
    const char* message;
    const char* hint;
  } cases[] = {
      {"docker-image://", "nothing stands behind docker-image://", ""},
      {"target:", "nothing stands behind target:", ""},
      {"docker-imge://x", "unsupported context \"docker-imge://x\"",
       "did you mean docker-image://?"},
      {"ftp://h/x", "unsupported context \"ftp://h/x\"",
       "a context is a directory, docker-image://REF, "
       "oci-layout://PATH[:TAG|@DIGEST], an http(s) or git URL, or "
       "target:STAGE"},
  };
  for (const auto& c : cases) {
    try {
      ParseNamedContext(c.text);
      ADD_FAILURE() << c.text << " is accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
      EXPECT_EQ(error.message(), c.message);
      EXPECT_EQ(error.hint(), c.hint);
    }
  }
}

}  // namespace
}  // namespace imgbuild::plan
