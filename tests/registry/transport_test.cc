// What every HttpTransport promises, for libcurl over sockets and for the
// scripted one without.
#include "imgbuild/registry/transport.h"

#include <gtest/gtest.h>

#include <thread>

#include "imgbuild/util/error.h"

#include "support/http_server.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::registry {
namespace {

using testing::HttpServer;
using testing::ScriptedTransport;
using testing::TestHandler;
using testing::TestRequest;
using testing::TestResponse;

// A transport and the origin that a handler answers at.
struct Bench {
  virtual ~Bench() = default;
  virtual HttpTransport& transport() = 0;
  virtual std::string Serve(TestHandler handler) = 0;
};

struct CurlBench : Bench {
  std::unique_ptr<HttpTransport> curl = NewCurlTransport("imgbuild-test/1");
  std::unique_ptr<HttpServer> server;
  HttpTransport& transport() override { return *curl; }
  std::string Serve(TestHandler handler) override {
    server = std::make_unique<HttpServer>(std::move(handler));
    return server->Origin();
  }
};

struct ScriptedBench : Bench {
  ScriptedTransport scripted;
  HttpTransport& transport() override { return scripted; }
  std::string Serve(TestHandler handler) override {
    scripted.Serve("http://r.example", std::move(handler));
    return "http://r.example";
  }
};

class RecordingSink : public ResponseSink, public Writer {
 public:
  explicit RecordingSink(bool take) : take_(take) {}
  Writer* Begin(const HttpResponse& response) override {
    statuses.push_back(response.status);
    return take_ ? this : nullptr;
  }
  void Write(Bytes bytes) override { text.append(AsText(bytes)); }
  std::vector<int> statuses;
  std::string text;

 private:
  bool take_;
};

template <typename B>
class TransportContract : public ::testing::Test {
 protected:
  HttpResponse Get(const std::string& url, ResponseSink* sink = nullptr) {
    HttpRequest request;
    request.url = url;
    return bench_.transport().Send(request, sink, &body_, CancelToken());
  }
  B bench_;
  std::string body_;
};

using Benches = ::testing::Types<CurlBench, ScriptedBench>;
TYPED_TEST_SUITE(TransportContract, Benches);

TYPED_TEST(TransportContract, AnyStatusIsAResult) {
  const std::string origin = this->bench_.Serve([](const TestRequest& request) {
    TestResponse response;
    response.status = std::stoi(request.path.substr(1));
    response.body = "body";
    response.headers = {{"X-Thing", "one"}, {"x-other", " two "}};
    return response;
  });
  for (const int status : {200, 206, 302, 401, 404, 429, 500, 503}) {
    const HttpResponse response =
        this->Get(origin + "/" + std::to_string(status));
    EXPECT_EQ(response.status, status);
    EXPECT_EQ(this->body_, "body");
    EXPECT_EQ(FindHeader(response.headers, "x-thing"), "one");
    EXPECT_EQ(FindHeader(response.headers, "absent"), std::nullopt);
  }
}

TYPED_TEST(TransportContract, RedirectsAreNotFollowed) {
  int asked = 0;
  const std::string origin = this->bench_.Serve([&](const TestRequest&) {
    ++asked;
    TestResponse response;
    response.status = 307;
    response.headers = {{"Location", "/elsewhere"}};
    return response;
  });
  EXPECT_EQ(this->Get(origin + "/").status, 307);
  EXPECT_EQ(asked, 1);
}

TYPED_TEST(TransportContract, TheSinkIsAskedOnceAlsoWithoutABody) {
  const std::string origin = this->bench_.Serve([](const TestRequest& request) {
    TestResponse response;
    response.status = request.path == "/none" ? 204 : 200;
    if (request.path == "/some") response.body = std::string(300000, 'x');
    return response;
  });
  for (const char* path : {"/none", "/empty", "/some"}) {
    RecordingSink sink(true);
    this->Get(origin + path, &sink);
    EXPECT_EQ(sink.statuses.size(), 1U) << path;
  }
  RecordingSink sink(true);
  this->Get(origin + "/some", &sink);
  EXPECT_EQ(sink.text, std::string(300000, 'x'));
  EXPECT_EQ(this->body_, "");
}

TYPED_TEST(TransportContract, WithoutAWriterTheBodyIsCollected) {
  const std::string origin = this->bench_.Serve([](const TestRequest&) {
    TestResponse response;
    response.status = 404;
    response.body = "why not";
    return response;
  });
  RecordingSink sink(false);
  this->Get(origin + "/", &sink);
  EXPECT_EQ(this->body_, "why not");
}

TYPED_TEST(TransportContract, BodiesAreSent) {
  std::string seen;
  const std::string origin =
      this->bench_.Serve([&](const TestRequest& request) {
        seen = request.method + " " + request.body;
        return TestResponse{};
      });
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    HttpRequest request;
    request.method = method;
    request.url = origin + "/";
    std::string body;
    this->bench_.transport().Send(request, nullptr, &body, CancelToken());
    EXPECT_EQ(seen, std::string(method) + " ");
    request.body = "text";
    this->bench_.transport().Send(request, nullptr, &body, CancelToken());
    EXPECT_EQ(seen, std::string(method) + " text");
    const std::string big(2000000, 'z');
    testing::MemorySource source(big);
    const auto reader = source.ReadFrom(0);
    request.body.clear();
    request.body_reader = reader.get();
    request.body_size = big.size();
    this->bench_.transport().Send(request, nullptr, &body, CancelToken());
    EXPECT_EQ(seen, std::string(method) + " " + big);
  }
}

TYPED_TEST(TransportContract, HeadHasNoBody) {
  const std::string origin = this->bench_.Serve([](const TestRequest&) {
    TestResponse response;
    response.body = "12345";
    return response;
  });
  HttpRequest request;
  request.method = "HEAD";
  request.url = origin + "/";
  std::string body;
  const HttpResponse response =
      this->bench_.transport().Send(request, nullptr, &body, CancelToken());
  EXPECT_EQ(body, "");
  EXPECT_EQ(FindHeader(response.headers, "content-length"), "5");
}

TYPED_TEST(TransportContract, ABrokenBodyIsTemporary) {
  const std::string origin = this->bench_.Serve([](const TestRequest&) {
    TestResponse response;
    response.body = std::string(100000, 'x');
    response.cut_after = 10;
    return response;
  });
  RecordingSink sink(true);
  try {
    this->Get(origin + "/", &sink);
    ADD_FAILURE();
  } catch (const TransportError& error) {
    EXPECT_EQ(error.kind(), TransportError::Kind::kTransfer);
    EXPECT_TRUE(error.temporary());
    EXPECT_EQ(error.code(), ErrorCode::kRegistry);
  }
  EXPECT_EQ(sink.text, std::string(10, 'x'));
}

TYPED_TEST(TransportContract, NobodyThere) {
  try {
    this->Get("http://127.0.0.1:1/");
    ADD_FAILURE();
  } catch (const TransportError& error) {
    EXPECT_EQ(error.kind(), TransportError::Kind::kConnect);
    EXPECT_TRUE(error.temporary());
  }
}

TYPED_TEST(TransportContract, WhatTheSinkThrowsComesOut) {
  const std::string origin = this->bench_.Serve([](const TestRequest&) {
    TestResponse response;
    response.body = "x";
    return response;
  });
  class Full : public ResponseSink, public Writer {
    Writer* Begin(const HttpResponse&) override { return this; }
    void Write(Bytes) override { throw Error(ErrorCode::kHost, "disk full"); }
  } sink;
  try {
    this->Get(origin + "/", &sink);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(), "disk full");
  }
}

TYPED_TEST(TransportContract, CancelledBefore) {
  const std::string origin =
      this->bench_.Serve([](const TestRequest&) { return TestResponse{}; });
  CancelToken cancel;
  cancel.Cancel();
  HttpRequest request;
  request.url = origin + "/";
  std::string body;
  try {
    this->bench_.transport().Send(request, nullptr, &body, cancel);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
}

// From here on: libcurl alone.

TEST(CurlTransport, CancelledInTheMiddleEndsAtOnce) {
  CurlBench bench;
  const std::string origin = bench.Serve([](const TestRequest&) {
    TestResponse response;
    response.body = std::string(1000, 'x');
    response.stall_after = 10;
    return response;
  });
  CancelToken cancel;
  std::thread other([cancel]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancel.Cancel();
  });
  HttpRequest request;
  request.url = origin + "/";
  std::string body;
  const auto start = std::chrono::steady_clock::now();
  try {
    bench.transport().Send(request, nullptr, &body, cancel);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
  other.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(CurlTransport, SilenceIsCutAndTheHandleWorksOn) {
  CurlBench bench;
  const std::string origin = bench.Serve([](const TestRequest& request) {
    TestResponse response;
    response.body = "hello";
    if (request.path == "/stall") response.stall_after = 2;
    return response;
  });
  HttpRequest request;
  request.url = origin + "/stall";
  request.idle_timeout = std::chrono::milliseconds(100);
  std::string body;
  try {
    bench.transport().Send(request, nullptr, &body, CancelToken());
    ADD_FAILURE();
  } catch (const TransportError& error) {
    EXPECT_EQ(error.message(), "GET " + origin + "/stall: no data for 100 ms");
    EXPECT_TRUE(error.temporary());
  }
  request.url = origin + "/ok";
  request.idle_timeout = std::chrono::seconds(30);
  bench.transport().Send(request, nullptr, &body, CancelToken());
  EXPECT_EQ(body, "hello");
}

TEST(CurlTransport, ASlowReceiverIsNotSilence) {
  CurlBench bench;
  const std::string origin = bench.Serve([](const TestRequest&) {
    TestResponse response;
    response.body = std::string(3u << 20, 'x');
    return response;
  });
  class Slow : public ResponseSink, public Writer {
   public:
    Writer* Begin(const HttpResponse&) override { return this; }
    void Write(Bytes bytes) override {
      if (total == 0)
        std::this_thread::sleep_for(std::chrono::milliseconds(1200));
      total += bytes.size();
    }
    size_t total = 0;
  } sink;
  HttpRequest request;
  request.url = origin + "/";
  request.idle_timeout = std::chrono::milliseconds(800);
  std::string body;
  bench.transport().Send(request, &sink, &body, CancelToken());
  EXPECT_EQ(sink.total, 3u << 20);
}

TEST(CurlTransport, LargeBodiesWithoutASinkAreRefused) {
  CurlBench bench;
  const std::string origin = bench.Serve([](const TestRequest& request) {
    TestResponse response;
    response.body =
        std::string(request.path == "/ok" ? 8u << 20 : (8u << 20) + 1, 'x');
    return response;
  });
  HttpRequest request;
  std::string body;
  request.url = origin + "/ok";
  bench.transport().Send(request, nullptr, &body, CancelToken());
  EXPECT_EQ(body.size(), 8u << 20);
  request.url = origin + "/more";
  EXPECT_THROW(bench.transport().Send(request, nullptr, &body, CancelToken()),
               TransportError);
}

TEST(CurlTransport, AnErrorsBodyIsCutAtOneMebibyte) {
  CurlBench bench;
  const std::string origin = bench.Serve([](const TestRequest&) {
    TestResponse response;
    response.status = 500;
    response.body = std::string(5u << 20, 'x');
    return response;
  });
  HttpRequest request;
  request.url = origin + "/";
  std::string body;
  RecordingSink sink(false);
  EXPECT_EQ(bench.transport().Send(request, &sink, &body, CancelToken()).status,
            500);
  EXPECT_EQ(body.size(), 1u << 20);
}

TEST(CurlTransport, UserInfoNeverShows) {
  CurlBench bench;
  HttpRequest request;
  request.url = "http://user:hunter2@127.0.0.1:1/p?sig=hunter3";
  std::string body;
  try {
    bench.transport().Send(request, nullptr, &body, CancelToken());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.Render().find("hunter"), std::string::npos);
  }
}

TEST(CurlTransport, ManyThreadsAtOnce) {
  CurlBench bench;
  const std::string origin = bench.Serve([](const TestRequest& request) {
    TestResponse response;
    response.body = request.path;
    return response;
  });
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        HttpRequest request;
        const std::string path =
            "/" + std::to_string(t) + "/" + std::to_string(i);
        request.url = origin + path;
        std::string body;
        bench.transport().Send(request, nullptr, &body, CancelToken());
        if (body != path) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(CurlTransport, MalformedUrlsAreRefused) {
  CurlBench bench;
  for (const char* url : {"", "file:///etc/passwd", "gopher://h/", "h/p"}) {
    HttpRequest request;
    request.url = url;
    std::string body;
    EXPECT_THROW(bench.transport().Send(request, nullptr, &body, CancelToken()),
                 TransportError)
        << url;
  }
}

}  // namespace
}  // namespace imgbuild::registry
