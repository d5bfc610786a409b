// One GET of any http(s) URL, redirects followed: what ADD fetches. No
// registry credentials ever go along.
#ifndef IMGBUILD_REGISTRY_DOWNLOAD_H_
#define IMGBUILD_REGISTRY_DOWNLOAD_H_

#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/registry/transport.h"

namespace imgbuild::registry {

// What a server said of a file, to ask again whether it is still the same.
struct Validators {
  std::string etag;
  std::string last_modified;
  bool empty() const { return etag.empty() && last_modified.empty(); }
};

struct Download {
  bool not_modified = false;  // `known` still holds; nothing was written
  Validators validators;
};

// Writes the body of a 200 to `out`. `authorization`: the value of the header,
// for the origin of `url` and no other; "" for none. Throws Error(kRegistry):
// not http(s), too many redirects, from https to http, any other status, a
// broken transfer.
Download DownloadUrl(HttpTransport& transport, const std::string& url,
                     const Validators& known, Writer& out,
                     const CancelToken& cancel,
                     const std::string& authorization = "");

// Of an http(s) URL: "https://host:8443" and "host". nullopt for any other.
struct HttpOrigin {
  std::string origin;
  std::string host;
};
std::optional<HttpOrigin> SplitHttpUrl(const std::string& url);

// RFC 4648, with padding.
std::string EncodeBase64(std::string_view bytes);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_REGISTRY_DOWNLOAD_H_
