#include "registry/auth.h"

#include <gtest/gtest.h>

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::registry {
namespace {

using testing::ClientUnderTest;
using testing::FakeClock;
using testing::FakeRegistry;
using testing::ScriptedTransport;
using testing::TestRequest;

TEST(Scopes, MergeActionsPerResource) {
  EXPECT_EQ(
      MergeScopes({"repository:a:push", "repository:a:pull,push",
                   "repository:b:pull", "registry:catalog:*"}),
      (std::vector<std::string>{"registry:catalog:*", "repository:a:pull,push",
                                "repository:b:pull"}));
  EXPECT_EQ(MergeScopes({"repository:h:5000/a:pull"}),
            std::vector<std::string>{"repository:h:5000/a:pull"});
  EXPECT_TRUE(MergeScopes({}).empty());
}

TEST(TokenAnswers, Table) {
  EXPECT_EQ(ParseTokenAnswer(R"({"token":"t"})", "s").token, "t");
  EXPECT_EQ(ParseTokenAnswer(R"({"token":"","access_token":"a"})", "s").token,
            "a");
  const struct {
    const char* body;
    int64_t expires_in;
  } lifetimes[] = {
      {R"({"token":"t"})", 60},
      {R"({"token":"t","expires_in":5})", 60},
      {R"({"token":"t","expires_in":-1})", 60},
      {R"({"token":"t","expires_in":300})", 300},
      {R"({"token":"t","expires_in":1e30})", 86400},
      {R"({"token":"t","expires_in":"300"})", 60},
  };
  for (const auto& c : lifetimes) {
    EXPECT_EQ(ParseTokenAnswer(c.body, "s").expires_in, c.expires_in) << c.body;
  }
  for (const char* body : {"", "[]", "{}", R"({"token":""})", R"({"token":5})",
                           R"({"token":"a\r\nX-Evil: 1"})", "<html>"}) {
    EXPECT_THROW(ParseTokenAnswer(body, "s"), Error) << body;
  }
  EXPECT_THROW(ParseTokenAnswer(std::string(2u << 20, ' '), "s"), Error);
}

TEST(Realms, Trust) {
  const struct {
    const char* realm;
    const char* registry;
    bool trusted;
  } cases[] = {
      {"https://r.example/token", "https://r.example/v2/", true},
      {"https://r.example:8443/token", "https://r.example/v2/", true},
      {"https://auth.docker.io/token", "https://registry-1.docker.io/v2/",
       true},
      {"http://auth.docker.io/token", "https://registry-1.docker.io/v2/",
       false},
      {"https://gitlab.com/jwt/auth", "https://registry.gitlab.com/v2/", true},
      {"https://evil.example/token", "https://r.example/v2/", false},
      {"https://r.example.evil/token", "https://r.example/v2/", false},
      {"https://auth.docker.io/token", "https://r.example/v2/", false},
      {"https://127.0.0.1/token", "https://r.example/v2/", false},
      {"https://169.254.169.254/token", "https://r.example/v2/", false},
      {"https://login.corp.example/t", "https://hub.corp.example/v2/", true},
      {"https://login.corp.example/t", "https://hub.corp.example:5000/v2/",
       true},
      {"https://login.corp.example:9/t", "https://hub.corp.example/v2/", true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(IsTrustedRealm(*Url::Parse(c.realm), *Url::Parse(c.registry),
                             {"hub.corp.example=login.corp.example"}),
              c.trusted)
        << c.realm << " for " << c.registry;
  }
}

TEST(Realms, FromTheEnvironment) {
  const auto env = [](const std::string&) -> std::optional<std::string> {
    return "a=b, c:5=d ,";
  };
  EXPECT_EQ(TrustedRealms(env), (std::vector<std::string>{"a=b", "c:5=d"}));
}

constexpr const char* kOrigin = "https://r.example";

class AuthFlowTest : public ::testing::Test {
 protected:
  void SetUp() override {
    registry_.AddImage("a/b", "t", "layer bytes");
    transport_.Serve(kOrigin, registry_.Handler());
  }
  Credentials Known() {
    Credentials credentials;
    credentials.username = registry_.username;
    credentials.password = registry_.password;
    credentials.source = "the test";
    return credentials;
  }
  oci::Document Fetch() {
    return under_test_.client->FetchDocument(
        oci::Reference::Parse("r.example/a/b:t"), under_test_.cancel);
  }
  // Method, path and kind of Authorization of each request.
  std::string Story() const {
    std::string out;
    for (const TestRequest& request : transport_.requests()) {
      const std::string given = request.Header("Authorization");
      out += request.method + " " + request.path + " " +
             (given.empty() ? "-" : given.substr(0, given.find(' '))) + "\n";
    }
    return out;
  }
  FakeRegistry registry_;
  ScriptedTransport transport_;
  FakeClock clock_;
  ClientUnderTest under_test_{transport_, clock_};
};

TEST_F(AuthFlowTest, NobodyIsAskedForCredentialsWithoutAChallenge) {
  Fetch();
  EXPECT_EQ(Story(), "GET /v2/a/b/manifests/t -\n");
  EXPECT_TRUE(under_test_.credentials.asked().empty());
}

TEST_F(AuthFlowTest, BasicIsRememberedForTheHost) {
  registry_.auth = FakeRegistry::Auth::kBasic;
  under_test_.credentials.by_host["r.example"] = Known();
  Fetch();
  Fetch();
  EXPECT_EQ(Story(),
            "GET /v2/a/b/manifests/t -\n"
            "GET /v2/a/b/manifests/t Basic\n"
            "GET /v2/a/b/manifests/t Basic\n");
  EXPECT_EQ(under_test_.credentials.asked().size(), 1U);
}

TEST_F(AuthFlowTest, WrongBasicIsAnError) {
  registry_.auth = FakeRegistry::Auth::kBasic;
  under_test_.credentials.by_host["r.example"] = Known();
  registry_.password = "changed";
  try {
    Fetch();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "GET https://r.example/v2/a/b/manifests/t: UNAUTHORIZED: "
              "authentication required");
    EXPECT_EQ(error.hint(),
              "the credentials from the test do not allow this; log in again: "
              "imgbuild login r.example");
    EXPECT_EQ(error.Render().find("s3cr3t-pass"), std::string::npos);
  }
}

TEST_F(AuthFlowTest, NoCredentialsIsAnError) {
  registry_.auth = FakeRegistry::Auth::kBasic;
  try {
    Fetch();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.hint(),
              "the repository does not exist or needs a login: imgbuild login "
              "r.example");
  }
}

TEST_F(AuthFlowTest, AnonymousToken) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  Fetch();
  Fetch();
  EXPECT_EQ(Story(),
            "GET /v2/a/b/manifests/t -\n"
            "GET /token -\n"
            "GET /v2/a/b/manifests/t Bearer\n"
            "GET /v2/a/b/manifests/t Bearer\n");
  EXPECT_EQ(transport_.requests()[1].query,
            "service=fake&scope=repository%3Aa%2Fb%3Apull");
}

TEST_F(AuthFlowTest, TokenWithCredentials) {
  registry_.auth = FakeRegistry::Auth::kToken;
  under_test_.credentials.by_host["r.example"] = Known();
  Fetch();
  EXPECT_EQ(Story(),
            "GET /v2/a/b/manifests/t -\n"
            "GET /token Basic\n"
            "GET /v2/a/b/manifests/t Bearer\n");
}

TEST_F(AuthFlowTest, RefusedCredentialsAreAnErrorNotASecondTry) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  under_test_.credentials.by_host["r.example"] = Known();
  registry_.password = "changed";
  try {
    Fetch();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "GET https://r.example/token: UNAUTHORIZED: incorrect user or "
              "password");
    EXPECT_EQ(error.frames(), std::vector<std::string>{
                                  "while using the credentials from the test"});
  }
}

TEST_F(AuthFlowTest, TokensAreRenewedBeforeTheyExpire) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  Fetch();
  clock_.Advance(std::chrono::seconds(269));
  Fetch();
  EXPECT_EQ(transport_.requests().size(), 4U);
  clock_.Advance(std::chrono::seconds(2));  // 271 > 0.9 * 300
  Fetch();
  ASSERT_EQ(transport_.requests().size(), 6U);
  EXPECT_EQ(transport_.Log()[4],
            "GET https://r.example/token?service=fake&scope=repository%3Aa%2Fb"
            "%3Apull");
}

TEST_F(AuthFlowTest, ARevokedTokenIsReplacedOnce) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  Fetch();
  registry_.RevokeTokens();
  Fetch();
  EXPECT_EQ(Story(),
            "GET /v2/a/b/manifests/t -\n"
            "GET /token -\n"
            "GET /v2/a/b/manifests/t Bearer\n"
            "GET /v2/a/b/manifests/t Bearer\n"
            "GET /token -\n"
            "GET /v2/a/b/manifests/t Bearer\n");
}

TEST_F(AuthFlowTest, IdentityTokenIsPosted) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.identity_token = "identity-secret";
  Credentials credentials;
  credentials.identity_token = "identity-secret";
  under_test_.credentials.by_host["r.example"] = credentials;
  Fetch();
  const TestRequest post = transport_.requests()[1];
  EXPECT_EQ(post.method, "POST");
  EXPECT_EQ(post.body,
            "grant_type=refresh_token&service=fake&client_id=imgbuild&scope="
            "repository%3Aa%2Fb%3Apull&refresh_token=identity-secret");
  EXPECT_EQ(post.Header("Authorization"), "");
  EXPECT_EQ(post.Header("Content-Type"), "application/x-www-form-urlencoded");
}

TEST_F(AuthFlowTest, RegistryTokenIsUsedAsItIs) {
  transport_.Serve(kOrigin, [this](const TestRequest& request) {
    if (request.Header("Authorization") == "Bearer ready-made") {
      return testing::JsonResponse(200, registry_.Manifest("a/b", "t"));
    }
    auto refusal = testing::RegistryError(401, "UNAUTHORIZED", "no");
    refusal.headers.emplace_back("WWW-Authenticate",
                                 "Bearer realm=\"https://r.example/token\"");
    return refusal;
  });
  Credentials credentials;
  credentials.registry_token = "ready-made";
  under_test_.credentials.by_host["r.example"] = credentials;
  Fetch();
  EXPECT_EQ(transport_.requests().size(), 2U);
}

TEST_F(AuthFlowTest, AForeignRealmGetsNoCredentials) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  registry_.realm = "https://evil.example/token";
  transport_.Serve("https://evil.example", registry_.Handler());
  under_test_.credentials.by_host["r.example"] = Known();
  Fetch();
  EXPECT_EQ(Story(),
            "GET /v2/a/b/manifests/t -\n"
            "GET /token -\n"
            "GET /v2/a/b/manifests/t Bearer\n");
  EXPECT_EQ(under_test_.warnings,
            std::vector<std::string>{
                "credentials of r.example are not sent to its token server on "
                "another host, evil.example; allow it with "
                "IMGBUILD_TRUSTED_REALMS=r.example=evil.example"});
}

TEST_F(AuthFlowTest, AListedRealmGetsThem) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.realm = "https://login.example/token";
  transport_.Serve("https://login.example", registry_.Handler());
  ClientOptions options;
  options.trusted_realms = {"r.example=login.example"};
  ClientUnderTest other(transport_, clock_, options);
  other.credentials.by_host["r.example"] = Known();
  other.client->FetchDocument(oci::Reference::Parse("r.example/a/b:t"),
                              other.cancel);
  EXPECT_TRUE(other.warnings.empty());
}

TEST_F(AuthFlowTest, APlainHttpRealmOfAnHttpsRegistryIsRefused) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.realm = "http://r.example/token";
  try {
    Fetch();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "r.example: its token server http://r.example/token is plain "
              "http: refused");
  }
}

TEST_F(AuthFlowTest, ARealmThatRedirectsElsewhereLosesTheCredentials) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  under_test_.credentials.by_host["r.example"] = Known();
  transport_.Serve("https://evil.example", registry_.Handler());
  transport_.Serve(kOrigin, [this](const TestRequest& request) {
    if (request.path != "/token") return registry_.Handle(request);
    testing::TestResponse response;
    response.status = 302;
    response.headers = {
        {"Location", "https://evil.example/token?" + request.query}};
    return response;
  });
  Fetch();
  EXPECT_EQ(Story(),
            "GET /v2/a/b/manifests/t -\n"
            "GET /token Basic\n"
            "GET /token -\n"
            "GET /v2/a/b/manifests/t Bearer\n");
}

TEST_F(AuthFlowTest, TokenRequestsAreRetried) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  int failures = 2;
  transport_.Serve(kOrigin, [&](const TestRequest& request) {
    if (request.path == "/token" && failures-- > 0) {
      return testing::RegistryError(503, "UNAVAILABLE", "later");
    }
    return registry_.Handle(request);
  });
  Fetch();
  EXPECT_EQ(clock_.sleeps().size(), 2U);
}

TEST_F(AuthFlowTest, LoginChecksThePair) {
  for (const auto auth :
       {FakeRegistry::Auth::kBasic, FakeRegistry::Auth::kToken}) {
    registry_.auth = auth;
    under_test_.client->CheckCredentials("r.example", Known(),
                                         under_test_.cancel);
    Credentials wrong = Known();
    wrong.password = "wrong";
    EXPECT_THROW(under_test_.client->CheckCredentials("r.example", wrong,
                                                      under_test_.cancel),
                 Error);
  }
}

}  // namespace
}  // namespace imgbuild::registry
