#include "registry/http_headers.h"

#include <gtest/gtest.h>

namespace imgbuild::registry {
namespace {

std::string Show(const std::vector<Challenge>& challenges) {
  std::string out;
  for (const Challenge& challenge : challenges) {
    out += challenge.scheme + "{";
    for (const auto& [key, value] : challenge.params) {
      out += key + "=" + value + ";";
    }
    out += "}";
  }
  return out;
}

TEST(Challenges, Table) {
  const struct {
    std::vector<std::string> headers;
    const char* result;
  } cases[] = {
      {{}, ""},
      {{""}, ""},
      {{"Basic realm=\"x\""}, "basic{realm=x;}"},
      {{"BASIC"}, "basic{}"},
      {{"Bearer "
        "realm=\"https://a/t\",service=\"s\",scope=\"repository:a:pull\""},
       "bearer{realm=https://a/t;scope=repository:a:pull;service=s;}"},
      {{"bearer Realm=https://a/t , SERVICE = s"},
       "bearer{realm=https://a/t;service=s;}"},
      // A comma and an escaped quote inside a quoted string.
      {{R"(Bearer realm="a",scope="repository:a:pull,push",x="q\"q")"},
       R"(bearer{realm=a;scope=repository:a:pull,push;x=q"q;})"},
      // Two challenges in one header, in both orders.
      {{"Basic realm=\"b\", Bearer realm=\"a\""},
       "basic{realm=b;}bearer{realm=a;}"},
      {{"Negotiate, Basic realm=\"b\""}, "negotiate{}basic{realm=b;}"},
      {{"Negotiate abc==, Basic realm=b"}, "negotiate{abc==;}basic{realm=b;}"},
      // Two headers.
      {{"Basic realm=b", "Bearer realm=a"}, "basic{realm=b;}bearer{realm=a;}"},
      // Broken ones do not hang and do not throw.
      {{"Bearer realm=\"unterminated"}, "bearer{realm=unterminated;}"},
      {{"=,=,\"\","}, ""},
      {{"Bearer realm="}, "bearer{realm=;}"},
      {{"Bearer realm=a,realm=b"}, "bearer{realm=a;}"},
  };
  for (const auto& c : cases) {
    Headers headers = {{"Content-Type", "x"}};
    for (const std::string& header : c.headers) {
      headers.emplace_back("www-authenticate", header);
    }
    EXPECT_EQ(Show(ParseChallenges(headers)), c.result)
        << (c.headers.empty() ? "" : c.headers[0]);
  }
}

TEST(Challenges, AFloodIsCut) {
  std::string value;
  for (int i = 0; i < 10000; ++i) value += "Basic realm=a, ";
  EXPECT_EQ(ParseChallenges({{"WWW-Authenticate", value}}).size(), 16U);
}

TEST(RetryAfter, Table) {
  constexpr int64_t kNow = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
  const struct {
    const char* value;
    std::optional<int64_t> seconds;
  } cases[] = {
      {"0", 0},
      {" 120 ", 120},
      {"99999999999999", INT32_MAX},
      {"-5", std::nullopt},
      {"soon", std::nullopt},
      {"1.5", std::nullopt},
      {"", std::nullopt},
      {"Sun, 06 Nov 1994 08:49:47 GMT", 10},
      {"Sun, 06 Nov 1994 08:49:07 GMT", 0},
      {"Sun, 06 Nov 1994 08:49:47 CET", std::nullopt},
      {"Sun, 99 Nov 1994 08:49:47 GMT", std::nullopt},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ParseRetryAfter({{"retry-after", c.value}}, kNow), c.seconds)
        << c.value;
  }
  EXPECT_EQ(ParseRetryAfter({}, kNow), std::nullopt);
}

TEST(Link, Next) {
  EXPECT_EQ(ParseNextLink({{"Link", "</v2/a/tags/list?last=x>; rel=\"next\""}}),
            "/v2/a/tags/list?last=x");
  EXPECT_EQ(ParseNextLink({{"link", "<https://h/p>; Rel=next"}}),
            "https://h/p");
  EXPECT_EQ(ParseNextLink({{"Link", "</p>; rel=\"prev\", </n>; rel=\"next\""}}),
            "/n");
  EXPECT_EQ(ParseNextLink({{"Link", "</p>; rel=\"prev\""}}), std::nullopt);
  EXPECT_EQ(ParseNextLink({{"Link", "<unterminated"}}), std::nullopt);
  EXPECT_EQ(ParseNextLink({}), std::nullopt);
}

TEST(ContentRangeHeader, Table) {
  const auto range = ParseContentRange("bytes 10-19/20");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 10U);
  EXPECT_EQ(range->last, 19U);
  EXPECT_EQ(range->total, 20U);
  EXPECT_EQ(ParseContentRange("Bytes 0-0/*")->total, std::nullopt);
  for (const char* bad :
       {"", "bytes", "bytes 10-19", "bytes 19-10/20", "bytes 10-19/19",
        "bytes a-b/c", "items 0-1/2", "bytes */20", "bytes 1/2-3"}) {
    EXPECT_FALSE(ParseContentRange(bad)) << bad;
  }
}

TEST(UploadRange, Table) {
  EXPECT_EQ(ParseUploadRange("0-1023"), 1024U);
  EXPECT_EQ(ParseUploadRange("bytes=0-9"), 10U);
  EXPECT_EQ(ParseUploadRange("0-0"), 0U);
  EXPECT_EQ(ParseUploadRange("5-9"), std::nullopt);
  EXPECT_EQ(ParseUploadRange("x"), std::nullopt);
}

TEST(Headers, MediaTypeDropsParameters) {
  EXPECT_EQ(MediaTypeOf({{"content-type", "Application/JSON; charset=utf-8"}}),
            "application/json");
  EXPECT_EQ(MediaTypeOf({}), "");
}

TEST(Warnings, OnlyCode299) {
  EXPECT_EQ(ParseWarnings({{"Warning", "299 - \"deprecated \\\"v1\\\"\""},
                           {"Warning", "110 - \"stale\""},
                           {"warning", "299 - broken"}}),
            std::vector<std::string>{"deprecated \"v1\""});
}

TEST(PrintableText, ControlsAndLength) {
  EXPECT_EQ(Printable("a\x1b[31mb\nc", 100), "a [31mb c");
  EXPECT_EQ(Printable("abcdef", 3), "abc...");
}

}  // namespace
}  // namespace imgbuild::registry
