#include "registry/url.h"

#include <algorithm>
#include <array>

#include "imgbuild/util/strings.h"

namespace imgbuild::registry {
namespace {

// Pre-signed locations reach 2 KB; nothing sane is longer than this.
constexpr size_t kMaxUrl = 16 * 1024;

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

bool HasBadByte(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '\\';
  });
}

// host, host:port, [v6], [v6]:port
bool SplitHost(std::string_view authority, Url* url) {
  size_t colon = std::string_view::npos;
  if (!authority.empty() && authority.front() == '[') {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return false;
    if (close + 1 < authority.size()) {
      if (authority[close + 1] != ':') return false;
      colon = close + 1;
    }
  } else {
    colon = authority.find(':');
  }
  url->host = ToLower(authority.substr(0, colon));
  if (colon != std::string_view::npos) {
    const std::string_view port = authority.substr(colon + 1);
    if (!port.empty()) {
      const auto number = ParseUint(port);
      if (!number || *number == 0 || *number > 65535) return false;
      url->port = std::string(port);
    }
  }
  return !url->host.empty();
}

// "." and ".." of a merged relative path.
std::string RemoveDotSegments(std::string_view path) {
  std::vector<std::string> out;
  const std::vector<std::string> parts = Split(path, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    if (parts[i] == ".") {
      if (last) out.emplace_back();
    } else if (parts[i] == "..") {
      if (out.size() > 1) out.pop_back();
      if (last) out.emplace_back();
    } else {
      out.push_back(parts[i]);
    }
  }
  std::string joined = Join(out, "/");
  return joined.empty() || joined.front() != '/' ? "/" + joined : joined;
}

}  // namespace

std::optional<Url> Url::Parse(std::string_view text) {
  if (text.size() > kMaxUrl || HasBadByte(text)) return std::nullopt;
  text = text.substr(0, text.find('#'));
  const size_t colon = text.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  Url url;
  url.scheme = ToLower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  text.remove_prefix(colon + 3);
  const size_t end = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, end);
  text.remove_prefix(end);
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    url.user_info = std::string(authority.substr(0, at));
    authority.remove_prefix(at + 1);
  }
  if (!SplitHost(authority, &url)) return std::nullopt;
  const size_t question = text.find('?');
  url.path = std::string(text.substr(0, question));
  if (url.path.empty()) url.path = "/";
  if (question != std::string_view::npos) {
    url.query = std::string(text.substr(question + 1));
  }
  return url;
}

std::string Url::HostPort() const {
  return port.empty() ? host : host + ":" + port;
}

std::string Url::Origin() const {
  const bool is_default = port.empty() ||
                          (scheme == "https" && port == "443") ||
                          (scheme == "http" && port == "80");
  return scheme + "://" + (is_default ? host : host + ":" + port);
}

std::string Url::ToString() const {
  std::string text = scheme + "://";
  if (!user_info.empty()) text += user_info + "@";
  text += HostPort() + path;
  if (!query.empty()) text += "?" + query;
  return text;
}

std::optional<Url> Url::Resolve(std::string_view location) const {
  if (location.size() > kMaxUrl || HasBadByte(location)) return std::nullopt;
  location = location.substr(0, location.find('#'));
  if (location.starts_with("//")) {
    return Parse(scheme + ":" + std::string(location));
  }
  const size_t special = location.find_first_of(":/?");
  if (special != std::string_view::npos && location[special] == ':') {
    return Parse(location);
  }
  Url url = *this;
  const size_t question = location.find('?');
  const std::string_view path_part = location.substr(0, question);
  url.query = question == std::string_view::npos
                  ? ""
                  : std::string(location.substr(question + 1));
  if (path_part.empty()) {
    if (question == std::string_view::npos) url.query = query;
  } else if (path_part.front() == '/') {
    url.path = std::string(path_part);
  } else {
    url.path = RemoveDotSegments(path.substr(0, path.rfind('/') + 1) +
                                 std::string(path_part));
  }
  return url;
}

void Url::AddQuery(std::string_view name, std::string_view value) {
  if (!query.empty()) query += '&';
  query += PercentEncode(name) + "=" + PercentEncode(value);
}

std::string PercentEncode(std::string_view text) {
  static constexpr std::array<char, 17> kHex = {"0123456789ABCDEF"};
  std::string out;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string EncodeForm(const Query& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    out += PercentEncode(name) + "=" + PercentEncode(value);
  }
  return out;
}

std::string Redacted(std::string_view url) {
  std::optional<Url> parsed = Url::Parse(url);
  if (!parsed) return "(malformed URL)";
  parsed->user_info.clear();
  parsed->query.clear();
  return parsed->ToString();
}

bool IsLoopbackHost(std::string_view host) {
  if (host == "localhost" || host.ends_with(".localhost") || host == "[::1]" ||
      host == "::1") {
    return true;
  }
  // Four plain numbers, so that "127.evil.example" is not taken for one.
  const std::vector<std::string> parts = Split(host, '.');
  return parts.size() == 4 && parts[0] == "127" &&
         std::all_of(parts.begin(), parts.end(), [](const std::string& part) {
           const auto number = ParseUint(part);
           return number && *number <= 255;
         });
}

}  // namespace imgbuild::registry
