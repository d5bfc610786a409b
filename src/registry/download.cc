#include "imgbuild/registry/download.h"

#include <fmt/format.h>

#include <charconv>

#include "imgbuild/util/strings.h"

#include "registry/base64.h"
#include "registry/url.h"

namespace imgbuild::registry {
namespace {

constexpr int kMaxRedirects = 10;
constexpr int kAttempts = 3;

// The body of a 200 goes to the caller; whether any of it did decides whether
// the request may be made again.
class BodySink : public ResponseSink, public Writer {
 public:
  explicit BodySink(Writer& out) : out_(out) {}
  Writer* Begin(const HttpResponse& response) override {
    return response.status == 200 ? this : nullptr;
  }
  void Write(Bytes bytes) override {
    started_ = true;
    out_.Write(bytes);
  }
  bool started() const { return started_; }

 private:
  Writer& out_;
  bool started_ = false;
};

HttpResponse SendPatiently(HttpTransport& transport, const HttpRequest& request,
                           BodySink& sink, const CancelToken& cancel) {
  for (int attempt = 1;; ++attempt) {
    std::string ignored;
    try {
      return transport.Send(request, &sink, &ignored, cancel);
    } catch (const TransportError& error) {
      if (!error.temporary() || sink.started() || attempt == kAttempts) throw;
    }
  }
}

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    const char* const end = text.data() + i + 3;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, end, value, 16).ptr == end) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

}  // namespace

Download DownloadUrl(HttpTransport& transport, const std::string& url,
                     const Validators& known, Writer& out,
                     const CancelToken& cancel,
                     const std::string& authorization) {
  const auto fail = [&](std::string_view why) {
    return Error(ErrorCode::kRegistry,
                 fmt::format("get {}: {}", Redacted(url), why));
  };
  auto at = Url::Parse(url);
  if (!at) throw fail("it is not a URL");
  // User info goes along as a header, so that no message can show it, and to
  // no other host.
  std::string credentials = authorization;
  if (credentials.empty() && !at->user_info.empty()) {
    credentials = "Basic " + Base64Encode(Unescape(at->user_info));
  }
  at->user_info.clear();
  const std::string origin = at->Origin();
  BodySink sink(out);
  for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
    HttpRequest request;
    request.url = at->ToString();
    if (!credentials.empty() && at->Origin() == origin) {
      request.headers.emplace_back("Authorization", credentials);
    }
    if (!known.etag.empty()) {
      request.headers.emplace_back("If-None-Match", known.etag);
    }
    if (!known.last_modified.empty()) {
      request.headers.emplace_back("If-Modified-Since", known.last_modified);
    }
    const HttpResponse response =
        SendPatiently(transport, request, sink, cancel);
    if (IsRedirect(response.status)) {
      const auto location = FindHeader(response.headers, "Location");
      const auto next = location ? at->Resolve(*location) : std::nullopt;
      if (!next) throw fail("a redirect that leads nowhere");
      if (at->scheme == "https" && next->scheme == "http") {
        throw fail("a redirect from https to http");
      }
      at = next;
      at->user_info.clear();
      continue;
    }
    if (response.status == 304 && !known.empty()) return {true, known};
    if (response.status != 200) {
      throw fail(
          fmt::format("the server answered with status {}", response.status));
    }
    return {false,
            {FindHeader(response.headers, "ETag").value_or(""),
             FindHeader(response.headers, "Last-Modified").value_or("")}};
  }
  throw fail("too many redirects");
}

std::optional<HttpOrigin> SplitHttpUrl(const std::string& url) {
  const auto parsed = Url::Parse(url);
  if (!parsed) return std::nullopt;
  if (parsed->scheme != "http" && parsed->scheme != "https") {
    return std::nullopt;
  }
  return HttpOrigin{parsed->Origin(), parsed->host};
}

std::string EncodeBase64(std::string_view bytes) { return Base64Encode(bytes); }

}  // namespace imgbuild::registry
