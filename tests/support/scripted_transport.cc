#include "support/scripted_transport.h"

#include <algorithm>

namespace imgbuild::testing {
namespace {

using registry::TransportError;

// "https://h:1/a?b" -> origin, path, query.
TestRequest SplitUrl(const std::string& url) {
  TestRequest out;
  const size_t slash = url.find('/', url.find("://") + 3);
  out.origin = url.substr(0, slash);
  const std::string target =
      slash == std::string::npos ? "/" : url.substr(slash);
  const size_t question = target.find('?');
  out.path = target.substr(0, question);
  if (question != std::string::npos) out.query = target.substr(question + 1);
  return out;
}

std::string ReadBody(const registry::HttpRequest& request) {
  if (request.body_reader == nullptr) return request.body;
  std::string out;
  std::string buffer(64 * 1024, '\0');
  for (;;) {
    const size_t n = request.body_reader->Read(
        std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
    if (n == 0) return out;
    out.append(buffer, 0, n);
  }
}

}  // namespace

void ScriptedTransport::Serve(const std::string& origin, TestHandler handler) {
  const std::lock_guard lock(mutex_);
  handlers_[origin] = std::move(handler);
}

std::vector<TestRequest> ScriptedTransport::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<std::string> ScriptedTransport::Log() const {
  std::vector<std::string> out;
  for (const TestRequest& request : requests()) {
    out.push_back(request.method + " " + request.origin + request.Target());
  }
  return out;
}

registry::TlsOptions ScriptedTransport::TlsOf(const std::string& origin) const {
  const std::lock_guard lock(mutex_);
  const auto found = tls_.find(origin);
  return found == tls_.end() ? registry::TlsOptions{} : found->second;
}

registry::HttpResponse ScriptedTransport::Send(
    const registry::HttpRequest& request, registry::ResponseSink* sink,
    std::string* body, const CancelToken& cancel) {
  cancel.Check();
  TestRequest seen = SplitUrl(request.url);
  seen.method = request.method;
  seen.headers = request.headers;
  seen.body = ReadBody(request);
  TestHandler handler;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(seen);
    tls_[seen.origin] = request.tls;
    const auto found = handlers_.find(seen.origin);
    handler = found == handlers_.end() ? fallback_ : found->second;
  }
  const std::string what =
      request.method + " " + seen.origin + seen.path + ": ";
  if (!handler) {
    throw TransportError(TransportError::Kind::kConnect,
                         what + "connection refused");
  }
  TestResponse answer = handler(seen);
  if (answer.no_answer || answer.garbage) {
    throw TransportError(TransportError::Kind::kTransfer,
                         what + "connection reset");
  }
  registry::HttpResponse response;
  response.status = answer.status;
  response.url = seen.origin + seen.path;
  response.headers = answer.headers;
  const size_t declared = answer.declared_length.value_or(answer.body.size());
  if (!answer.omit_length && !answer.chunked) {
    response.headers.emplace_back("Content-Length", std::to_string(declared));
  }
  if (body != nullptr) body->clear();
  Writer* writer = sink != nullptr ? sink->Begin(response) : nullptr;
  if (request.method == "HEAD") return response;
  std::string sent = answer.body;
  const bool breaks = answer.cut_after || answer.stall_after ||
                      (answer.declared_length && declared > sent.size());
  if (answer.cut_after) sent.resize(std::min(sent.size(), *answer.cut_after));
  if (answer.stall_after) {
    sent.resize(std::min(sent.size(), *answer.stall_after));
  }
  if (answer.declared_length && declared < sent.size()) sent.resize(declared);
  // In pieces, as a network delivers.
  for (size_t at = 0; at < sent.size(); at += 8192) {
    const std::string_view piece = std::string_view(sent).substr(at, 8192);
    if (writer != nullptr) {
      writer->Write(AsBytes(piece));
    } else if (body != nullptr) {
      body->append(piece);
    }
  }
  if (breaks) {
    throw TransportError(TransportError::Kind::kTransfer,
                         what + "connection reset");
  }
  return response;
}

}  // namespace imgbuild::testing
