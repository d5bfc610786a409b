// Things that go wrong between a client and a registry: a handler in front of
// another one (a FakeRegistry, or a real registry through ForwardTo) that
// spoils chosen answers.
#ifndef IMGBUILD_TESTS_SUPPORT_FAULT_PROXY_H_
#define IMGBUILD_TESTS_SUPPORT_FAULT_PROXY_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "imgbuild/registry/transport.h"

#include "support/http_handler.h"

namespace imgbuild::testing {

// Spoils answers to `method` requests whose target holds `path`.
struct Fault {
  std::string method;  // empty: any
  std::string path;    // empty: any
  int after = 0;       // leave so many of them alone first
  int times = 1;       // then spoil so many; -1: all
  // Gets the request and the good answer, makes it a bad one.
  std::function<void(const TestRequest&, TestResponse*)> spoil;
  // The good answer is not even asked for.
  bool instead = false;
};

// Thread-safe.
class FaultProxy {
 public:
  explicit FaultProxy(TestHandler upstream) : upstream_(std::move(upstream)) {}
  FaultProxy& Add(Fault fault);
  TestResponse Handle(const TestRequest& request);
  TestHandler Handler() {
    return [this](const TestRequest& request) { return Handle(request); };
  }
  int spoiled() const;

 private:
  TestHandler upstream_;
  mutable std::mutex mutex_;
  std::vector<Fault> faults_;
  int spoiled_ = 0;
};

// Passes requests on to a real server ("http://127.0.0.1:5000"), with the Host
// and Location headers kept pointing at the proxy.
TestHandler ForwardTo(const std::string& origin);

// Spoilers.
using Spoil = std::function<void(const TestRequest&, TestResponse*)>;
Spoil Status(int status, TestHeaders headers = {}, std::string body = "");
Spoil CutAfter(size_t bytes);
Spoil StallAfter(size_t bytes);
Spoil Reset();
Spoil Garbage();
Spoil FlipByte(size_t at);
Spoil SetHeader(const std::string& name, const std::string& value);
Spoil DropHeader(const std::string& name);
Spoil DeclareLength(size_t bytes);
Spoil Truncate(size_t bytes);  // shorter, with a matching Content-Length
Spoil Append(const std::string& extra);
Spoil ReplaceBody(const std::string& body);
Spoil Both(Spoil first, Spoil second);

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_FAULT_PROXY_H_
