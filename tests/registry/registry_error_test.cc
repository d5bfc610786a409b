#include "registry/registry_error.h"

#include <gtest/gtest.h>

namespace imgbuild::registry {
namespace {

std::string Message(const std::string& body, int status = 404) {
  HttpResponse response;
  response.status = status;
  response.url = "https://h/v2/a/manifests/t";
  return ResponseError("GET", response, body).message();
}

constexpr const char* kPrefix = "GET https://h/v2/a/manifests/t: ";

TEST(RegistryErrorBody, Table) {
  const struct {
    const char* body;
    const char* text;
  } cases[] = {
      {R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"t"}}]})",
       "MANIFEST_UNKNOWN: manifest unknown"},
      {R"({"errors":[{"code":"A","message":"a"},{"code":"B"},{"message":"c"}]})",
       "A: a; B; c"},
      {R"({"errors":["plain"]})", "plain"},
      {R"({"errors":[]})", "status 404"},
      {R"({"errors":[{}]})", "status 404"},
      {R"({"errors":null})", "status 404"},
      {R"({"details":"incorrect username or password"})",
       "incorrect username or password"},
      {R"({"error":"invalid_scope","error_description":"no such"})",
       "invalid_scope: no such"},
      {"upstream connect error", "upstream connect error"},
      {"line\nbreak\x1b[31m", "line break [31m"},
      {"<html><body>404</body></html>", "status 404"},
      {"", "status 404"},
      {"[1,2]", "status 404"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Message(c.body), std::string(kPrefix) + c.text) << c.body;
  }
}

TEST(RegistryErrorBody, LongTextsAreCut) {
  EXPECT_LT(Message(std::string(100000, 'x')).size(), 500U);
}

TEST(RegistryErrorBody, TemporaryByStatus) {
  HttpResponse response;
  response.status = 503;
  EXPECT_TRUE(ResponseError("GET", response, "").temporary());
  response.status = 404;
  EXPECT_FALSE(ResponseError("GET", response, "").temporary());
}

TEST(RegistryErrorBody, FindsCodes) {
  EXPECT_TRUE(HasErrorCode(R"({"errors":[{"code":"denied"}]})", "DENIED"));
  EXPECT_FALSE(HasErrorCode("DENIED", "DENIED"));
}

}  // namespace
}  // namespace imgbuild::registry
