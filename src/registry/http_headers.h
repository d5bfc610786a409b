// Values inside HTTP headers, read by pure functions.
#ifndef IMGBUILD_SRC_REGISTRY_HTTP_HEADERS_H_
#define IMGBUILD_SRC_REGISTRY_HTTP_HEADERS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/registry/transport.h"

namespace imgbuild::registry {

// One challenge of WWW-Authenticate. Parameter names are lower case.
struct Challenge {
  std::string scheme;  // lower case: "bearer", "basic"
  std::map<std::string, std::string> params;
  bool operator==(const Challenge&) const = default;
};
// All challenges of all WWW-Authenticate headers, in order. What cannot be
// understood is skipped up to the next scheme.
std::vector<Challenge> ParseChallenges(const Headers& headers);

// Retry-After: seconds, or an HTTP date compared with `now` (a date in the
// past is 0). nullopt when absent or malformed.
std::optional<int64_t> ParseRetryAfter(const Headers& headers, int64_t now);
// "Sun, 06 Nov 1994 08:49:37 GMT" -> seconds since 1970.
std::optional<int64_t> ParseHttpDate(std::string_view text);

// The target of rel="next" in Link headers.
std::optional<std::string> ParseNextLink(const Headers& headers);

// Content-Range of a 206: "bytes FIRST-LAST/TOTAL".
struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;
  std::optional<uint64_t> total;  // "*" is nullopt
};
std::optional<ContentRange> ParseContentRange(std::string_view text);
// The Range of an upload's status: "0-1023" or "bytes=0-1023" -> 1024, the
// number of bytes received. "0-0" is ambiguous and means 0 (distribution's
// registries answer it for an empty session).
std::optional<uint64_t> ParseUploadRange(std::string_view text);

// The media type without its parameters, lower case.
std::string MediaTypeOf(const Headers& headers);
std::optional<uint64_t> ContentLength(const Headers& headers);

// The texts of `Warning: 299 - "text"` headers.
std::vector<std::string> ParseWarnings(const Headers& headers);

// Text of the outside made fit for one line of a message: control characters
// replaced, cut at `cap` bytes.
std::string Printable(std::string_view text, size_t cap);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_HTTP_HEADERS_H_
