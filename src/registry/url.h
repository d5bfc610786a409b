// URLs as far as a registry client needs them: split, resolve a Location
// against the request, append to a query, and show one without its secrets.
#ifndef IMGBUILD_SRC_REGISTRY_URL_H_
#define IMGBUILD_SRC_REGISTRY_URL_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::registry {

struct Url {
  std::string scheme;     // "http" or "https", lower case
  std::string user_info;  // "user:password", still escaped; usually empty
  std::string host;       // lower case; "[::1]" keeps its brackets
  std::string port;       // empty: the scheme's own
  std::string path;       // begins with '/'
  std::string query;      // without '?'

  // Absolute http(s) URLs only; a fragment is dropped. nullopt otherwise, also
  // for control characters, white space and absurd lengths.
  static std::optional<Url> Parse(std::string_view text);
  std::string ToString() const;
  // "https://host:port" with the default port left out: what may share
  // credentials.
  std::string Origin() const;
  // "host" or "host:port" as it was written.
  std::string HostPort() const;
  // `location` may be absolute, "//host/path", "/path", "path" or "?query".
  std::optional<Url> Resolve(std::string_view location) const;
  // Appends to what is there; the value is percent-encoded.
  void AddQuery(std::string_view name, std::string_view value);
};

using Query = std::vector<std::pair<std::string, std::string>>;
// application/x-www-form-urlencoded, for queries and bodies.
std::string EncodeForm(const Query& fields);
std::string PercentEncode(std::string_view text);

// Without user info and without the query (pre-signed URLs carry their
// signature there): what may be shown.
std::string Redacted(std::string_view url);

// localhost, 127.0.0.0/8, ::1: where plain http needs no flag.
bool IsLoopbackHost(std::string_view host);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_URL_H_
