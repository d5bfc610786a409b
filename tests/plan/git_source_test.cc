#include "imgbuild/plan/git_source.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::plan {
namespace {

std::string Shown(const std::string& text) {
  const GitSource s = ParseGitSource(text);
  return s.remote + "|" + s.ref + "|" + s.subdir + "|" + s.commit + "|" +
         (s.keep_git_dir ? (*s.keep_git_dir ? "keep" : "drop") : "") + "|" +
         (s.submodules ? "" : "no submodules");
}

std::string Refused(const std::string& text) {
  try {
    ParseGitSource(text);
  } catch (const Error& error) {
    return error.message();
  }
  return "accepted";
}

TEST(GitSourceTest, Recognised) {
  for (const char* text :
       {"https://h/r.git", "http://h/r.git#v1", "https://h/r.git?tag=v1",
        "git@h:r", "git://h/r", "ssh://git@h/r", "github.com/o/r"}) {
    EXPECT_TRUE(IsGitUrl(text)) << text;
  }
  for (const char* text : {"https://h/r", "https://h/r.gitx", "r.git",
                           "./github.com/o/r", "https://h/?x=r.git"}) {
    EXPECT_FALSE(IsGitUrl(text)) << text;
  }
}

TEST(GitSourceTest, Forms) {
  EXPECT_EQ(Shown("https://h/r.git"), "https://h/r.git|||||");
  EXPECT_EQ(Shown("https://h/r.git#v1"), "https://h/r.git|v1||||");
  EXPECT_EQ(Shown("https://h/r.git#v1:a/../b/"), "https://h/r.git|v1|b|||");
  EXPECT_EQ(Shown("https://h/r.git#:d"), "https://h/r.git||d|||");
  EXPECT_EQ(Shown("github.com/o/r"), "https://github.com/o/r|||||");
  EXPECT_EQ(Shown("git@h:r.git?tag=v1&subdir=a%2Fb"),
            "git@h:r.git|refs/tags/v1|a/b|||");
  EXPECT_EQ(Shown("git://h/r?branch=x&checksum=ABC&keep-git-dir&submodules=0"),
            "git://h/r|refs/heads/x||abc|keep|no submodules");
  EXPECT_EQ(Shown("git://h/r#x:../../etc"), "git://h/r|x|etc|||");
}

TEST(GitSourceTest, Refused) {
  EXPECT_EQ(Refused("git://h/r?tag=a#b"),
            "a git URL takes a fragment or a query, not both");
  EXPECT_EQ(Refused("git://h/r?tag=a&branch=b"),
            "a git URL takes one of ref, tag and branch");
  EXPECT_EQ(Refused("git://h/r?tagg=a"), "unknown key \"tagg\" in a git URL");
  EXPECT_EQ(Refused("git://h/r?subdir=a&subdir=b"),
            "\"subdir\" stands twice in a git URL");
  EXPECT_EQ(Refused("git://h/r#--upload-pack=x"),
            "invalid git ref \"--upload-pack=x\"");
  EXPECT_EQ(Refused("git://h/r?checksum=xyz"), "invalid git commit \"xyz\"");
  EXPECT_EQ(Refused("git://h/r?keep-git-dir=maybe"),
            "invalid value \"maybe\" for keep-git-dir of a git URL: it is true "
            "or false");
}

}  // namespace
}  // namespace imgbuild::plan
