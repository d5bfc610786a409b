#include "imgbuild/registry/explain.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "imgbuild/util/fs.h"

#include "registry/base64.h"

namespace imgbuild::registry {
namespace {

class ExplainTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    fs::WriteFileAtomic(dir_.fd(), name, text);
    return dir_.path() + "/" + name;
  }
  std::vector<Explanation> Explained(const std::string& name) {
    HostsOptions hosts;
    hosts.certs_dirs = {dir_.path() + "/certs.d"};
    hosts.registries_conf = {dir_.path() + "/registries.conf"};
    hosts.daemon_json = {dir_.path() + "/daemon.json"};
    CredentialFilesOptions files;
    files.env = [this](const std::string& variable) {
      const auto found = env_.find(variable);
      return found == env_.end() ? std::nullopt : std::optional(found->second);
    };
    return Explain(*LoadHostConfig(hosts), *NewCredentialFiles(files),
                   oci::Repository::Parse(name), false);
  }
  fs::TempDir dir_ = fs::TempDir::InTmp();
  std::map<std::string, std::string> env_;
};

TEST_F(ExplainTest, EachEndpointHasItsOwnCredentials) {
  Write("registries.conf",
        "[[registry]]\nprefix = \"r.example\"\n"
        "[[registry.mirror]]\nlocation = \"m.example/x\"\n");
  env_["DOCKER_CONFIG"] = dir_.path();
  const std::string config =
      Write("config.json",
            "{\n\"auths\": {\n\"https://r.example/v2/\": {\"auth\": \"" +
                Base64Encode("ada:s3cr3t") + "\"}\n}}\n");
  const auto steps = Explained("r.example/a");
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_TRUE(steps[0].endpoint.is_mirror);
  EXPECT_EQ(steps[0].endpoint.path_prefix, "x/a");
  EXPECT_EQ(steps[0].credential_rule, "");
  EXPECT_EQ(steps[0].identity, "");
  EXPECT_EQ(steps[1].identity, "user ada");
  EXPECT_EQ(steps[1].credential_source, config);
  EXPECT_EQ(steps[1].credential_rule,
            "auths \"https://r.example/v2/\" in " + config + ":3");
}

TEST_F(ExplainTest, VariablesAndTokensAreNamedNotShown) {
  env_["IMGBUILD_AUTH_R_EXAMPLE"] = "bob:hidden";
  EXPECT_EQ(Explained("r.example/a")[0].identity, "user bob");
  EXPECT_EQ(Explained("r.example/a")[0].credential_rule,
            "$IMGBUILD_AUTH_R_EXAMPLE");
  env_ = {{"DOCKER_AUTH_CONFIG",
           R"({"auths":{"r.example":{"identitytoken":"hidden"}}})"}};
  EXPECT_EQ(Explained("r.example/a")[0].identity, "identity token");
}

TEST_F(ExplainTest, TheProxyIsShownWithoutItsPassword) {
  ::setenv("HTTPS_PROXY", "http://me:hidden@proxy.example:3128", 1);
  const std::string proxy = Explained("r.example/a")[0].proxy;
  ::unsetenv("HTTPS_PROXY");
  EXPECT_EQ(proxy, "http://proxy.example:3128");
}

}  // namespace
}  // namespace imgbuild::registry
