// Which ignore file goes with a Dockerfile.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "imgbuild/util/error.h"

#include "context/context_fixture.h"

namespace imgbuild::context {
namespace {

class FindIgnoreFileTest : public ContextFixture {
 protected:
  void SetUp() override {
    Dir("ctx");
    Dir("ctx/docker");
    Dir("elsewhere");
    context_ = fs::OpenDir(fd(), "ctx");
  }
  std::shared_ptr<const SourceFile> Find(const std::string& dockerfile) {
    return FindIgnoreFile(context_.get(), "ctx", dockerfile);
  }
  std::string FindText(const std::string& dockerfile) {
    const auto file = Find(dockerfile);
    return file ? file->text() : "(none)";
  }
  std::string Message(const std::string& dockerfile) {
    try {
      Find(dockerfile);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kDockerfile);
      return e.message();
    }
    return "(no error)";
  }
  UniqueFd context_;
};

TEST_F(FindIgnoreFileTest, TheDockerfilesOwnWins) {
  EXPECT_EQ(FindText(root() + "/ctx/Dockerfile"), "(none)");
  File("ctx/.dockerignore", "root");
  EXPECT_EQ(FindText(root() + "/ctx/Dockerfile"), "root");
  EXPECT_EQ(FindText(root() + "/elsewhere/Dockerfile"), "root");
  EXPECT_EQ(FindText("-"), "root");
  EXPECT_EQ(FindText(""), "root");
  EXPECT_EQ(FindText(root() + "/nowhere/Dockerfile"), "root");
  EXPECT_EQ(Find("-")->name(), "ctx/.dockerignore");
  File("ctx/Dockerfile.dockerignore", "beside");
  File("elsewhere/Dockerfile.dockerignore", "outside");
  File("ctx/docker/Dockerfile.dockerignore", "below");
  EXPECT_EQ(FindText(root() + "/ctx/Dockerfile"), "beside");
  EXPECT_EQ(FindText(root() + "/ctx/other.Dockerfile"), "root");
  EXPECT_EQ(FindText(root() + "/elsewhere/Dockerfile"), "outside");
  EXPECT_EQ(FindText(root() + "/ctx/docker/Dockerfile"), "below");
  EXPECT_EQ(Find(root() + "/ctx/Dockerfile")->name(),
            root() + "/ctx/Dockerfile.dockerignore");
}

TEST_F(FindIgnoreFileTest, NameOfTheContextInTheName) {
  File("ctx/.dockerignore", "x");
  EXPECT_EQ(FindIgnoreFile(context_.get(), ".", "")->name(), ".dockerignore");
  EXPECT_EQ(FindIgnoreFile(context_.get(), "a/", "")->name(),
            "a/.dockerignore");
}

TEST_F(FindIgnoreFileTest, LinksInsideAreFollowedLinksOutAreNot) {
  File("ctx/common", "common");
  File("secret", "secret");
  Link("common", "ctx/.dockerignore");
  Link("../common", "ctx/docker/Dockerfile.dockerignore");
  EXPECT_EQ(FindText(""), "common");
  EXPECT_EQ(FindText(root() + "/ctx/docker/Dockerfile"), "common");
  ASSERT_EQ(::unlinkat(fd(), "ctx/.dockerignore", 0), 0);
  Link("../secret", "ctx/.dockerignore");
  EXPECT_EQ(Message(""),
            "open \"ctx/.dockerignore\": a link leads out of the build "
            "context");
  ASSERT_EQ(::unlinkat(fd(), "ctx/.dockerignore", 0), 0);
  Link(root() + "/secret", "ctx/.dockerignore");
  EXPECT_EQ(Message(""),
            "open \"ctx/.dockerignore\": a link leads out of the build "
            "context");
}

TEST_F(FindIgnoreFileTest, OnlySmallRegularFiles) {
  ASSERT_EQ(::mkfifoat(context_.get(), ".dockerignore", 0644), 0);
  EXPECT_EQ(Message(""), "open \"ctx/.dockerignore\": not a regular file");
  ASSERT_EQ(::unlinkat(context_.get(), ".dockerignore", 0), 0);
  File("ctx/.dockerignore", std::string((1 << 20) + 1, '\n'));
  EXPECT_EQ(Message(""), "read \"ctx/.dockerignore\": larger than 1 MiB");
  File("ctx/.dockerignore", std::string(1 << 20, '\n'));
  EXPECT_TRUE(Find(""));
}

}  // namespace
}  // namespace imgbuild::context
