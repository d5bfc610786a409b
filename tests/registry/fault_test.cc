// Everything that may go wrong on the way of one image, over real sockets and
// libcurl, each with what must come of it. Nothing may hang (the clock is
// fake, silence is cut after 1.5 s), nothing may leave wrong bytes, no secret
// may show.
#include <gtest/gtest.h>

#include "imgbuild/registry/client.h"
#include "imgbuild/util/error.h"

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/fault_proxy.h"
#include "support/http_server.h"
#include "support/registry_doubles.h"

namespace imgbuild::registry {
namespace {

using namespace testing;  // NOLINT: spoilers read as words

constexpr size_t kLayerSize = 3u << 20;
constexpr const char* kSecret = "s3cr3t-pass";

std::string MakeLayer() {
  std::string out(kLayerSize, '\0');
  uint32_t state = 1;
  for (char& c : out) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return out;
}

struct FaultCase {
  const char* name;
  std::vector<Fault> faults;
  // "" is success; else a part of the error's message.
  const char* error;
  // Requests that reached the server, when it matters; 0: any number.
  size_t requests = 0;
  FakeRegistry::Auth auth = FakeRegistry::Auth::kNone;
  bool ranges = true;
};

std::ostream& operator<<(std::ostream& out, const FaultCase& c) {
  return out << c.name;
}

class FaultTest : public ::testing::TestWithParam<FaultCase> {};

// Resolve, manifest, layer.
struct Outcome {
  std::string error;
  std::string rendered;
  std::string layer;
  std::string manifest;
};

Outcome Pull(Client& client, const std::string& host, const std::string& layer,
             const CancelToken& cancel) {
  Outcome outcome;
  try {
    const auto name = oci::Reference::Parse(host + "/a/b:t");
    const oci::Descriptor found = client.Resolve(name, cancel);
    const oci::Document document =
        client.FetchDocument(name.WithDigest(found.digest), cancel);
    outcome.manifest = document.bytes;
    MemorySink sink;
    client.FetchBlob(name.repository(), BlobDescriptor(layer), sink, cancel);
    outcome.layer = sink.bytes();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRegistry);
    outcome.error = error.message();
    outcome.rendered = error.Render();
  }
  return outcome;
}

TEST_P(FaultTest, HasItsOutcome) {
  const FaultCase& c = GetParam();
  static const std::string layer = MakeLayer();
  FakeRegistry registry;
  registry.auth = c.auth;
  registry.ranges = c.ranges;
  registry.AddImage("a/b", "t", layer);
  FaultProxy proxy(registry.Handler());
  HttpServer elsewhere([&](const TestRequest& request) {
    // Knows the blob, and would like to know more.
    TestResponse response;
    if (request.path.starts_with("/challenge")) {
      response.status = 401;
      response.headers = {{"WWW-Authenticate", "Basic realm=\"phish\""}};
    } else {
      response.body = layer;
    }
    return response;
  });
  for (Fault fault : c.faults) {
    // "ELSEWHERE" stands for the other host's origin, known only now.
    if (fault.spoil) {
      fault.spoil = [spoil = fault.spoil, &elsewhere](
                        const TestRequest& request, TestResponse* response) {
        spoil(request, response);
        for (auto& [name, value] : response->headers) {
          if (const size_t at = value.find("ELSEWHERE");
              at != std::string::npos) {
            value.replace(
                at, 9, "http://localhost:" + std::to_string(elsewhere.port()));
          }
        }
      };
    }
    proxy.Add(fault);
  }
  HttpServer server(proxy.Handler());

  const auto transport = NewCurlTransport("imgbuild-test");
  FakeClock clock;
  ClientOptions options;
  options.idle_timeout = std::chrono::milliseconds(1500);
  ClientUnderTest under_test(*transport, clock, options);
  under_test.hosts.scheme = "http";
  Credentials credentials;
  credentials.username = registry.username;
  credentials.password = registry.password;
  credentials.source = "the test";
  if (c.auth != FakeRegistry::Auth::kNone) {
    under_test.credentials.by_host[server.HostPort()] = credentials;
  }
  const Outcome outcome =
      Pull(*under_test.client, server.HostPort(), layer, under_test.cancel);
  if (*c.error == '\0') {
    EXPECT_EQ(outcome.error, "");
    EXPECT_TRUE(outcome.layer == layer) << "wrong bytes were accepted";
    EXPECT_EQ(outcome.manifest, registry.Manifest("a/b", "t"));
  } else {
    EXPECT_NE(outcome.error.find(c.error), std::string::npos)
        << "got: " << outcome.error;
    EXPECT_TRUE(outcome.layer.empty());
  }
  if (c.requests != 0) {
    EXPECT_EQ(server.requests().size(), c.requests)
        << ::testing::PrintToString(server.Log());
  }
  EXPECT_GT(proxy.spoiled(), 0) << "the fault never happened";
  // Nobody else ever sees who we are.
  for (const TestRequest& request : elsewhere.requests()) {
    EXPECT_EQ(request.Header("Authorization"), "");
  }
  std::string said = outcome.rendered;
  for (const std::string& warning : under_test.warnings) said += warning;
  EXPECT_EQ(said.find(kSecret), std::string::npos);
  EXPECT_EQ(said.find("Bearer token-"), std::string::npos);
  EXPECT_EQ(said.find("presigned"), std::string::npos);
}

constexpr const char* kManifests = "/manifests/";
constexpr const char* kBlobs = "/blobs/";
constexpr auto kToken = FakeRegistry::Auth::kToken;
constexpr auto kBasic = FakeRegistry::Auth::kBasic;

const Spoil kThrottle = Status(429, {{"Retry-After", "3"}});

INSTANTIATE_TEST_SUITE_P(
    Head, FaultTest,
    ::testing::Values(
        FaultCase{"HeadReset", {{"HEAD", kManifests, 0, 1, Reset()}}, "", 4},
        FaultCase{"HeadGarbage",
                  {{"HEAD", kManifests, 0, 1, Garbage()}},
                  "HTTP/0.9",
                  1},
        FaultCase{"HeadAlways500",
                  {{"HEAD", kManifests, 0, -1, Status(500)}},
                  "",  // GET answers
                  8},
        FaultCase{"HeadThrottledOnce",
                  {{"HEAD", kManifests, 0, 1, kThrottle}},
                  "",
                  4},
        FaultCase{
            "HeadForbidden", {{"HEAD", kManifests, 0, -1, Status(403)}}, "", 4},
        FaultCase{
            "HeadWithoutDigest",
            {{"HEAD", kManifests, 0, -1, DropHeader("Docker-Content-Digest")}},
            "",
            4},
        FaultCase{"HeadWithMalformedDigest",
                  {{"HEAD", kManifests, 0, -1,
                    SetHeader("Docker-Content-Digest", "sha256:../../x")}},
                  "malformed Docker-Content-Digest",
                  1},
        FaultCase{"HeadWithAnotherDigest",
                  {{"HEAD", kManifests, 0, -1,
                    SetHeader("Docker-Content-Digest",
                              "sha256:" + std::string(64, 'a'))}},
                  "not found",
                  0},
        FaultCase{
            "HeadThrottledForTooLong",
            {{"", kManifests, 0, -1, Status(429, {{"Retry-After", "86400"}})}},
            "status 429",
            2},
        FaultCase{"HeadStalls",
                  {{"", kManifests, 0, 1,
                    [](const TestRequest&, TestResponse* response) {
                      response->status = 100;
                      response->stall_after = 0;
                    }}},
                  "",
                  0}),
    [](const auto& param) { return std::string(param.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Manifest, FaultTest,
    ::testing::Values(
        FaultCase{"ManifestReset", {{"GET", kManifests, 0, 1, Reset()}}, "", 4},
        FaultCase{"Manifest500Twice",
                  {{"GET", kManifests, 0, 2, Status(500)}},
                  "",
                  5},
        FaultCase{"Manifest503Always",
                  {{"GET", kManifests, 0, -1,
                    Status(503, {}, R"({"errors":[{"code":"UNAVAILABLE"}]})")}},
                  "UNAVAILABLE",
                  6},
        FaultCase{"ManifestThrottledOnce",
                  {{"GET", kManifests, 0, 1, kThrottle}},
                  "",
                  4},
        FaultCase{
            "ManifestCut", {{"GET", kManifests, 0, 1, CutAfter(50)}}, "", 4},
        FaultCase{"ManifestStalls",
                  {{"GET", kManifests, 0, 1, StallAfter(50)}},
                  "",
                  4},
        FaultCase{"ManifestByteFlipped",
                  {{"GET", kManifests, 0, -1, FlipByte(40)}},
                  "the manifest's digest is",
                  2},
        FaultCase{"ManifestTruncated",
                  {{"GET", kManifests, 0, -1, Truncate(100)}},
                  "the manifest's digest is",
                  2},
        FaultCase{"ManifestWithTrailingBytes",
                  {{"GET", kManifests, 0, -1, Append(" ")}},
                  "the manifest's digest is",
                  2},
        FaultCase{"ManifestEmpty",
                  {{"GET", kManifests, 0, -1, ReplaceBody("")}},
                  "the manifest's digest is",
                  2},
        FaultCase{"ManifestHtml",
                  {{"GET", kManifests, 0, -1,
                    ReplaceBody("<html>captive portal</html>")}},
                  "the manifest's digest is",
                  2},
        FaultCase{"ManifestHeaderDigestWrong",
                  {{"GET", kManifests, 0, -1,
                    SetHeader("Docker-Content-Digest",
                              "sha256:" + std::string(64, 'b'))}},
                  "expected sha256:bbbb",
                  2},
        FaultCase{"ManifestUnknownType",
                  {{"GET", kManifests, 0, -1,
                    SetHeader("Content-Type", "application/x-odd")}},
                  "application/x-odd",
                  2},
        FaultCase{"ManifestSchema1Type",
                  {{"GET", kManifests, 0, -1,
                    SetHeader("Content-Type",
                              "application/vnd.docker.distribution.manifest."
                              "v1+prettyjws")}},
                  "schema 1",
                  2},
        FaultCase{"ManifestTooLarge",
                  {{"GET", kManifests, 0, -1,
                    ReplaceBody(std::string(5u << 20, ' '))}},
                  "larger than 4 MiB",
                  2},
        FaultCase{"ManifestEndless",
                  {{"GET", kManifests, 0, -1,
                    ReplaceBody(std::string(9u << 20, ' '))}},
                  "larger than 8 MiB",
                  2},
        FaultCase{
            "ManifestGone",
            {{"GET", kManifests, 0, -1,
              Status(404, {}, R"({"errors":[{"code":"MANIFEST_UNKNOWN"}]})")}},
            "MANIFEST_UNKNOWN",
            3},
        FaultCase{"ManifestDenied",
                  {{"GET", kManifests, 0, -1,
                    Status(403, {}, R"({"errors":[{"code":"DENIED"}]})")}},
                  "DENIED",
                  2},
        FaultCase{
            "ManifestRedirectLoop",
            {{"GET", kManifests, 0, -1, Status(302, {{"Location", "?again"}})}},
            "too many redirects",
            12},
        FaultCase{"ManifestRedirectNowhere",
                  {{"GET", kManifests, 0, -1,
                    Status(302, {{"Location", "gopher://x"}})}},
                  "redirect to a malformed URL",
                  2}),
    [](const auto& param) { return std::string(param.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Blob, FaultTest,
    ::testing::Values(
        FaultCase{"BlobReset", {{"GET", kBlobs, 0, 1, Reset()}}, "", 4},
        FaultCase{"BlobCutOnceAndResumed",
                  {{"GET", kBlobs, 0, 1, CutAfter(1u << 20)}},
                  "",
                  4},
        FaultCase{"BlobCutEveryQuarter",
                  {{"GET", kBlobs, 0, 6, CutAfter(kLayerSize / 8)}},
                  "",
                  9},
        FaultCase{"BlobCutTwiceWithProgress",
                  {{"GET", kBlobs, 0, 2, CutAfter((1u << 20) + 1)}},
                  "",
                  5},
        FaultCase{"BlobAlwaysCutAtTheSameByte",
                  {{"GET", kBlobs, 0, -1, CutAfter(0)}},
                  "blobs/sha256",
                  7},
        FaultCase{"BlobCutAndNoRanges",
                  {{"GET", kBlobs, 0, 1, CutAfter(1u << 20)}},
                  "",
                  4,
                  FakeRegistry::Auth::kNone,
                  false},
        FaultCase{"BlobCutAfterEachMebibyte",
                  {{"GET", kBlobs, 0, -1, CutAfter(1u << 20)}},
                  ""},
        FaultCase{"BlobAlwaysCutAndNoRanges",
                  {{"GET", kBlobs, 0, -1, CutAfter(1u << 20)}},
                  "blobs/sha256",
                  7,
                  FakeRegistry::Auth::kNone,
                  false},
        FaultCase{
            "BlobStalls", {{"GET", kBlobs, 0, 1, StallAfter(5000)}}, "", 4},
        FaultCase{"BlobClosedEarlyWithoutLength",
                  {{"GET", kBlobs, 0, 1,
                    Both(Truncate(1000),
                         [](const TestRequest&, TestResponse* response) {
                           response->omit_length = true;
                         })}},
                  "",
                  4},
        FaultCase{"BlobChunked",
                  {{"GET", kBlobs, 0, 1,
                    [](const TestRequest&, TestResponse* response) {
                      response->chunked = true;
                    }}},
                  "",
                  3},
        FaultCase{"BlobLengthTooShort",
                  {{"GET", kBlobs, 0, -1, Truncate(1000)}},
                  "the registry has 1000 bytes, the manifest says 3145728",
                  3},
        FaultCase{"BlobLengthTooLong",
                  {{"GET", kBlobs, 0, -1, Append("x")}},
                  "the registry has 3145729 bytes",
                  3},
        FaultCase{"BlobTrailingBytesWithoutLength",
                  {{"GET", kBlobs, 0, -1,
                    Both(Append("x"),
                         [](const TestRequest&, TestResponse* response) {
                           response->omit_length = true;
                         })}},
                  "more than the 3145728 bytes",
                  3},
        FaultCase{"BlobByteFlipped",
                  {{"GET", kBlobs, 0, -1, FlipByte(kLayerSize - 1)}},
                  "do not have this digest",
                  3},
        FaultCase{"BlobResumedWithWrongBytes",
                  {{"GET", kBlobs, 0, 1, CutAfter(1u << 20)},
                   {"GET", kBlobs, 0, 1, FlipByte(5)}},
                  "",
                  5},
        FaultCase{"BlobWrongContentRangeStart",
                  {{"GET", kBlobs, 0, 1, CutAfter(1u << 20)},
                   {"GET", kBlobs, 0, 1,
                    SetHeader("Content-Range", "bytes 5-3145727/3145728")}},
                  "",
                  5},
        FaultCase{
            "BlobWrongContentRangeTotal",
            {{"GET", kBlobs, 0, 1, CutAfter(1u << 20)},
             {"GET", kBlobs, 0, 1,
              SetHeader("Content-Range", "bytes 1048576-3145727/9999999")}},
            "",
            5},
        FaultCase{"Blob206WithoutContentRange",
                  {{"GET", kBlobs, 0, 1, CutAfter(1u << 20)},
                   {"GET", kBlobs, 0, 1, DropHeader("Content-Range")}},
                  "",
                  5},
        FaultCase{"Blob206Unasked",
                  {{"GET", kBlobs, 0, -1, Status(206, {}, "partial")}},
                  "a wrong Content-Range",
                  3},
        FaultCase{"Blob416OnResume",
                  {{"GET", kBlobs, 0, 1, CutAfter(1u << 20)},
                   {"GET", kBlobs, 0, 1, Status(416)}},
                  "",
                  5},
        FaultCase{"Blob500Thrice", {{"GET", kBlobs, 0, 3, Status(500)}}, "", 6},
        FaultCase{"Blob500Always",
                  {{"GET", kBlobs, 0, -1, Status(500)}},
                  "status 500",
                  7},
        FaultCase{"BlobThrottled", {{"GET", kBlobs, 0, 2, kThrottle}}, "", 5},
        FaultCase{
            "BlobGone",
            {{"GET", kBlobs, 0, -1,
              Status(404, {}, R"({"errors":[{"code":"BLOB_UNKNOWN"}]})")}},
            "BLOB_UNKNOWN",
            3},
        FaultCase{
            "BlobEncoded",
            {{"GET", kBlobs, 0, -1, SetHeader("Content-Encoding", "gzip")}},
            "Content-Encoding \"gzip\"",
            3},
        FaultCase{"BlobHtmlInsteadOfBytes",
                  {{"GET", kBlobs, 0, -1,
                    Both(ReplaceBody("<html>login</html>"),
                         SetHeader("Content-Type", "text/html"))}},
                  "the registry has 18 bytes",
                  3}),
    [](const auto& param) { return std::string(param.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Identity, FaultTest,
    ::testing::Values(
        FaultCase{"BlobRedirectedElsewhere",
                  {{"GET", kBlobs, 0, -1,
                    Status(307, {{"Location", "ELSEWHERE/x?sig=presigned"}})}},
                  "",
                  0,
                  kBasic},
        FaultCase{"BlobRedirectedElsewhereWithToken",
                  {{"GET", kBlobs, 0, -1,
                    Status(307, {{"Location", "ELSEWHERE/x?sig=presigned"}})}},
                  "",
                  0,
                  kToken},
        FaultCase{"RedirectTargetPhishes",
                  {{"GET", kBlobs, 0, -1,
                    Status(307, {{"Location", "ELSEWHERE/challenge"}})}},
                  "status 401",
                  0,
                  kBasic},
        FaultCase{"RealmElsewhere",
                  {{"HEAD", kManifests, 0, -1,
                    Status(401, {{"WWW-Authenticate",
                                  "Bearer realm=\"ELSEWHERE/token\""}})},
                   {"GET", kManifests, 0, -1,
                    Status(401, {{"WWW-Authenticate",
                                  "Bearer realm=\"ELSEWHERE/token\""}})}},
                  "token server",
                  0,
                  kToken},
        FaultCase{"ChallengeNamesADeadTokenServerOnce",
                  {{"GET", kBlobs, 0, 1,
                    Status(401, {{"WWW-Authenticate",
                                  "Bearer realm=\"http://127.0.0.1:1/\""}})}},
                  "",
                  0,
                  kToken},
        FaultCase{"TokenServer500Once",
                  {{"GET", "/token", 0, 1, Status(500)}},
                  "",
                  0,
                  kToken},
        FaultCase{"TokenServerReset",
                  {{"GET", "/token", 0, 1, Reset()}},
                  "",
                  0,
                  kToken},
        FaultCase{"TokenServerThrottles",
                  {{"GET", "/token", 0, 1, kThrottle}},
                  "",
                  0,
                  kToken},
        FaultCase{"TokenServerSaysNo",
                  {{"GET", "/token", 0, -1,
                    Status(401, {}, R"({"details":"who are you"})")}},
                  "who are you",
                  0,
                  kToken},
        FaultCase{"TokenServerTalksNonsense",
                  {{"GET", "/token", 0, -1, Status(200, {}, "<html>")}},
                  "not a JSON object",
                  0,
                  kToken},
        FaultCase{
            "TokenEmpty",
            {{"GET", "/token", 0, -1, Status(200, {}, R"({"token":""})")}},
            "holds no token",
            0,
            kToken},
        FaultCase{"TokenWithLineBreak",
                  {{"GET", "/token", 0, -1,
                    Status(200, {}, R"({"token":"a\r\nX-Evil: 1"})")}},
                  "the token is malformed",
                  0,
                  kToken},
        FaultCase{"ChallengeWithoutRealm",
                  {{"", "/v2/", 0, -1,
                    Status(401, {{"WWW-Authenticate", "Bearer"}},
                           R"({"errors":[{"code":"UNAUTHORIZED"}]})")}},
                  "UNAUTHORIZED",
                  0,
                  kToken},
        FaultCase{"ChallengeWithBrokenRealm",
                  {{"", "/v2/", 0, -1,
                    Status(401, {{"WWW-Authenticate",
                                  "Bearer realm=\"not a url\""}})}},
                  "malformed realm",
                  0,
                  kToken}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace imgbuild::registry
