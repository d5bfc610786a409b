// ADD's GET: redirects, validators, and what must not happen.
#include "imgbuild/registry/download.h"

#include <gtest/gtest.h>

#include "support/scripted_transport.h"

namespace imgbuild::registry {
namespace {

using testing::ScriptedTransport;
using testing::TestRequest;
using testing::TestResponse;

class DownloadTest : public ::testing::Test {
 protected:
  std::string Get(const std::string& url, const Validators& known = {}) {
    StringWriter out;
    try {
      last_ = DownloadUrl(transport_, url, known, out, CancelToken());
      return out.text();
    } catch (const Error& error) {
      return "error: " + error.message();
    }
  }

  ScriptedTransport transport_;
  Download last_;
};

TEST_F(DownloadTest, TheBodyAndItsValidators) {
  transport_.Serve("http://h.example", [](const TestRequest&) {
    TestResponse response;
    response.status = 200;
    response.headers = {{"ETag", "\"e\""}, {"Last-Modified", "then"}};
    response.body = "hello";
    return response;
  });
  EXPECT_EQ(Get("http://h.example/f"), "hello");
  EXPECT_FALSE(last_.not_modified);
  EXPECT_EQ(last_.validators.etag, "\"e\"");
  EXPECT_EQ(last_.validators.last_modified, "then");
}

TEST_F(DownloadTest, AnUnchangedFileIsNotSentAgain) {
  transport_.Serve("http://h.example", [](const TestRequest& request) {
    TestResponse response;
    const auto etag = request.Header("If-None-Match");
    response.status = etag == "\"e\"" ? 304 : 200;
    return response;
  });
  EXPECT_EQ(Get("http://h.example/f", {"\"e\"", ""}), "");
  EXPECT_TRUE(last_.not_modified);
  EXPECT_EQ(last_.validators.etag, "\"e\"");
}

TEST_F(DownloadTest, RedirectsAreFollowed) {
  transport_.Serve("http://h.example", [](const TestRequest& request) {
    TestResponse response;
    if (request.path == "/a") {
      response.status = 302;
      response.headers = {{"Location", "/b"}};
    } else {
      response.status = 200;
      response.body = "at " + request.path;
    }
    return response;
  });
  EXPECT_EQ(Get("http://h.example/a"), "at /b");
}

TEST_F(DownloadTest, UserInfoGoesToItsOwnHostOnly) {
  std::vector<std::string> seen;
  const auto handler = [&](const TestRequest& request) {
    seen.push_back(request.origin + " " + request.Header("Authorization"));
    TestResponse response;
    if (request.origin == "http://h.example") {
      response.status = 302;
      response.headers = {{"Location", "http://other.example/x"}};
    }
    return response;
  };
  transport_.Serve("http://h.example", handler);
  transport_.Serve("http://other.example", handler);
  Get("http://user:p%40w@h.example/x");
  EXPECT_EQ(seen,
            (std::vector<std::string>{"http://h.example Basic dXNlcjpwQHc=",
                                      "http://other.example "}));
}

TEST_F(DownloadTest, Refusals) {
  transport_.Serve("https://s.example", [](const TestRequest&) {
    TestResponse response;
    response.status = 302;
    response.headers = {{"Location", "http://h.example/x"}};
    return response;
  });
  transport_.Serve("http://h.example", [](const TestRequest& request) {
    TestResponse response;
    response.status = request.path == "/loop" ? 302 : 404;
    response.headers = {{"Location", "/loop"}};
    response.body = "not for the file";
    return response;
  });
  EXPECT_EQ(Get("https://s.example/x"),
            "error: get https://s.example/x: a redirect from https to http");
  EXPECT_EQ(Get("http://h.example/loop"),
            "error: get http://h.example/loop: too many redirects");
  EXPECT_EQ(Get("http://user:pw@h.example/x?token=t"),
            "error: get http://h.example/x: the server answered with status "
            "404");
  EXPECT_EQ(Get("ftp://h.example/x"),
            "error: get (malformed URL): it is not a URL");
}

}  // namespace
}  // namespace imgbuild::registry
