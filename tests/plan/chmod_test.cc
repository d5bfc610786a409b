// --chmod: octal, and the symbolic forms of chmod(1).
#include "imgbuild/plan/chmod.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::plan {
namespace {

TEST(ChmodTest, Apply) {
  struct Row {
    const char* text;
    uint32_t before;
    bool directory;
    uint32_t after;
  };
  const Row rows[] = {
      {"755", 0600, false, 0755},         {"0", 0777, false, 0},
      {"07777", 0, true, 07777},          {"u=rwX,go=rX", 0600, false, 0644},
      {"u=rwX,go=rX", 0700, false, 0755}, {"u=rwX,go=rX", 0600, true, 0755},
      {"+x", 0644, false, 0755},          {"a-w", 0666, false, 0444},
      {"go-rwx", 0777, true, 0700},       {"u+s", 0755, false, 04755},
      {"g+s", 0755, true, 02755},         {"o+s", 0755, false, 0755},
      {"+t", 0755, true, 01755},          {"g=u", 0640, false, 0660},
      {"o=g", 0640, false, 0644},         {"u+r-w", 0200, false, 0400},
      {"u=,g=,o=", 0777, false, 0},       {"g=rx", 02775, true, 02755},
      {"g=rx", 02775, false, 0755},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Chmod::Parse(row.text).Apply(row.before, row.directory),
              row.after)
        << row.text << " of " << std::oct << row.before;
  }
}

TEST(ChmodTest, OnlyTheOctalFormIsForParents) {
  EXPECT_EQ(Chmod::Parse("700").octal(), 0700u);
  EXPECT_FALSE(Chmod::Parse("u+x").octal().has_value());
}

TEST(ChmodTest, Refused) {
  for (const char* text :
       {"", "8", "999", "10000", "0x1ff", "u", "u~x", "u=q", "u=r,", ",u=r",
        "u=ug", "rwx", "-1", " 755", "u =r"}) {
    try {
      Chmod::Parse(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.message(),
                "invalid chmod parameter \"" + std::string(text) +
                    "\": it should be an octal number (0-7777) or a symbolic "
                    "mode");
    }
  }
}

}  // namespace
}  // namespace imgbuild::plan
