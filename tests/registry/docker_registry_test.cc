// Against the real thing: Debian's docker-registry in every configuration
// that users run, and images that skopeo put there.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "imgbuild/registry/client.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "support/fake_clock.h"
#include "support/fault_proxy.h"
#include "support/http_server.h"
#include "support/real_registry.h"
#include "support/registry_doubles.h"

namespace imgbuild::registry {
namespace {

using namespace testing;  // NOLINT: spoilers read as words
using Auth = RealRegistryOptions::Auth;

constexpr const char* kManifestType =
    "application/vnd.oci.image.manifest.v1+json";

// Everything as the program has it, but for the user's own configuration.
class RealClient {
 public:
  explicit RealClient(const fs::TempDir& dir, ClientOptions options = {}) {
    HostsOptions hosts;
    hosts.certs_dirs = {dir.path() + "/certs.d"};
    hosts.registries_conf = {dir.path() + "/none"};
    hosts.daemon_json = {dir.path() + "/none"};
    hosts_ = LoadHostConfig(hosts);
    client_ =
        NewClient(*transport_, *hosts_, credentials, clock, std::move(options));
  }
  Client& operator*() { return *client_; }
  Client* operator->() { return client_.get(); }
  FixedCredentials credentials;
  FakeClock clock;

 private:
  std::unique_ptr<HttpTransport> transport_ = NewCurlTransport("imgbuild-test");
  std::unique_ptr<HostConfig> hosts_;
  std::unique_ptr<Client> client_;
};

class DockerRegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = RealRegistry::Missing()) GTEST_SKIP() << *reason;
  }
  oci::Document PushImage(Client& client, const std::string& name) {
    const auto reference = oci::Reference::Parse(name);
    const std::string config =
        R"({"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":)"
        R"("layers","diff_ids":[")" +
        oci::Digest::OfBytes(layer_).ToString() + R"("]}})";
    for (const std::string& bytes : {config, layer_}) {
      MemorySource source(bytes);
      client.PushBlob(reference.repository(), BlobDescriptor(bytes), source, {},
                      {}, cancel_);
    }
    const oci::Document document = oci::ParseDocument(
        R"({"schemaVersion":2,"mediaType":")" + std::string(kManifestType) +
            R"(","config":{"mediaType":"application/vnd.oci.image.config.v1)"
            R"(+json","digest":")" +
            oci::Digest::OfBytes(config).ToString() + R"(","size":)" +
            std::to_string(config.size()) +
            R"(},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1)"
            R"(.tar","digest":")" +
            oci::Digest::OfBytes(layer_).ToString() + R"(","size":)" +
            std::to_string(layer_.size()) + "}]}",
        kManifestType);
    client.PushDocument(reference, document, cancel_);
    return document;
  }
  void PullImage(Client& client, const std::string& name,
                 const oci::Document& pushed) {
    const auto reference = oci::Reference::Parse(name);
    const oci::Descriptor found = client.Resolve(reference, cancel_);
    EXPECT_EQ(found.digest, pushed.digest);
    EXPECT_EQ(found.size, pushed.bytes.size());
    const oci::Document document =
        client.FetchDocument(reference.WithDigest(found.digest), cancel_);
    EXPECT_EQ(document.bytes, pushed.bytes);
    for (const auto& layer : document.manifest->layers) {
      MemorySink sink;
      client.FetchBlob(reference.repository(), layer, sink, cancel_);
      EXPECT_EQ(sink.bytes(), layer_);
    }
  }
  static Credentials Ada() {
    Credentials credentials;
    credentials.username = "ada";
    credentials.password = "s3cr3t-pass";
    credentials.source = "the test";
    return credentials;
  }
  // certs.d/HOST with these files under these names.
  void Trust(const RealRegistry& registry,
             const std::vector<std::pair<std::string, std::string>>& files) {
    const std::string place = "certs.d/" + registry.host();
    fs::MakeDirs(dir_.fd(), place, 0755);
    for (const auto& [name, from] : files) {
      fs::WriteFileAtomic(dir_.fd(), place + "/" + name,
                          fs::ReadFile(AT_FDCWD, from, 1u << 20));
    }
  }
  const std::string layer_ = std::string(500000, 'l') + "end";
  CancelToken cancel_;
  fs::TempDir dir_ = fs::TempDir::InTmp();
};

TEST_F(DockerRegistryTest, PushAndPull) {
  const RealRegistry registry;
  RealClient client(dir_);
  const std::string name = registry.host() + "/team/app:v1";
  const oci::Document pushed = PushImage(*client, name);
  PullImage(*client, name, pushed);
  EXPECT_EQ(client->ListTags(
                oci::Repository::Parse(registry.host() + "/team/app"), cancel_),
            std::vector<std::string>{"v1"});
}

TEST_F(DockerRegistryTest, ResolveIsOneRequest) {
  const RealRegistry registry;
  RealClient client(dir_);
  const std::string name = registry.host() + "/team/app:v1";
  PushImage(*client, name);
  const size_t before = registry.Log().size();
  client->Resolve(oci::Reference::Parse(name), cancel_);
  const auto log = registry.Log();
  ASSERT_EQ(log.size(), before + 1);
  EXPECT_EQ(log.back(), "HEAD /v2/team/app/manifests/v1 200");
}

TEST_F(DockerRegistryTest, PushingAgainSendsNoBlob) {
  const RealRegistry registry;
  RealClient client(dir_);
  PushImage(*client, registry.host() + "/team/app:v1");
  const size_t before = registry.Log().size();
  PushImage(*client, registry.host() + "/team/app:v2");
  const auto log = registry.Log();
  ASSERT_EQ(log.size(), before + 3);
  EXPECT_EQ(log[before].substr(0, 5), "HEAD ");
  EXPECT_EQ(log[before + 1].substr(0, 5), "HEAD ");
  EXPECT_EQ(log[before + 2], "PUT /v2/team/app/manifests/v2 201");
}

TEST_F(DockerRegistryTest, Mount) {
  const RealRegistry registry;
  RealClient client(dir_);
  PushImage(*client, registry.host() + "/base:v1");
  MemorySource source(layer_);
  EXPECT_EQ(
      client->PushBlob(oci::Repository::Parse(registry.host() + "/app"),
                       BlobDescriptor(layer_), source,
                       {oci::Repository::Parse(registry.host() + "/base")}, {},
                       cancel_),
      PushOutcome(PushOutcome::kMounted, "base"));
  EXPECT_TRUE(source.offsets().empty());
}

TEST_F(DockerRegistryTest, Missing) {
  const RealRegistry registry;
  RealClient client(dir_);
  try {
    client->FetchDocument(oci::Reference::Parse(registry.host() + "/no:v1"),
                          cancel_);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "manifest for " + registry.host() +
                  "/no:v1 not found: GET http://" + registry.host() +
                  "/v2/no/manifests/v1: MANIFEST_UNKNOWN: manifest unknown");
  }
  try {
    client->ListTags(oci::Repository::Parse(registry.host() + "/no"), cancel_);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("NAME_UNKNOWN"), std::string::npos);
  }
}

TEST_F(DockerRegistryTest, Htpasswd) {
  RealRegistryOptions options;
  options.auth = Auth::kBasic;
  const RealRegistry registry(options);
  const std::string name = registry.host() + "/app:v1";
  RealClient nobody(dir_);
  EXPECT_THROW(PushImage(*nobody, name), Error);
  EXPECT_THROW(nobody->Resolve(oci::Reference::Parse(name), cancel_), Error);
  RealClient client(dir_);
  client.credentials.by_host[registry.host()] = Ada();
  PullImage(*client, name, PushImage(*client, name));
  nobody->CheckCredentials(registry.host(), Ada(), cancel_);
  Credentials wrong = Ada();
  wrong.password = "wrong";
  EXPECT_THROW(nobody->CheckCredentials(registry.host(), wrong, cancel_),
               Error);
}

TEST_F(DockerRegistryTest, Tokens) {
  RealRegistryOptions options;
  options.auth = Auth::kToken;
  const RealRegistry registry(options);
  const std::string name = registry.host() + "/app:v1";
  RealClient nobody(dir_);
  EXPECT_THROW(PushImage(*nobody, name), Error);
  RealClient client(dir_);
  client.credentials.by_host[registry.host()] = Ada();
  const oci::Document pushed = PushImage(*client, name);
  PullImage(*client, name, pushed);
  // Anonymous pull, one token for all of it.
  const size_t before = registry.ScopesAsked().size();
  RealClient other(dir_);
  PullImage(*other, name, pushed);
  const auto asked = registry.ScopesAsked();
  EXPECT_EQ(asked.size(), before + 1);
  EXPECT_EQ(asked.back(), "repository:app:pull");
  // A mount asks for both repositories at once.
  MemorySource source(layer_);
  EXPECT_EQ(
      client->PushBlob(oci::Repository::Parse(registry.host() + "/second"),
                       BlobDescriptor(layer_), source,
                       {oci::Repository::Parse(registry.host() + "/app")}, {},
                       cancel_),
      PushOutcome(PushOutcome::kMounted, "app"));
}

TEST_F(DockerRegistryTest, TlsWithAPrivateAuthority) {
  RealRegistryOptions options;
  options.tls = true;
  const RealRegistry registry(options);
  const std::string name = registry.host() + "/app:v1";
  Trust(registry, {{"ca.crt", registry.certificates().ca}});
  RealClient client(dir_);
  PullImage(*client, name, PushImage(*client, name));

  // Another authority of the same name is not trusted.
  const fs::TempDir other_dir = fs::TempDir::InTmp();
  const TestCertificates other(other_dir.path());
  Trust(registry, {{"ca.crt", other.ca}});
  RealClient distrustful(dir_);
  try {
    distrustful->Resolve(oci::Reference::Parse(name), cancel_);
    ADD_FAILURE();
  } catch (const TransportError& error) {
    EXPECT_EQ(error.kind(), TransportError::Kind::kTls);
    EXPECT_NE(error.message().find("certificate"), std::string::npos);
    EXPECT_NE(error.hint().find("certs.d"), std::string::npos);
  }
  EXPECT_TRUE(distrustful.clock.sleeps().empty());
}

TEST_F(DockerRegistryTest, TlsOnLoopbackNeedsNoAuthority) {
  RealRegistryOptions options;
  options.tls = true;
  const RealRegistry registry(options);
  RealClient client(dir_);
  const std::string name = registry.host() + "/app:v1";
  PullImage(*client, name, PushImage(*client, name));
}

TEST_F(DockerRegistryTest, TlsWithClientCertificates) {
  RealRegistryOptions options;
  options.tls = true;
  options.client_certificates = true;
  const RealRegistry registry(options);
  const std::string name = registry.host() + "/app:v1";
  const TestCertificates& certificates = registry.certificates();
  Trust(registry, {{"ca.crt", certificates.ca}});
  RealClient without(dir_);
  EXPECT_THROW(without->Resolve(oci::Reference::Parse(name), cancel_), Error);
  Trust(registry, {{"client.cert", certificates.client_cert},
                   {"client.key", certificates.client_key}});
  RealClient client(dir_);
  PullImage(*client, name, PushImage(*client, name));
}

TEST_F(DockerRegistryTest, ReadOnly) {
  RealRegistryOptions options;
  options.read_only = true;
  const RealRegistry registry(options);
  RealClient client(dir_);
  try {
    PushImage(*client, registry.host() + "/app:v1");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "POST http://" + registry.host() +
                                   "/v2/app/blobs/uploads/: Method not "
                                   "allowed");
  }
}

TEST_F(DockerRegistryTest, AnUploadContinuesWhereItBroke) {
  const RealRegistry registry;
  FaultProxy proxy(ForwardTo(registry.Origin()));
  HttpServer server(proxy.Handler());
  ClientOptions options;
  options.chunk_bytes = 1000000;
  RealClient client(dir_, options);
  proxy.Add({"PUT", "/uploads/", 0, 1, Status(413), true});
  proxy.Add({"PATCH", "", 2, 1, Reset(), true});   // did not arrive
  proxy.Add({"PATCH", "", 2, 1, Reset(), false});  // arrived, nobody heard
  std::string big(8000000, '\0');
  for (size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * i);
  MemorySource source(big);
  const auto repository = oci::Repository::Parse(server.HostPort() + "/app");
  EXPECT_EQ(client->PushBlob(repository, BlobDescriptor(big), source, {}, {},
                             cancel_),
            PushOutcome::kUploaded);
  MemorySink sink;
  client->FetchBlob(repository, BlobDescriptor(big), sink, cancel_);
  EXPECT_EQ(sink.bytes(), big);
  EXPECT_EQ(proxy.spoiled(), 3);
  for (const uint64_t offset : source.offsets()) {
    EXPECT_EQ(offset % 1000000, 0U);
  }
}

// A source whose first reading breaks in the middle, as a connection would.
class BreakingSource : public MemorySource {
 public:
  using MemorySource::MemorySource;
  std::unique_ptr<Reader> ReadFrom(uint64_t offset) override {
    auto whole = MemorySource::ReadFrom(offset);
    if (broken_) return whole;
    broken_ = true;
    return std::make_unique<Breaking>(std::move(whole));
  }

 private:
  class Breaking : public Reader {
   public:
    explicit Breaking(std::unique_ptr<Reader> from) : from_(std::move(from)) {}
    size_t Read(std::span<std::byte> buffer) override {
      if (sent_ > 2000000) {
        throw TransportError(TransportError::Kind::kTransfer, "cut");
      }
      const size_t n =
          from_->Read(buffer.first(std::min<size_t>(buffer.size(), 100000)));
      sent_ += n;
      return n;
    }

   private:
    std::unique_ptr<Reader> from_;
    size_t sent_ = 0;
  };
  bool broken_ = false;
};

// This registry forgets a session whose request died half-way; the upload
// still succeeds, from the beginning.
TEST_F(DockerRegistryTest, AnUploadThatDiedHalfWay) {
  const RealRegistry registry;
  RealClient client(dir_);
  BreakingSource source(std::string(8000000, 'b'));
  const std::string big(8000000, 'b');
  const auto repository = oci::Repository::Parse(registry.host() + "/app");
  EXPECT_EQ(client->PushBlob(repository, BlobDescriptor(big), source, {}, {},
                             cancel_),
            PushOutcome::kUploaded);
  MemorySink sink;
  client->FetchBlob(repository, BlobDescriptor(big), sink, cancel_);
  EXPECT_EQ(sink.bytes(), big);
}

TEST_F(DockerRegistryTest, FaultsInFrontOfTheRealOne) {
  const RealRegistry registry;
  FaultProxy proxy(ForwardTo(registry.Origin()));
  HttpServer server(proxy.Handler());
  RealClient client(dir_);
  proxy.Add({"PUT", "/uploads/", 0, 1, Status(413), true});
  proxy.Add({"PATCH", "", 0, 1, Status(503), true});
  proxy.Add({"PUT", "/manifests/", 0, 2, Status(500), true});
  proxy.Add({"GET", "/blobs/sha256", 0, 3, CutAfter(200000)});
  proxy.Add({"GET", "/manifests/", 0, 1, Reset()});
  const std::string name = server.HostPort() + "/app:v1";
  PullImage(*client, name, PushImage(*client, name));
  EXPECT_GE(proxy.spoiled(), 7);
}

// Images that another program put there, in its formats, and the way back.
class SkopeoTest : public DockerRegistryTest {
 protected:
  void SetUp() override {
    DockerRegistryTest::SetUp();
    if (!FindProgram("skopeo")) GTEST_SKIP() << "skopeo is not installed";
  }
  std::string Skopeo(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"skopeo", "--insecure-policy"});
    ProcessOptions options;
    options.argv = arguments;
    const CommandResult result = RunCommand(options);
    EXPECT_TRUE(result.status.ok()) << result.err;
    return result.out;
  }
};

TEST_F(SkopeoTest, ItsFormatsAreRead) {
  RealClient client(dir_);
  const std::string layout = "oci:" + dir_.path() + "/layout:x";
  {
    const RealRegistry source;
    const std::string name = source.host() + "/app:v1";
    PushImage(*client, name);
    Skopeo({"copy", "--src-tls-verify=false", "docker://" + name, layout});
  }
  const struct {
    const char* format;
    const char* compression;
    std::string_view type;
    const char* layer_suffix;
  } cases[] = {
      {"v2s2", "gzip", oci::media_type::kDockerManifest, ".tar.gzip"},
      {"oci", "gzip", oci::media_type::kOciManifest, ".tar+gzip"},
      {"oci", "zstd", oci::media_type::kOciManifest, ".tar+zstd"},
  };
  for (const auto& c : cases) {
    // A registry of its own: skopeo remembers what it compressed for one.
    const RealRegistry registry;
    const auto reference = oci::Reference::Parse(registry.host() + "/app:t");
    Skopeo({"copy", "--dest-tls-verify=false", "--format", c.format,
            "--dest-compress-format", c.compression, layout,
            "docker://" + reference.ToString()});
    const oci::Document document = client->FetchDocument(reference, cancel_);
    EXPECT_EQ(document.media_type, c.type);
    ASSERT_TRUE(document.manifest);
    for (const auto& layer : document.manifest->layers) {
      EXPECT_TRUE(layer.media_type.ends_with(c.layer_suffix))
          << layer.media_type;
      MemorySink sink;
      client->FetchBlob(reference.repository(), layer, sink, cancel_);
      EXPECT_EQ(sink.bytes().size(), layer.size);
    }
  }
}

TEST_F(SkopeoTest, OursIsRead) {
  const RealRegistry registry;
  RealClient client(dir_);
  const std::string name = registry.host() + "/app:v1";
  const oci::Document pushed = PushImage(*client, name);
  EXPECT_EQ(
      Skopeo({"inspect", "--raw", "--tls-verify=false", "docker://" + name}),
      pushed.bytes);
  EXPECT_NE(Skopeo({"inspect", "--tls-verify=false",
                    "docker://" + registry.host() + "/app@" +
                        pushed.digest.ToString()})
                .find(pushed.digest.ToString()),
            std::string::npos);
}

}  // namespace
}  // namespace imgbuild::registry
