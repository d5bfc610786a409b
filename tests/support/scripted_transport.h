// An HttpTransport without a network: a handler answers, every request is
// recorded. The faults of TestResponse become the TransportErrors that the
// real transport makes of them.
#ifndef IMGBUILD_TESTS_SUPPORT_SCRIPTED_TRANSPORT_H_
#define IMGBUILD_TESTS_SUPPORT_SCRIPTED_TRANSPORT_H_

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "imgbuild/registry/transport.h"

#include "support/http_handler.h"

namespace imgbuild::testing {

class ScriptedTransport : public registry::HttpTransport {
 public:
  // `fallback` answers origins without a handler of their own; without one
  // they refuse the connection.
  explicit ScriptedTransport(TestHandler fallback = nullptr)
      : fallback_(std::move(fallback)) {}
  // Answers for one origin: "https://registry.example".
  void Serve(const std::string& origin, TestHandler handler);

  registry::HttpResponse Send(const registry::HttpRequest& request,
                              registry::ResponseSink* sink, std::string* body,
                              const CancelToken& cancel) override;

  std::vector<TestRequest> requests() const;
  // "GET https://host/v2/", one per request.
  std::vector<std::string> Log() const;
  // The TLS options of the last request to an origin.
  registry::TlsOptions TlsOf(const std::string& origin) const;

 private:
  TestHandler fallback_;
  mutable std::mutex mutex_;
  std::map<std::string, TestHandler> handlers_;
  std::vector<TestRequest> requests_;
  std::map<std::string, registry::TlsOptions> tls_;
};

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_SCRIPTED_TRANSPORT_H_
