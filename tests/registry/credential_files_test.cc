#include "registry/credential_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "registry/base64.h"

namespace imgbuild::registry {
namespace {

TEST(Base64, RoundTrip) {
  for (const std::string text : {"", "a", "ab", "abc", "ada:s3cr3t"}) {
    EXPECT_EQ(Base64Decode(Base64Encode(text)), text);
  }
  EXPECT_EQ(Base64Encode("ab"), "YWI=");
  EXPECT_EQ(Base64Decode("YWI"), "ab");
  EXPECT_EQ(Base64Decode("-_8="), "\xfb\xff");
  EXPECT_EQ(Base64Decode("a"), std::nullopt);
  EXPECT_EQ(Base64Decode("a b="), std::nullopt);
}

TEST(AuthKeys, Normalised) {
  const struct {
    const char* key;
    const char* result;
  } cases[] = {
      {"https://index.docker.io/v1/", "index.docker.io"},
      {"http://host:5000", "host:5000"},
      {"https://host/v2/", "host"},
      {"host/ns/repo", "host/ns/repo"},
      {"host/", "host"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(NormaliseAuthKey(c.key), c.result) << c.key;
  }
}

TEST(AuthKeys, MostSpecificFirst) {
  EXPECT_EQ(AuthKeysFor(oci::Repository::Parse("h:5/a/b")),
            (std::vector<std::string>{"h:5/a/b", "h:5/a", "h:5"}));
}

TEST(AuthKeys, Variable) {
  EXPECT_EQ(AuthVariable("registry.example-x.com:5000"),
            "IMGBUILD_AUTH_REGISTRY_EXAMPLE_X_COM_5000");
}

class CredentialFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    env_["HOME"] = dir_.path();
    old_path_ = std::getenv("PATH");
    ::setenv("PATH", (dir_.path() + ":" + old_path_).c_str(), 1);
  }
  void TearDown() override { ::setenv("PATH", old_path_.c_str(), 1); }

  std::string Write(const std::string& name, const std::string& text,
                    mode_t mode = 0600) {
    const size_t slash = name.rfind('/');
    if (slash != std::string::npos) {
      fs::MakeDirs(dir_.fd(), name.substr(0, slash), 0700);
    }
    fs::WriteFileAtomic(dir_.fd(), name, text, mode);
    return dir_.path() + "/" + name;
  }
  // A helper named NAME that runs `script` with the verb in $1.
  void Helper(const std::string& name, const std::string& script) {
    Write("docker-credential-" + name, "#!/bin/sh\n" + script + "\n", 0755);
  }
  CredentialFilesOptions Options() {
    CredentialFilesOptions options;
    options.env =
        [this](const std::string& name) -> std::optional<std::string> {
      const auto found = env_.find(name);
      if (found == env_.end()) return std::nullopt;
      return found->second;
    };
    options.warn = [this](const std::string& text) {
      warnings_.push_back(text);
    };
    return options;
  }
  // "user:password@source-file-name", "token:…", or "none".
  std::string Find(const std::string& name) {
    const auto found =
        NewCredentialFiles(Options())->Find(oci::Repository::Parse(name));
    if (!found) return "none";
    if (!found->identity_token.empty()) return "token:" + found->identity_token;
    if (!found->registry_token.empty()) return "raw:" + found->registry_token;
    return found->username + ":" + found->password;
  }
  fs::TempDir dir_ = fs::TempDir::InTmp();
  std::map<std::string, std::string> env_;
  std::vector<std::string> warnings_;
  std::string old_path_;
};

std::string Auth(const std::string& key, const std::string& pair) {
  return "{\"auths\":{\"" + key + "\":{\"auth\":\"" + Base64Encode(pair) +
         "\"}}}";
}

TEST_F(CredentialFilesTest, NoFilesNoCredentials) {
  EXPECT_EQ(Find("h.example/a"), "none");
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(CredentialFilesTest, DockerConfig) {
  Write(".docker/config.json", Auth("https://h.example/v2/", "u:p:q"));
  EXPECT_EQ(Find("h.example/a/b"), "u:p:q");
  EXPECT_EQ(Find("other.example/a"), "none");
  EXPECT_EQ(Find("h.example:5000/a"), "none");
}

TEST_F(CredentialFilesTest, HubByItsOldName) {
  Write(".docker/config.json", Auth("https://index.docker.io/v1/", "u:p"));
  EXPECT_EQ(Find("alpine"), "u:p");
}

TEST_F(CredentialFilesTest, NulPaddingIsStripped) {
  Write(".docker/config.json", Auth("h.example", std::string("u:p\0\0", 5)));
  EXPECT_EQ(Find("h.example/a"), "u:p");
}

TEST_F(CredentialFilesTest, TokensAndPlainPairs) {
  Write(".docker/config.json", R"({"auths":{
    "i.example":{"auth":"dTo=","identitytoken":"refresh"},
    "r.example":{"registrytoken":"bearer"},
    "p.example":{"username":"u","password":"p"},
    "empty.example":{},
    "odd.example":{"auth":"!!!"}}})");
  EXPECT_EQ(Find("i.example/a"), "token:refresh");
  EXPECT_EQ(Find("r.example/a"), "raw:bearer");
  EXPECT_EQ(Find("p.example/a"), "u:p");
  EXPECT_EQ(Find("empty.example/a"), "none");
  EXPECT_EQ(Find("odd.example/a"), "none");
}

TEST_F(CredentialFilesTest, NamespacedKeysOfAuthJson) {
  env_["REGISTRY_AUTH_FILE"] = Write("auth.json", R"({"auths":{
    "h.example/team":{"username":"team","password":"1"},
    "h.example/team/app":{"username":"app","password":"2"},
    "h.example":{"username":"host","password":"3"}}})");
  EXPECT_EQ(Find("h.example/team/app"), "app:2");
  EXPECT_EQ(Find("h.example/team/app/x"), "app:2");
  EXPECT_EQ(Find("h.example/team/other"), "team:1");
  EXPECT_EQ(Find("h.example/teams"), "host:3");
}

TEST_F(CredentialFilesTest, OrderOfPlaces) {
  Write(".config/containers/auth.json", Auth("h.example", "podman:1"));
  EXPECT_EQ(Find("h.example/a"), "podman:1");
  env_["XDG_RUNTIME_DIR"] = dir_.path() + "/run";
  Write("run/containers/auth.json", Auth("h.example", "runtime:1"));
  EXPECT_EQ(Find("h.example/a"), "runtime:1");
  Write(".docker/config.json", Auth("h.example", "docker:1"));
  EXPECT_EQ(Find("h.example/a"), "docker:1");
  env_["DOCKER_CONFIG"] = dir_.path() + "/elsewhere";
  Write("elsewhere/config.json", Auth("h.example", "moved:1"));
  EXPECT_EQ(Find("h.example/a"), "moved:1");
  env_["REGISTRY_AUTH_FILE"] = Write("a.json", Auth("h.example", "file:1"));
  EXPECT_EQ(Find("h.example/a"), "file:1");
  env_["DOCKER_AUTH_CONFIG"] = Auth("h.example", "inline:1");
  EXPECT_EQ(Find("h.example/a"), "inline:1");
  env_["IMGBUILD_AUTH_H_EXAMPLE"] = "env:1:2";
  EXPECT_EQ(Find("h.example/a"), "env:1:2");
}

TEST_F(CredentialFilesTest, AMalformedVariableIsNotQuoted) {
  env_["IMGBUILD_AUTH_H_EXAMPLE"] = "TOPSECRET";
  EXPECT_EQ(Find("h.example/a"), "none");
  EXPECT_EQ(warnings_,
            std::vector<std::string>{"$IMGBUILD_AUTH_H_EXAMPLE is ignored: it "
                                     "is not of the form user:password"});
}

TEST_F(CredentialFilesTest, ABrokenFileIsAWarning) {
  const std::string path =
      Write(".docker/config.json", "{\"auths\": TOPSECRET");
  EXPECT_EQ(Find("h.example/a"), "none");
  EXPECT_EQ(warnings_, std::vector<std::string>{
                           path + ": not a JSON object; its credentials are "
                                  "not used"});
}

TEST_F(CredentialFilesTest, HelperForTheHostWins) {
  Helper("one", "read server; echo \"$1 $server\" >> " + dir_.path() +
                    "/log; echo '{\"ServerURL\":\"x\",\"Username\":\"hu\","
                    "\"Secret\":\"hp\"}'");
  Write(".docker/config.json",
        R"({"auths":{"h.example":{"username":"f","password":"p"}},)"
        R"("credHelpers":{"h.example":"one"},"credsStore":"missing"})");
  EXPECT_EQ(Find("h.example/a/b"), "hu:hp");
  EXPECT_EQ(fs::ReadFile(dir_.fd(), "log", 1000), "get h.example\n");
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(CredentialFilesTest, StoreGetsTheHubsOldName) {
  Helper("store", "read server; echo \"$server\" > " + dir_.path() +
                      "/log; echo '{\"Username\":\"<token>\",\"Secret\":"
                      "\"idt\"}'");
  Write(".docker/config.json", R"({"credsStore":"store"})");
  EXPECT_EQ(Find("alpine"), "token:idt");
  EXPECT_EQ(fs::ReadFile(dir_.fd(), "log", 1000),
            "https://index.docker.io/v1/\n");
}

TEST_F(CredentialFilesTest, NothingKnownIsSilent) {
  Helper("store", "echo 'credentials not found in native keychain'; exit 1");
  Write(".docker/config.json", R"({"credsStore":"store"})");
  EXPECT_EQ(Find("h.example/a"), "none");
  EXPECT_TRUE(warnings_.empty());
}

TEST_F(CredentialFilesTest, AFailingHelperIsAWarning) {
  Helper("bad", "echo SECRET-ON-STDOUT; echo 'no bus' >&2; exit 3");
  Write(".docker/config.json", R"({"credsStore":"bad"})");
  EXPECT_EQ(Find("h.example/a"), "none");
  EXPECT_EQ(warnings_,
            std::vector<std::string>{
                "docker-credential-bad get: exit code 3: no bus; going on "
                "without credentials for h.example"});
}

TEST_F(CredentialFilesTest, AMissingOrHostileHelperIsAWarning) {
  Write(".docker/config.json",
        R"({"credHelpers":{"a.example":"nowhere-to-be-found",)"
        R"("b.example":"../../bin/sh"}})");
  EXPECT_EQ(Find("a.example/a"), "none");
  EXPECT_EQ(Find("b.example/a"), "none");
  EXPECT_EQ(warnings_,
            (std::vector<std::string>{
                "docker-credential-nowhere-to-be-found: not found in PATH; "
                "going on without credentials for a.example",
                "credential helper \"../../bin/sh\": not a valid name; going "
                "on without credentials for b.example"}));
}

TEST_F(CredentialFilesTest, NonsenseFromAHelperIsAWarning) {
  Helper("odd", "echo '[1'");
  Write(".docker/config.json", R"({"credsStore":"odd"})");
  EXPECT_EQ(Find("h.example/a"), "none");
  EXPECT_EQ(warnings_, std::vector<std::string>{
                           "docker-credential-odd get: malformed answer; going "
                           "on without credentials for h.example"});
}

TEST_F(CredentialFilesTest, LoginWritesWhatDockerReads) {
  const std::string path =
      Write(".docker/config.json",
            R"({"psFormat":"table","auths":{"other":{"auth":"eDp5"}},"x":1})");
  Credentials credentials;
  credentials.username = "u";
  credentials.password = "p";
  EXPECT_EQ(SaveCredentials(Options(), "h.example", credentials), path);
  EXPECT_EQ(Find("h.example/a"), "u:p");
  EXPECT_EQ(Find("other.example/a"), "none");
  const std::string text = fs::ReadFile(AT_FDCWD, path, 10000);
  EXPECT_NE(text.find("\"psFormat\""), std::string::npos);
  EXPECT_NE(text.find("\"x\""), std::string::npos);
  EXPECT_EQ(fs::LstatIfExists(AT_FDCWD, path)->st_mode & 0777, 0600U);

  EXPECT_TRUE(EraseCredentials(Options(), "h.example"));
  EXPECT_FALSE(EraseCredentials(Options(), "h.example"));
  EXPECT_EQ(Find("h.example/a"), "none");
}

TEST_F(CredentialFilesTest, LoginKeepsALink) {
  Write("real/config.json", "{}");
  fs::MakeDirs(dir_.fd(), ".docker", 0700);
  ASSERT_EQ(
      ::symlinkat("../real/config.json", dir_.fd(), ".docker/config.json"), 0);
  Credentials credentials;
  credentials.username = "u";
  credentials.password = "p";
  SaveCredentials(Options(), "h.example", credentials);
  EXPECT_TRUE(
      S_ISLNK(fs::LstatIfExists(dir_.fd(), ".docker/config.json")->st_mode));
  EXPECT_NE(fs::ReadFile(dir_.fd(), "real/config.json", 10000).find("dTpw"),
            std::string::npos);
}

TEST_F(CredentialFilesTest, LoginMakesTheDirectory) {
  Credentials credentials;
  credentials.username = "u";
  credentials.password = "p";
  SaveCredentials(Options(), "docker.io", credentials);
  EXPECT_EQ(Find("alpine"), "u:p");
}

TEST_F(CredentialFilesTest, LoginUsesTheHelper) {
  Helper("keep", "cat > " + dir_.path() + "/kept.$1");
  const std::string path =
      Write(".docker/config.json", R"({"credsStore":"keep"})");
  Credentials credentials;
  credentials.username = "u";
  credentials.password = "SECRET";
  EXPECT_EQ(SaveCredentials(Options(), "h.example", credentials),
            "docker-credential-keep");
  EXPECT_EQ(fs::ReadFile(dir_.fd(), "kept.store", 1000),
            R"({"Secret":"SECRET","ServerURL":"h.example","Username":"u"})");
  EXPECT_EQ(fs::ReadFile(AT_FDCWD, path, 1000).find("SECRET"),
            std::string::npos);
  EXPECT_TRUE(EraseCredentials(Options(), "h.example"));
  EXPECT_EQ(fs::ReadFile(dir_.fd(), "kept.erase", 1000), "h.example");
}

}  // namespace
}  // namespace imgbuild::registry
