// A real registry for a test: Debian's docker-registry on a loopback port of
// its own choice, in a directory that goes away, killed with its owner.
#ifndef IMGBUILD_TESTS_SUPPORT_REAL_REGISTRY_H_
#define IMGBUILD_TESTS_SUPPORT_REAL_REGISTRY_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/util/fs.h"
#include "imgbuild/util/process.h"

#include "support/http_server.h"

namespace imgbuild::testing {

// A certificate authority, a server certificate for 127.0.0.1 and localhost,
// and a client certificate, made by the openssl program in `directory`.
struct TestCertificates {
  explicit TestCertificates(const std::string& directory);
  std::string ca;
  std::string server_cert;
  std::string server_key;
  std::string client_cert;
  std::string client_key;
};

struct RealRegistryOptions {
  enum class Auth { kNone, kBasic, kToken };
  Auth auth = Auth::kNone;  // user ada, password s3cr3t-pass
  bool tls = false;
  bool client_certificates = false;  // with tls: asked for and required
  bool read_only = false;
};

class RealRegistry {
 public:
  // Why a test that needs one cannot run here; nullopt when it can.
  static std::optional<std::string> Missing();

  explicit RealRegistry(const RealRegistryOptions& options = {});
  RealRegistry(const RealRegistry&) = delete;
  RealRegistry& operator=(const RealRegistry&) = delete;
  ~RealRegistry();

  // "127.0.0.1:PORT"
  const std::string& host() const { return host_; }
  std::string Origin() const {
    return (options_.tls ? "https://" : "http://") + host_;
  }
  const TestCertificates& certificates() const { return *certificates_; }
  // "HEAD /v2/a/manifests/t 200", one per request answered so far.
  std::vector<std::string> Log() const;
  // What the token server was asked for (Auth::kToken).
  std::vector<std::string> ScopesAsked() const;

 private:
  std::string Config() const;
  TestResponse Token(const TestRequest& request) const;
  void WaitUntilItListens();

  const RealRegistryOptions options_;
  fs::TempDir dir_;
  std::unique_ptr<TestCertificates> certificates_;
  std::unique_ptr<HttpServer> token_server_;
  std::optional<Process> process_;
  std::string host_;
};

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_REAL_REGISTRY_H_
