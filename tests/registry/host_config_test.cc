#include "registry/host_config.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::registry {
namespace {

class HostConfigTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const size_t slash = name.rfind('/');
    if (slash != std::string::npos) {
      fs::MakeDirs(dir_.fd(), name.substr(0, slash), 0755);
    }
    fs::WriteFileAtomic(dir_.fd(), name, text);
    return dir_.path() + "/" + name;
  }
  // Nothing of this machine's own configuration.
  HostsOptions Options() {
    HostsOptions options;
    options.certs_dirs = {dir_.path() + "/certs.d"};
    options.registries_conf = {dir_.path() + "/none.conf"};
    options.daemon_json = {dir_.path() + "/none.json"};
    return options;
  }
  static std::string Show(const HostsOptions& options, const std::string& name,
                          bool by_digest = true) {
    std::string out;
    for (const Endpoint& endpoint : LoadHostConfig(options)->EndpointsFor(
             oci::Repository::Parse(name), by_digest)) {
      if (!out.empty()) out += " | ";
      out += endpoint.base_url + " " + endpoint.path_prefix;
      if (endpoint.is_mirror) out += " mirror";
      if (endpoint.insecure) out += " insecure";
    }
    return out;
  }
  fs::TempDir dir_ = fs::TempDir::InTmp();
};

TEST_F(HostConfigTest, Defaults) {
  EXPECT_EQ(Show(Options(), "alpine"),
            "https://registry-1.docker.io library/alpine");
  EXPECT_EQ(Show(Options(), "example.com/a/b"), "https://example.com a/b");
  EXPECT_EQ(Show(Options(), "localhost:5000/a"),
            "https://localhost:5000 a insecure");
  EXPECT_EQ(Show(Options(), "127.0.0.1:5000/a"),
            "https://127.0.0.1:5000 a insecure");
  EXPECT_EQ(Show(Options(), "10.0.0.1:5000/a"), "https://10.0.0.1:5000 a");
}

TEST_F(HostConfigTest, InsecureRegistries) {
  HostsOptions options = Options();
  options.insecure_registries = {"a.example", "b.example:5000", "10.0.0.0/8"};
  EXPECT_EQ(Show(options, "a.example/x"), "https://a.example x insecure");
  EXPECT_EQ(Show(options, "a.example:9/x"), "https://a.example:9 x insecure");
  EXPECT_EQ(Show(options, "b.example:5000/x"),
            "https://b.example:5000 x insecure");
  EXPECT_EQ(Show(options, "b.example/x"), "https://b.example x");
  EXPECT_EQ(Show(options, "10.1.1.1/x"), "https://10.1.1.1 x insecure");
  EXPECT_EQ(Show(options, "11.1.1.1/x"), "https://11.1.1.1 x");
}

TEST_F(HostConfigTest, MirrorsAndRewriting) {
  HostsOptions options = Options();
  options.registries_conf = {Write("r.conf", R"(
[[registry]]
prefix = "docker.io"
[[registry.mirror]]
location = "m.example/hub"
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "moved.example"
location = "new.example/old"
[[registry]]
location = "bad.example"
blocked = true
)")};
  EXPECT_EQ(Show(options, "alpine", true),
            "https://m.example hub/library/alpine mirror | "
            "https://digests.example library/alpine mirror | "
            "https://registry-1.docker.io library/alpine");
  EXPECT_EQ(Show(options, "alpine", false),
            "https://m.example hub/library/alpine mirror | "
            "https://registry-1.docker.io library/alpine");
  EXPECT_EQ(Show(options, "moved.example/a"), "https://new.example old/a");
  try {
    Show(options, "bad.example/a");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPolicy);
    EXPECT_EQ(error.message(), "registry \"bad.example\" is blocked by " +
                                   options.registries_conf[0] + ":12");
  }
}

TEST_F(HostConfigTest, DockerMirrorsAreForTheHubOnly) {
  HostsOptions options = Options();
  options.daemon_json = {Write(
      "daemon.json",
      R"({"registry-mirrors":["http://m.example:5000/","https://n.example/p"],)"
      R"("insecure-registries":["i.example"]})")};
  EXPECT_EQ(Show(options, "alpine"),
            "http://m.example:5000 library/alpine mirror | "
            "https://n.example p/library/alpine mirror | "
            "https://registry-1.docker.io library/alpine");
  EXPECT_EQ(Show(options, "example.com/a"), "https://example.com a");
  EXPECT_EQ(Show(options, "i.example/a"), "https://i.example a insecure");
}

TEST_F(HostConfigTest, Certificates) {
  Write("certs.d/h.example:5000/ca.crt", "x");
  Write("certs.d/h.example:5000/client.cert", "x");
  Write("certs.d/h.example:5000/client.key", "x");
  const auto hosts = LoadHostConfig(Options());
  const auto endpoint =
      hosts->EndpointsFor(oci::Repository::Parse("h.example:5000/a"), true)[0];
  const std::string place = dir_.path() + "/certs.d/h.example:5000";
  EXPECT_EQ(endpoint.tls.ca_files, std::vector<std::string>{place + "/ca.crt"});
  EXPECT_EQ(endpoint.tls.client_cert_file, place + "/client.cert");
  EXPECT_EQ(endpoint.tls.client_key_file, place + "/client.key");
  EXPECT_FALSE(endpoint.tls.skip_verify);
  EXPECT_EQ(endpoint.rule, "default");
  EXPECT_EQ(endpoint.trust, "certificates in " + place);
}

TEST_F(HostConfigTest, LoopbackWithCertificatesIsVerified) {
  Write("certs.d/localhost:5000/ca.crt", "x");
  EXPECT_EQ(Show(Options(), "localhost:5000/a"), "https://localhost:5000 a");
}

TEST_F(HostConfigTest, HalfAPairIsAnError) {
  Write("certs.d/h.example/client.cert", "x");
  EXPECT_THROW(Show(Options(), "h.example/a"), Error);
  Write("certs.d/g.example/client.key", "x");
  EXPECT_THROW(Show(Options(), "g.example/a"), Error);
}

// What `config show` tells: the file and line of each decision.
TEST_F(HostConfigTest, RulesNameTheirPlaces) {
  HostsOptions options = Options();
  options.insecure_registries = {"flag.example"};
  options.registries_conf = {Write("r.conf", R"([[registry]]
prefix = "docker.io"
[[registry.mirror]]
location = "m.example"
insecure = true

[[registry]]
prefix = "moved.example"
location = "new.example"
)")};
  options.daemon_json = {Write("daemon.json", R"({
  "insecure-registries": ["m.example:1",
                          "file.example"]
})")};
  const std::string conf = options.registries_conf[0];
  const struct {
    const char* name;
    std::string rules;
  } cases[] = {
      {"alpine", "mirror in " + conf + ":3; insecure: mirror in " + conf +
                     ":3 | registry in " + conf + ":1; "},
      {"moved.example/a", "registry in " + conf + ":7; "},
      {"flag.example/a", "default; insecure: --insecure-registry"},
      {"file.example/a", "default; insecure: " + options.daemon_json[0] + ":3"},
      {"localhost:5000/a", "default; insecure: a loopback address"},
  };
  for (const auto& c : cases) {
    std::string rules;
    for (const Endpoint& endpoint : LoadHostConfig(options)->EndpointsFor(
             oci::Repository::Parse(c.name), false)) {
      if (!rules.empty()) rules += " | ";
      rules += endpoint.rule + "; " + endpoint.trust;
    }
    EXPECT_EQ(rules, c.rules) << c.name;
  }
}

TEST_F(HostConfigTest, HubMirrorsNameTheirLine) {
  HostsOptions options = Options();
  options.daemon_json = {Write("daemon.json",
                               "{\n\"registry-mirrors\": [\n"
                               "  \"https://n.example/p\"]}\n")};
  EXPECT_EQ(LoadHostConfig(options)
                ->EndpointsFor(oci::Repository::Parse("alpine"), true)[0]
                .rule,
            "registry-mirrors in " + options.daemon_json[0] + ":3");
}

TEST_F(HostConfigTest, BrokenFilesAreNamed) {
  HostsOptions options = Options();
  options.daemon_json = {Write("daemon.json", "{")};
  try {
    LoadHostConfig(options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), options.daemon_json[0] + ": not a JSON object");
  }
}

}  // namespace
}  // namespace imgbuild::registry
