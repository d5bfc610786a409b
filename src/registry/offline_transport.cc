#include "imgbuild/registry/offline_transport.h"

namespace imgbuild::registry {
namespace {

class OfflineTransport : public HttpTransport {
 public:
  explicit OfflineTransport(std::string reason) : reason_(std::move(reason)) {}

  HttpResponse Send(const HttpRequest& request, ResponseSink*, std::string*,
                    const CancelToken&) override {
    // A query may hold what is nobody's business.
    const std::string url = request.url.substr(0, request.url.find('?'));
    throw Error(ErrorCode::kPolicy,
                reason_ + " forbids the network: " + request.method + " " + url)
        .WithHint(
            "`imgbuild lock fetch` brings what the lock names into the "
            "store");
  }

 private:
  const std::string reason_;
};

}  // namespace

std::unique_ptr<HttpTransport> NewOfflineTransport(const std::string& reason) {
  return std::make_unique<OfflineTransport>(reason);
}

}  // namespace imgbuild::registry
