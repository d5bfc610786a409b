// Which proxy, if any, a request goes through. The rules are those of Go's
// net/http, because Docker's users have set their variables by them.
#ifndef IMGBUILD_SRC_REGISTRY_PROXY_H_
#define IMGBUILD_SRC_REGISTRY_PROXY_H_

#include <string>
#include <string_view>

#include "registry/url.h"

namespace imgbuild::registry {

struct ProxySettings {
  std::string http;      // HTTP_PROXY or http_proxy
  std::string https;     // HTTPS_PROXY or https_proxy
  std::string no_proxy;  // NO_PROXY or no_proxy

  static ProxySettings FromEnvironment();
};

// True when `host` is an address inside the network "10.0.0.0/8".
bool InNetwork(std::string_view host, std::string_view network);

// The proxy's URL, or "" for a direct connection. Loopback hosts are always
// reached directly. NO_PROXY entries: "*", host (and its subdomains), ".host"
// (subdomains only), IP, CIDR, each with an optional ":port".
std::string ProxyFor(const ProxySettings& settings, const Url& url);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_PROXY_H_
