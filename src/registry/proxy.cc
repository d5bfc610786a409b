#include "registry/proxy.h"

#include <arpa/inet.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "imgbuild/util/strings.h"

namespace imgbuild::registry {
namespace {

std::string Env(const char* upper, const char* lower) {
  const char* value = std::getenv(upper);
  if (value == nullptr || *value == '\0') value = std::getenv(lower);
  return value == nullptr ? "" : value;
}

struct IpAddress {
  std::array<unsigned char, 16> bytes{};
  unsigned bits = 0;  // 32 or 128
};

std::optional<IpAddress> ParseIp(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  const std::string copy(text);
  IpAddress ip;
  if (::inet_pton(AF_INET, copy.c_str(), ip.bytes.data()) == 1) {
    ip.bits = 32;
    return ip;
  }
  if (::inet_pton(AF_INET6, copy.c_str(), ip.bytes.data()) == 1) {
    ip.bits = 128;
    return ip;
  }
  return std::nullopt;
}

bool Contains(const IpAddress& network, unsigned prefix, const IpAddress& ip) {
  if (ip.bits != network.bits || prefix > ip.bits) return false;
  const unsigned whole = prefix / 8;
  if (std::memcmp(ip.bytes.data(), network.bytes.data(), whole) != 0) {
    return false;
  }
  const unsigned rest = prefix % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<unsigned char>(0xff << (8 - rest));
  return (ip.bytes[whole] & mask) == (network.bytes[whole] & mask);
}

std::string PortOf(const Url& url) {
  if (!url.port.empty()) return url.port;
  return url.scheme == "https" ? "443" : "80";
}

// One entry of NO_PROXY.
bool Excludes(std::string entry, const Url& url) {
  entry = ToLower(Trim(entry));
  if (entry.empty()) return false;
  if (entry == "*") return true;
  const std::optional<IpAddress> ip = ParseIp(url.host);
  if (entry.find('/') != std::string::npos) return InNetwork(url.host, entry);
  if (const auto address = ParseIp(entry)) {
    return ip && Contains(*address, address->bits, *ip);
  }
  if (const size_t colon = entry.rfind(':'); colon != std::string::npos) {
    if (entry.substr(colon + 1) != PortOf(url)) return false;
    entry.resize(colon);
    if (const auto address = ParseIp(entry)) {
      return ip && Contains(*address, address->bits, *ip);
    }
  }
  if (entry.starts_with("*.")) entry.erase(0, 1);
  if (entry.starts_with(".")) return url.host.ends_with(entry);
  return url.host == entry || url.host.ends_with("." + entry);
}

}  // namespace

bool InNetwork(std::string_view host, std::string_view network) {
  const size_t slash = network.find('/');
  if (slash == std::string_view::npos) return false;
  const auto ip = ParseIp(host);
  const auto base = ParseIp(network.substr(0, slash));
  const auto prefix = ParseUint(network.substr(slash + 1));
  return ip && base && prefix && *prefix <= 128 &&
         Contains(*base, static_cast<unsigned>(*prefix), *ip);
}

ProxySettings ProxySettings::FromEnvironment() {
  return {Env("HTTP_PROXY", "http_proxy"), Env("HTTPS_PROXY", "https_proxy"),
          Env("NO_PROXY", "no_proxy")};
}

std::string ProxyFor(const ProxySettings& settings, const Url& url) {
  const std::string& proxy =
      url.scheme == "https" ? settings.https : settings.http;
  if (proxy.empty() || IsLoopbackHost(url.host)) return "";
  for (const std::string& entry : Split(settings.no_proxy, ',')) {
    if (Excludes(entry, url)) return "";
  }
  return proxy.find("://") == std::string::npos ? "http://" + proxy : proxy;
}

}  // namespace imgbuild::registry
