#include "support/fault_proxy.h"

#include "imgbuild/util/strings.h"

namespace imgbuild::testing {

FaultProxy& FaultProxy::Add(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
  return *this;
}

int FaultProxy::spoiled() const {
  const std::lock_guard lock(mutex_);
  return spoiled_;
}

TestResponse FaultProxy::Handle(const TestRequest& request) {
  Spoil spoil;
  bool instead = false;
  {
    const std::lock_guard lock(mutex_);
    for (Fault& fault : faults_) {
      if (!fault.method.empty() && fault.method != request.method) continue;
      if (request.Target().find(fault.path) == std::string::npos) continue;
      if (fault.after > 0) {
        --fault.after;
        continue;
      }
      if (fault.times == 0) continue;
      if (fault.times > 0) --fault.times;
      ++spoiled_;
      spoil = fault.spoil;
      instead = fault.instead;
      break;
    }
  }
  TestResponse response;
  if (!instead) response = upstream_(request);
  if (spoil) spoil(request, &response);
  return response;
}

TestHandler ForwardTo(const std::string& origin) {
  const std::shared_ptr<registry::HttpTransport> transport =
      registry::NewCurlTransport("fault-proxy");
  return [transport, origin](const TestRequest& request) {
    registry::HttpRequest out;
    out.method = request.method;
    out.url = origin + request.Target();
    out.body = request.body;
    for (const auto& [name, value] : request.headers) {
      if (EqualsIgnoreCase(name, "Host") ||
          EqualsIgnoreCase(name, "Content-Length")) {
        continue;
      }
      out.headers.emplace_back(name, value);
    }
    out.headers.emplace_back("Host", request.Header("Host"));
    TestResponse response;
    registry::HttpResponse in =
        transport->Send(out, nullptr, &response.body, CancelToken());
    response.status = in.status;
    for (auto& [name, value] : in.headers) {
      if (!EqualsIgnoreCase(name, "Content-Length") &&
          !EqualsIgnoreCase(name, "Transfer-Encoding")) {
        response.headers.emplace_back(name, std::move(value));
      } else if (request.method == "HEAD" &&
                 EqualsIgnoreCase(name, "Content-Length")) {
        response.declared_length = ParseUint(value);
      }
    }
    return response;
  };
}

Spoil Status(int status, TestHeaders headers, std::string body) {
  return [=](const TestRequest&, TestResponse* response) {
    *response = TestResponse{};
    response->status = status;
    response->headers = headers;
    response->body = body;
  };
}

Spoil CutAfter(size_t bytes) {
  return [=](const TestRequest&, TestResponse* response) {
    response->cut_after = bytes;
  };
}

Spoil StallAfter(size_t bytes) {
  return [=](const TestRequest&, TestResponse* response) {
    response->stall_after = bytes;
  };
}

Spoil Reset() {
  return [](const TestRequest&, TestResponse* response) {
    response->no_answer = true;
  };
}

Spoil Garbage() {
  return [](const TestRequest&, TestResponse* response) {
    response->garbage = true;
  };
}

Spoil FlipByte(size_t at) {
  return [=](const TestRequest&, TestResponse* response) {
    if (at < response->body.size()) response->body[at] ^= 0x20;
  };
}

Spoil DropHeader(const std::string& name) {
  return [=](const TestRequest&, TestResponse* response) {
    std::erase_if(response->headers, [&](const auto& header) {
      return EqualsIgnoreCase(header.first, name);
    });
  };
}

Spoil SetHeader(const std::string& name, const std::string& value) {
  return [=](const TestRequest& request, TestResponse* response) {
    DropHeader(name)(request, response);
    response->headers.emplace_back(name, value);
  };
}

Spoil DeclareLength(size_t bytes) {
  return [=](const TestRequest&, TestResponse* response) {
    response->declared_length = bytes;
  };
}

Spoil Truncate(size_t bytes) {
  return [=](const TestRequest&, TestResponse* response) {
    response->body.resize(std::min(bytes, response->body.size()));
  };
}

Spoil Append(const std::string& extra) {
  return [=](const TestRequest&, TestResponse* response) {
    response->body += extra;
  };
}

Spoil ReplaceBody(const std::string& body) {
  return [=](const TestRequest&, TestResponse* response) {
    response->body = body;
  };
}

Spoil Both(Spoil first, Spoil second) {
  return [=](const TestRequest& request, TestResponse* response) {
    first(request, response);
    second(request, response);
  };
}

}  // namespace imgbuild::testing
