#include "registry/url.h"

#include <gtest/gtest.h>

namespace imgbuild::registry {
namespace {

TEST(Url, SplitsAndPrints) {
  const auto url = Url::Parse("HTTPS://Me:pw@Host.Example:5000/a/b?x=1#frag");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->scheme, "https");
  EXPECT_EQ(url->user_info, "Me:pw");
  EXPECT_EQ(url->host, "host.example");
  EXPECT_EQ(url->port, "5000");
  EXPECT_EQ(url->path, "/a/b");
  EXPECT_EQ(url->query, "x=1");
  EXPECT_EQ(url->Origin(), "https://host.example:5000");
  EXPECT_EQ(url->ToString(), "https://Me:pw@host.example:5000/a/b?x=1");
}

TEST(Url, Ipv6AndDefaultPorts) {
  EXPECT_EQ(Url::Parse("http://[::1]:5000/")->host, "[::1]");
  EXPECT_EQ(Url::Parse("http://[::1]/")->HostPort(), "[::1]");
  EXPECT_EQ(Url::Parse("https://h:443/")->Origin(), "https://h");
  EXPECT_EQ(Url::Parse("http://h:80")->Origin(), "http://h");
  EXPECT_EQ(Url::Parse("http://h:443")->Origin(), "http://h:443");
}

TEST(Url, RefusesWhatIsNoHttpUrl) {
  for (const char* text :
       {"", "host/path", "ftp://h/", "file:///etc/passwd", "https://",
        "https:///x", "https://h:0/", "https://h:99999/", "https://h:a/",
        "https://h/a b", "https://h/\n", "http://[::1/", "https://h\\@evil/"}) {
    EXPECT_FALSE(Url::Parse(text)) << text;
  }
  EXPECT_FALSE(Url::Parse("https://h/" + std::string(20000, 'a')));
}

TEST(Url, ResolvesLocations) {
  const Url base = *Url::Parse("https://h:1/v2/a/blobs/uploads/?x=1");
  const struct {
    const char* location;
    const char* result;
  } cases[] = {
      {"https://other/p?q", "https://other/p?q"},
      {"//cdn.example/p", "https://cdn.example/p"},
      {"/v2/a/u/1?_state=a%2Fb", "https://h:1/v2/a/u/1?_state=a%2Fb"},
      {"u/1", "https://h:1/v2/a/blobs/uploads/u/1"},
      {"../u", "https://h:1/v2/a/blobs/u"},
      {"../../../../../u", "https://h:1/u"},
      {"?n=2", "https://h:1/v2/a/blobs/uploads/?n=2"},
      {"", "https://h:1/v2/a/blobs/uploads/?x=1"},
  };
  for (const auto& c : cases) {
    const auto url = base.Resolve(c.location);
    ASSERT_TRUE(url) << c.location;
    EXPECT_EQ(url->ToString(), c.result) << c.location;
  }
  EXPECT_FALSE(base.Resolve("javascript:alert(1)"));
  EXPECT_FALSE(base.Resolve("file:///etc/passwd"));
}

TEST(Url, AddsEncodedQueries) {
  Url url = *Url::Parse("https://h/p");
  url.AddQuery("digest", "sha256:ab");
  EXPECT_EQ(url.ToString(), "https://h/p?digest=sha256%3Aab");
  url.AddQuery("a b", "c&d");
  EXPECT_EQ(url.ToString(), "https://h/p?digest=sha256%3Aab&a%20b=c%26d");
}

TEST(Url, RedactionLeavesNoSecret) {
  EXPECT_EQ(Redacted("https://user:pass@h/p?X-Amz-Signature=s"), "https://h/p");
  EXPECT_EQ(Redacted("not a url: pass"), "(malformed URL)");
}

TEST(Url, Loopback) {
  for (const char* host :
       {"localhost", "127.0.0.1", "127.9.8.7", "[::1]", "registry.localhost"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"127.evil.example", "127.0.0.1.example", "10.0.0.1",
                           "localhost.example", "128.0.0.1", "127.0.0.256"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

}  // namespace
}  // namespace imgbuild::registry
