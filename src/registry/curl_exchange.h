// One HTTP exchange on a libcurl handle: what the callbacks share.
#ifndef IMGBUILD_SRC_REGISTRY_CURL_EXCHANGE_H_
#define IMGBUILD_SRC_REGISTRY_CURL_EXCHANGE_H_

#include <chrono>
#include <exception>
#include <memory>
#include <string>

#include "imgbuild/registry/transport.h"

#include "registry/curl_api.h"

namespace imgbuild::registry {

inline constexpr size_t kMaxResponseBody = 8u << 20;
inline constexpr size_t kMaxErrorBody = 1u << 20;

class CurlExchange {
 public:
  CurlExchange(const CurlApi& api, const HttpRequest& request,
               ResponseSink* sink, std::string* body);
  CurlExchange(const CurlExchange&) = delete;
  CurlExchange& operator=(const CurlExchange&) = delete;
  ~CurlExchange();

  // Sets method, headers, body and callbacks on `easy`; `this` must live until
  // the handle is reset.
  void Configure(CURL* easy);
  // What became of it, once libcurl is done. Throws what a callback threw,
  // else TransportError.
  HttpResponse Finish(CURLcode code);

  std::chrono::steady_clock::time_point last_activity() const {
    return last_activity_;
  }
  std::string What() const;  // "GET https://…", redacted

 private:
  static size_t OnHeader(char* data, size_t size, size_t count, void* self);
  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static size_t OnRead(char* data, size_t size, size_t count, void* self);
  static int OnSeek(void* self, curl_off_t offset, int origin);

  void HeaderLine(std::string_view line);
  void BodyBytes(std::string_view bytes);
  void BeginBody();
  TransportError Failure(CURLcode code) const;

  const CurlApi& api_;
  const HttpRequest& request_;
  ResponseSink* sink_;
  std::string* body_;
  curl_slist* header_list_ = nullptr;
  std::string error_text_;  // CURL_ERROR_SIZE bytes, filled by libcurl

  HttpResponse response_;
  size_t header_bytes_ = 0;
  bool begun_ = false;
  bool enough_ = false;  // the rest of an error's body is not wanted
  Writer* writer_ = nullptr;
  size_t sent_ = 0;  // of request_.body
  std::exception_ptr thrown_;
  std::chrono::steady_clock::time_point last_activity_;
};

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_CURL_EXCHANGE_H_
