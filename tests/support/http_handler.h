// What a test's HTTP server answers, apart from how: the same handler runs
// behind a ScriptedTransport (no sockets) and behind an HttpServer.
#ifndef IMGBUILD_TESTS_SUPPORT_HTTP_HANDLER_H_
#define IMGBUILD_TESTS_SUPPORT_HTTP_HANDLER_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace imgbuild::testing {

using TestHeaders = std::vector<std::pair<std::string, std::string>>;

std::string HeaderOf(const TestHeaders& headers, const std::string& name);

struct TestRequest {
  std::string method;
  std::string origin;  // "http://127.0.0.1:34567"
  std::string path;    // without the query
  std::string query;   // raw
  TestHeaders headers;
  std::string body;

  std::string Target() const {
    return query.empty() ? path : path + "?" + query;
  }
  std::string Header(const std::string& name) const {
    return HeaderOf(headers, name);
  }
  // The first value of a query parameter, decoded.
  std::optional<std::string> Param(const std::string& name) const;
};

// An answer, and what goes wrong with it.
struct TestResponse {
  int status = 200;
  TestHeaders headers;
  std::string body;

  bool no_answer = false;    // the connection is reset instead
  bool garbage = false;      // bytes that are not HTTP
  bool omit_length = false;  // no Content-Length: the end is the close
  bool chunked = false;
  std::optional<size_t> declared_length;  // a Content-Length that lies
  std::optional<size_t> cut_after;        // body bytes before the reset
  std::optional<size_t> stall_after;      // body bytes before silence
};

using TestHandler = std::function<TestResponse(const TestRequest&)>;

std::string PercentDecode(const std::string& text);
TestResponse JsonResponse(int status, const std::string& body);
// {"errors":[{"code":CODE,"message":MESSAGE}]}
TestResponse RegistryError(int status, const std::string& code,
                           const std::string& message);

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_HTTP_HANDLER_H_
