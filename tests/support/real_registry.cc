#include "support/real_registry.h"

#include <fcntl.h>

#include <chrono>
#include <regex>
#include <stdexcept>
#include <thread>

#include "imgbuild/util/strings.h"

namespace imgbuild::testing {
namespace {

constexpr const char* kIssuer = "test-issuer";
constexpr const char* kService = "test-registry";
// bcrypt of s3cr3t-pass at the lowest cost.
constexpr const char* kHtpasswd =
    "ada:$2b$04$yk7ZBSgOtM42uMyiIwCvR.zVbiLep7omWItA0uXdHZ3BVLME5mROq\n";

std::string Run(std::vector<std::string> argv, const std::string& input = "") {
  ProcessOptions options;
  options.argv = std::move(argv);
  const CommandResult result = RunCommand(options, input);
  if (!result.status.ok()) {
    throw std::runtime_error(options.argv[0] + ": " + result.err);
  }
  return result.out;
}

std::string Base64Url(const std::string& bytes) {
  static const std::string alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  unsigned value = 0;
  int bits = 0;
  for (const char c : bytes) {
    value = value << 8 | static_cast<unsigned char>(c);
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      out += alphabet[value >> bits & 63];
    }
  }
  if (bits > 0) out += alphabet[value << (6 - bits) & 63];
  return out;
}

// The base64 between the lines of a PEM file: the DER of a certificate.
std::string PemBody(const std::string& path) {
  std::string out;
  for (const std::string& line :
       Split(fs::ReadFile(AT_FDCWD, path, 1u << 20), '\n')) {
    if (!line.starts_with("-----")) out += Trim(line);
  }
  return out;
}

// "repository:a/b:pull,push" as the claim of a token.
std::string AccessClaim(const std::string& scope) {
  const size_t first = scope.find(':');
  const size_t last = scope.rfind(':');
  std::string actions;
  for (const std::string& action : Split(scope.substr(last + 1), ',')) {
    actions += (actions.empty() ? "\"" : ",\"") + action + "\"";
  }
  return R"({"type":")" + scope.substr(0, first) + R"(","name":")" +
         scope.substr(first + 1, last - first - 1) + R"(","actions":[)" +
         actions + "]}";
}

}  // namespace

TestCertificates::TestCertificates(const std::string& directory)
    : ca(directory + "/ca.crt"),
      server_cert(directory + "/server.crt"),
      server_key(directory + "/server.key"),
      client_cert(directory + "/client.crt"),
      client_key(directory + "/client.key") {
  const std::string ca_key = directory + "/ca.key";
  Run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
       ca_key, "-out", ca, "-subj", "/CN=test authority", "-days", "2"});
  const auto issue = [&](const std::string& cert, const std::string& key,
                         const std::string& name, const std::string& names) {
    const std::string request = cert + ".csr";
    Run({"openssl", "req", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request,
         "-subj", "/CN=" + name});
    std::vector<std::string> argv = {
        "openssl", "x509", "-req", "-in", request, "-CA", ca,
        "-CAkey",  ca_key, "-out", cert,  "-days", "2",   "-CAcreateserial"};
    if (!names.empty()) {
      fs::WriteFileAtomic(AT_FDCWD, cert + ".ext", "subjectAltName=" + names);
      argv.insert(argv.end(), {"-extfile", cert + ".ext"});
    }
    Run(argv);
  };
  issue(server_cert, server_key, "registry", "IP:127.0.0.1,DNS:localhost");
  issue(client_cert, client_key, "client", "");
}

std::optional<std::string> RealRegistry::Missing() {
  for (const char* program : {"docker-registry", "openssl"}) {
    if (!FindProgram(program)) {
      return std::string(program) + " is not installed";
    }
  }
  return std::nullopt;
}

RealRegistry::RealRegistry(const RealRegistryOptions& options)
    : options_(options), dir_(fs::TempDir::InTmp("imgbuild-registry-")) {
  using Auth = RealRegistryOptions::Auth;
  if (options_.tls || options_.auth == Auth::kToken) {
    certificates_ = std::make_unique<TestCertificates>(dir_.path());
  }
  if (options_.auth == Auth::kToken) {
    token_server_ = std::make_unique<HttpServer>(
        [this](const TestRequest& request) { return Token(request); });
  }
  fs::WriteFileAtomic(dir_.fd(), "htpasswd", kHtpasswd);
  fs::WriteFileAtomic(dir_.fd(), "config.yml", Config());
  const UniqueFd log =
      fs::Open(dir_.fd(), "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  ProcessOptions process;
  process.argv = {"docker-registry", "serve", dir_.path() + "/config.yml"};
  process.stdout_fd = log.get();
  process.stderr_fd = log.get();
  process_ = Process::Start(process);
  WaitUntilItListens();
}

RealRegistry::~RealRegistry() = default;

std::string RealRegistry::Config() const {
  using Auth = RealRegistryOptions::Auth;
  std::string out =
      "version: 0.1\n"
      "log: {level: info}\n"
      "storage:\n"
      "  filesystem: {rootdirectory: " +
      dir_.path() + "/data}\n  delete: {enabled: true}\n";
  if (options_.read_only) {
    out += "  maintenance: {readonly: {enabled: true}}\n";
  }
  out += "http:\n  addr: 127.0.0.1:0\n";
  if (options_.tls) {
    out += "  tls:\n    certificate: " + certificates_->server_cert +
           "\n    key: " + certificates_->server_key + "\n";
    if (options_.client_certificates) {
      out += "    clientcas: [" + certificates_->ca + "]\n";
    }
  }
  if (options_.auth == Auth::kBasic) {
    out += "auth:\n  htpasswd: {realm: test, path: " + dir_.path() +
           "/htpasswd}\n";
  } else if (options_.auth == Auth::kToken) {
    out += "auth:\n  token:\n    realm: " + token_server_->Origin() +
           "/token\n    service: " + kService + "\n    issuer: " + kIssuer +
           "\n    rootcertbundle: " + certificates_->ca + "\n";
  }
  return out;
}

void RealRegistry::WaitUntilItListens() {
  static const std::regex kListening("listening on (127\\.0\\.0\\.1:[0-9]+)");
  for (int i = 0; i < 1000; ++i) {
    const std::string log = fs::ReadFile(dir_.fd(), "log", 16u << 20);
    std::smatch match;
    if (std::regex_search(log, match, kListening)) {
      host_ = match[1];
      return;
    }
    if (process_->TryWait()) {
      throw std::runtime_error("docker-registry did not start: " + log);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("docker-registry does not listen");
}

std::vector<std::string> RealRegistry::Log() const {
  // 127.0.0.1 - - [date] "HEAD /v2/a HTTP/1.1" 200 …
  static const std::regex kLine("\"([A-Z]+) ([^ ]+) HTTP/[0-9.]+\" ([0-9]+)");
  std::vector<std::string> out;
  for (const std::string& line :
       Split(fs::ReadFile(dir_.fd(), "log", 64u << 20), '\n')) {
    std::smatch match;
    if (!line.starts_with("time=") && std::regex_search(line, match, kLine)) {
      out.push_back(match[1].str() + " " + match[2].str() + " " +
                    match[3].str());
    }
  }
  return out;
}

std::vector<std::string> RealRegistry::ScopesAsked() const {
  std::vector<std::string> out;
  for (const TestRequest& request : token_server_->requests()) {
    out.push_back(request.Param("scope").value_or(""));
  }
  return out;
}

// A token server as small as it can be: everybody may pull, ada may push.
TestResponse RealRegistry::Token(const TestRequest& request) const {
  const std::string given = request.Header("Authorization");
  const bool is_ada = given == "Basic YWRhOnMzY3IzdC1wYXNz";
  if (!given.empty() && !is_ada) {
    return RegistryError(401, "UNAUTHORIZED", "incorrect user or password");
  }
  std::string access;
  for (const std::string& part : Split(request.query, '&')) {
    if (!part.starts_with("scope=")) continue;
    std::string scope = PercentDecode(part.substr(6));
    if (!is_ada) scope = scope.substr(0, scope.rfind(':')) + ":pull";
    access += (access.empty() ? "" : ",") + AccessClaim(scope);
  }
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  const std::string header = R"({"typ":"JWT","alg":"RS256","x5c":[")" +
                             PemBody(certificates_->ca) + "\"]}";
  const std::string claims =
      R"({"iss":")" + std::string(kIssuer) + R"(","sub":"","aud":")" +
      kService + R"(","exp":)" + std::to_string(now + 300) + R"(,"nbf":)" +
      std::to_string(now - 10) + R"(,"iat":)" + std::to_string(now) +
      R"(,"jti":"1","access":[)" + access + "]}";
  const std::string text = Base64Url(header) + "." + Base64Url(claims);
  const std::string signature = Run(
      {"openssl", "dgst", "-sha256", "-sign", dir_.path() + "/ca.key"}, text);
  return JsonResponse(200, R"({"token":")" + text + "." + Base64Url(signature) +
                               R"(","expires_in":300})");
}

}  // namespace imgbuild::testing
