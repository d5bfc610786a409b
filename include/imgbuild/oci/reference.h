// The name of an image as people write it: NAME, NAME:TAG, NAME@DIGEST,
// NAME:TAG@DIGEST; one parsed type for every command and the Dockerfile.
// Grammar and normalisation: distribution/reference.
#ifndef IMGBUILD_OCI_REFERENCE_H_
#define IMGBUILD_OCI_REFERENCE_H_

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/oci/digest.h"

namespace imgbuild::oci {

// Registry and path, normalised: "docker.io/library/alpine".
class Repository {
 public:
  // Throws Error(kUsage).
  static Repository Parse(std::string_view text);
  // "docker.io", "127.0.0.1:5000".
  const std::string& domain() const { return domain_; }
  // "library/alpine".
  const std::string& path() const { return path_; }
  // Where requests go: docker.io -> registry-1.docker.io.
  std::string RegistryHost() const;
  std::string ToString() const { return domain_ + "/" + path_; }
  // Without docker.io/ and library/: what `images` shows.
  std::string Familiar() const;
  auto operator<=>(const Repository&) const = default;

 private:
  friend class Reference;
  Repository(std::string domain, std::string path)
      : domain_(std::move(domain)), path_(std::move(path)) {}
  std::string domain_;
  std::string path_;
};

class Reference {
 public:
  // Throws Error(kUsage, "invalid reference format…") with a hint where one
  // helps (upper case, empty tag, 64 hex digits).
  static Reference Parse(std::string_view text);
  static std::optional<Reference> TryParse(std::string_view text);
  Reference(Repository repository, std::optional<std::string> tag,
            std::optional<Digest> digest);

  const Repository& repository() const { return repository_; }
  const std::optional<std::string>& tag() const { return tag_; }
  const std::optional<Digest>& digest() const { return digest_; }

  // Adds ":latest" only when there is neither tag nor digest.
  Reference WithDefaultTag() const;
  Reference WithDigest(Digest digest) const;
  Reference WithoutDigest() const;
  Reference WithTag(std::string tag) const;
  // What a registry is asked for: the digest if there is one, else the tag,
  // else "latest".
  std::string Object() const;
  // "docker.io/library/alpine:3.20@sha256:…".
  std::string ToString() const;
  std::string Familiar() const;
  auto operator<=>(const Reference&) const = default;

 private:
  Repository repository_;
  std::optional<std::string> tag_;
  std::optional<Digest> digest_;
};

// [A-Za-z0-9_][A-Za-z0-9._-]{0,127}
bool IsValidTag(std::string_view tag);

}  // namespace imgbuild::oci

#endif  // IMGBUILD_OCI_REFERENCE_H_
