#include "imgbuild/oci/reference.h"

#include <algorithm>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::oci {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kLegacyDomain = "index.docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxTagBytes = 128;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLowerAlnum(char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); }
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsAlnum(char c) { return IsLetter(c) || IsDigit(c); }
bool IsHex(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

template <typename Predicate>
bool All(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

// Alphanumerics with "-" inside: one component of a host name.
bool IsDomainComponent(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         All(text, [](char c) { return IsAlnum(c) || c == '-'; });
}

// host[:port], where host is a dotted name or an IPv6 address in brackets.
bool IsDomain(std::string_view text) {
  std::string_view host = text;
  std::string_view port;
  const size_t colon = text.rfind(':');
  const size_t bracket = text.rfind(']');
  if (colon != text.npos && (bracket == text.npos || colon > bracket)) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty() || !All(port, IsDigit)) return false;
  }
  if (host.starts_with('[')) {
    if (host.size() < 3 || !host.ends_with(']')) return false;
    return All(host.substr(1, host.size() - 2),
               [](char c) { return IsHex(c) || c == ':'; });
  }
  const auto components = Split(host, '.');
  return std::all_of(components.begin(), components.end(), IsDomainComponent);
}

// Lower-case alphanumerics separated by ".", "_", "__" or any number of "-".
bool IsPathComponent(std::string_view text) {
  if (text.empty() || !IsLowerAlnum(text.front()) ||
      !IsLowerAlnum(text.back())) {
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    if (IsLowerAlnum(text[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (!IsLowerAlnum(text[i]) && i + 1 < text.size()) ++i;
    const std::string_view separator = text.substr(begin, i - begin);
    if (separator != "." && separator != "_" && separator != "__" &&
        separator.find_first_not_of('-') != separator.npos) {
      return false;
    }
  }
  return true;
}

bool IsPath(std::string_view text) {
  const auto components = Split(text, '/');
  return std::all_of(components.begin(), components.end(), IsPathComponent);
}

// algorithm[+algorithm…]:hex, of at least 32 digits: what the grammar lets
// through before anybody knows the algorithm.
bool LooksLikeDigest(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return false;
  const std::string_view hex = text.substr(colon + 1);
  if (hex.size() < 32 || !All(hex, IsHex)) return false;
  bool start = true;  // a letter must come next
  for (const char c : text.substr(0, colon)) {
    if (start ? !IsLetter(c) : false) return false;
    start = c == '-' || c == '_' || c == '+' || c == '.';
    if (!start && !IsAlnum(c)) return false;
  }
  return !start;
}

// The hex digits of a whole image ID.
bool LooksLikeId(std::string_view text) {
  return text.size() == 64 && All(text, IsHex) && ToLower(text) == text;
}

Error Invalid(std::string detail = "") {
  return Error(ErrorCode::kUsage, "invalid reference format" + detail);
}

// The raw parts of a text, before any of them is checked.
struct Parts {
  std::string domain;
  std::string path;  // with "library/" where it belongs
  std::optional<std::string> tag;
  std::optional<std::string> digest;
};

Parts SplitParts(std::string_view text) {
  Parts parts;
  const size_t at = text.find('@');
  if (at != text.npos) {
    parts.digest = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const size_t slash = text.find('/');
  const std::string_view first = text.substr(0, slash);
  parts.domain = kDefaultDomain;
  if (slash != text.npos &&
      (first == "localhost" || first == kLegacyDomain ||
       first.find_first_of(".:") != first.npos || ToLower(first) != first)) {
    if (first != kLegacyDomain) parts.domain = first;
    text = text.substr(slash + 1);
  }
  const size_t colon = text.find(':');
  if (colon != text.npos) {
    parts.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  parts.path = text;
  if (parts.domain == kDefaultDomain && text.find('/') == text.npos) {
    parts.path = std::string(kOfficial) + parts.path;
  }
  return parts;
}

void CheckName(std::string_view text, const Parts& parts) {
  if (ToLower(parts.path) != parts.path) {
    throw Invalid(": repository name (" + parts.path + ") must be lowercase")
        .WithHint("write " + Quoted(ToLower(parts.path)));
  }
  if (!IsDomain(parts.domain) || !IsPath(parts.path)) {
    Error error = Invalid();
    if (text.find("://") != text.npos) {
      error.WithHint("write the registry's name without \"https://\"");
    }
    throw error;
  }
  if (parts.domain.size() + 1 + parts.path.size() > kMaxNameBytes) {
    throw Invalid(": repository name must not be more than 255 characters");
  }
}

void CheckTag(const std::string& tag) {
  if (IsValidTag(tag)) return;
  Error error = Invalid();
  if (tag.empty()) {
    error.WithHint("the tag after \":\" is empty");
  } else if (tag.size() > kMaxTagBytes) {
    error.WithHint("a tag has at most 128 characters");
  }
  throw error;
}

Digest ParseDigest(const std::string& text) {
  if (text.empty()) {
    throw Invalid().WithHint("the digest after \"@\" is empty");
  }
  if (!LooksLikeDigest(text)) {
    throw Invalid().WithHint(
        "a digest is \"sha256:\" and 64 lower-case hex digits");
  }
  auto digest = Digest::TryParse(text);
  if (digest) return *std::move(digest);
  try {
    return Digest::Parse(text);
  } catch (const Error& e) {
    throw Invalid(": " + e.message());
  }
}

}  // namespace

bool IsValidTag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTagBytes && tag.front() != '.' &&
         tag.front() != '-' && All(tag, [](char c) {
           return IsAlnum(c) || c == '_' || c == '.' || c == '-';
         });
}

Repository Repository::Parse(std::string_view text) {
  const Reference reference = Reference::Parse(text);
  if (reference.tag() || reference.digest()) {
    throw Error(ErrorCode::kUsage, "invalid repository name " + Quoted(text) +
                                       ": it must not have a tag or a digest");
  }
  return reference.repository();
}

std::string Repository::RegistryHost() const {
  return domain_ == kDefaultDomain ? "registry-1.docker.io" : domain_;
}

std::string Repository::Familiar() const {
  if (domain_ != kDefaultDomain) return ToString();
  if (!path_.starts_with(kOfficial)) return path_;
  const std::string_view name =
      std::string_view(path_).substr(kOfficial.size());
  // The short form must be read as the same name again.
  const bool ambiguous = name.find('/') != name.npos || LooksLikeId(name);
  return ambiguous ? path_ : std::string(name);
}

Reference Reference::Parse(std::string_view text) {
  if (LooksLikeId(text)) {
    throw Error(ErrorCode::kUsage,
                "invalid repository name (" + std::string(text) +
                    "), cannot specify 64-byte hexadecimal strings")
        .WithHint("to name an image by its digest, write NAME@sha256:" +
                  std::string(text));
  }
  Parts parts = SplitParts(text);
  CheckName(text, parts);
  if (parts.tag) CheckTag(*parts.tag);
  std::optional<Digest> digest;
  if (parts.digest) digest = ParseDigest(*parts.digest);
  return Reference(Repository(std::move(parts.domain), std::move(parts.path)),
                   std::move(parts.tag), std::move(digest));
}

std::optional<Reference> Reference::TryParse(std::string_view text) {
  try {
    return Parse(text);
  } catch (const Error&) {
    return std::nullopt;
  }
}

Reference::Reference(Repository repository, std::optional<std::string> tag,
                     std::optional<Digest> digest)
    : repository_(std::move(repository)),
      tag_(std::move(tag)),
      digest_(std::move(digest)) {}

Reference Reference::WithDefaultTag() const {
  if (tag_ || digest_) return *this;
  return Reference(repository_, "latest", std::nullopt);
}

Reference Reference::WithDigest(Digest digest) const {
  return Reference(repository_, tag_, std::move(digest));
}

Reference Reference::WithoutDigest() const {
  return Reference(repository_, tag_, std::nullopt);
}

Reference Reference::WithTag(std::string tag) const {
  if (!IsValidTag(tag)) {
    throw Error(ErrorCode::kUsage, "invalid tag " + Quoted(tag));
  }
  return Reference(repository_, std::move(tag), digest_);
}

std::string Reference::Object() const {
  return digest_ ? digest_->ToString() : tag_.value_or("latest");
}

std::string Reference::ToString() const {
  return repository_.ToString() + (tag_ ? ":" + *tag_ : "") +
         (digest_ ? "@" + digest_->ToString() : "");
}

std::string Reference::Familiar() const {
  return repository_.Familiar() + (tag_ ? ":" + *tag_ : "") +
         (digest_ ? "@" + digest_->ToString() : "");
}

}  // namespace imgbuild::oci
