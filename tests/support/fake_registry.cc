#include "support/fake_registry.h"

#include <algorithm>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::testing {
namespace {

constexpr const char* kOciManifest =
    "application/vnd.oci.image.manifest.v1+json";

std::string DigestOf(const std::string& bytes, const std::string& like = "") {
  return oci::Digest::OfBytes(bytes, like.starts_with("sha512:")
                                         ? oci::DigestAlgorithm::kSha512
                                         : oci::DigestAlgorithm::kSha256)
      .ToString();
}

std::string Base64(const std::string& text) {
  static const std::string alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned value = 0;
  int bits = 0;
  for (const char c : text) {
    value = value << 8 | static_cast<unsigned char>(c);
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      out += alphabet[value >> bits & 63];
    }
  }
  if (bits > 0) out += alphabet[value << (6 - bits) & 63];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

// The scope that a request needs: "repository:NAME:pull[,push]".
std::string NeededAction(const TestRequest& request) {
  return request.method == "GET" || request.method == "HEAD" ? "pull" : "push";
}

}  // namespace

std::string FakeRegistry::AddBlob(const std::string& repository,
                                  const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  const std::string digest = DigestOf(bytes);
  blobs_[repository][digest] = bytes;
  return digest;
}

std::string FakeRegistry::AddManifest(const std::string& repository,
                                      const std::string& tag,
                                      const std::string& bytes,
                                      const std::string& type) {
  const std::lock_guard lock(mutex_);
  const std::string digest = DigestOf(bytes);
  manifests_[repository][digest] = {bytes, type};
  if (!tag.empty()) tags_[repository][tag] = digest;
  return digest;
}

std::string FakeRegistry::AddImage(const std::string& repository,
                                   const std::string& tag,
                                   const std::string& layer) {
  const std::string config =
      R"({"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":)"
      R"("layers","diff_ids":[")" +
      DigestOf(layer) + R"("]}})";
  const std::string config_digest = AddBlob(repository, config);
  const std::string layer_digest = AddBlob(repository, layer);
  return AddManifest(
      repository, tag,
      R"({"schemaVersion":2,"mediaType":")" + std::string(kOciManifest) +
          R"(","config":{"mediaType":"application/vnd.oci.image.config.v1+)"
          R"(json","digest":")" +
          config_digest + R"(","size":)" + std::to_string(config.size()) +
          R"(},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.)"
          R"(tar","digest":")" +
          layer_digest + R"(","size":)" + std::to_string(layer.size()) + "}]}",
      kOciManifest);
}

std::string FakeRegistry::Blob(const std::string& repository,
                               const std::string& digest) {
  const std::lock_guard lock(mutex_);
  return blobs_[repository][digest];
}

std::string FakeRegistry::Manifest(const std::string& repository,
                                   const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto tag = tags_[repository].find(name);
  return manifests_[repository]
                   [tag == tags_[repository].end() ? name : tag->second]
                       .bytes;
}

size_t FakeRegistry::open_uploads() {
  const std::lock_guard lock(mutex_);
  return uploads_.size();
}

void FakeRegistry::RevokeTokens() {
  const std::lock_guard lock(mutex_);
  tokens_.clear();
}

TestResponse FakeRegistry::Token(const TestRequest& request) {
  const std::string basic = "Basic " + Base64(username + ":" + password);
  const std::string given = request.Header("Authorization");
  bool known = given == basic;
  std::string wanted;
  if (request.method == "POST") {
    TestRequest form;
    form.query = request.body;
    known = !identity_token.empty() &&
            form.Param("refresh_token").value_or("") == identity_token;
    wanted = form.Param("scope").value_or("");
    if (!known) return RegistryError(401, "UNAUTHORIZED", "bad token");
  } else {
    if (!given.empty() && !known) {
      return RegistryError(401, "UNAUTHORIZED", "incorrect user or password");
    }
    for (const std::string& part : Split(request.query, '&')) {
      if (part.starts_with("scope=")) {
        wanted += (wanted.empty() ? "" : " ") + PercentDecode(part.substr(6));
      }
    }
  }
  std::set<std::string> scopes;
  for (const std::string& scope : Split(wanted, ' ')) {
    const size_t colon = scope.rfind(':');
    if (colon == std::string::npos) continue;
    for (const std::string& action : Split(scope.substr(colon + 1), ',')) {
      if (known || (anonymous_pull && action == "pull")) {
        scopes.insert(scope.substr(0, colon + 1) + action);
      }
    }
  }
  if (!known && !anonymous_pull) {
    return RegistryError(401, "UNAUTHORIZED", "authentication required");
  }
  const std::string token = "token-" + std::to_string(++next_id_);
  tokens_[token] = scopes;
  return JsonResponse(200, R"({"token":")" + token + R"(","expires_in":)" +
                               std::to_string(token_expires_in) + "}");
}

bool FakeRegistry::Authorised(const TestRequest& request,
                              TestResponse* refusal) {
  const std::string given = request.Header("Authorization");
  if (auth == Auth::kNone) return true;
  *refusal = RegistryError(401, "UNAUTHORIZED", "authentication required");
  if (auth == Auth::kBasic) {
    refusal->headers.emplace_back("WWW-Authenticate",
                                  "Basic realm=\"registry\"");
    return given == "Basic " + Base64(username + ":" + password);
  }
  std::string challenge = "Bearer realm=\"" +
                          (realm.empty() ? request.origin + "/token" : realm) +
                          "\",service=\"fake\"";
  const std::string name = request.path.substr(
      4, std::min({request.path.find("/manifests/"),
                   request.path.find("/blobs/"), request.path.find("/tags/")}) -
             std::min<size_t>(4, request.path.size()));
  const std::string action = NeededAction(request);
  if (request.path != "/v2/") {
    challenge += ",scope=\"repository:" + name + ":" + action + "\"";
  }
  refusal->headers.emplace_back("WWW-Authenticate", challenge);
  if (!given.starts_with("Bearer ")) return false;
  const auto token = tokens_.find(given.substr(7));
  if (token == tokens_.end()) return false;
  return request.path == "/v2/" ||
         token->second.contains("repository:" + name + ":" + action);
}

TestResponse FakeRegistry::Handle(const TestRequest& request) {
  const std::lock_guard lock(mutex_);
  if (request.path == "/token") return Token(request);
  TestResponse refusal;
  if (!Authorised(request, &refusal)) return refusal;
  if (request.path == "/v2/") return JsonResponse(200, "{}");
  if (!request.path.starts_with("/v2/")) {
    return RegistryError(404, "NOT_FOUND", "no such page");
  }
  if (max_request > 0 && request.body.size() > max_request) {
    return RegistryError(413, "SIZE_INVALID", "request too large");
  }
  const std::string path = request.path.substr(4);
  if (const size_t at = path.find("/blobs/uploads/"); at != std::string::npos) {
    const std::string id = path.substr(at + 15);
    return id.empty() ? StartUpload(request, path.substr(0, at))
                      : ContinueUpload(request, path.substr(0, at), id);
  }
  if (const size_t at = path.find("/manifests/"); at != std::string::npos) {
    return Manifests(request, path.substr(0, at), path.substr(at + 11));
  }
  if (const size_t at = path.find("/blobs/"); at != std::string::npos) {
    return Blobs(request, path.substr(0, at), path.substr(at + 7));
  }
  if (path.ends_with("/tags/list")) {
    return Tags(request, path.substr(0, path.size() - 10));
  }
  return RegistryError(404, "NOT_FOUND", "no such page");
}

TestResponse FakeRegistry::Manifests(const TestRequest& request,
                                     const std::string& repo,
                                     const std::string& name) {
  if (request.method == "PUT") {
    const std::string digest = DigestOf(request.body, name);
    if (name.find(':') != std::string::npos && name != digest) {
      return RegistryError(400, "DIGEST_INVALID", "digest does not match");
    }
    manifests_[repo][digest] = {request.body, request.Header("Content-Type")};
    if (name.find(':') == std::string::npos) tags_[repo][name] = digest;
    TestResponse response;
    response.status = 201;
    response.headers = {{"Docker-Content-Digest", digest}};
    return response;
  }
  std::string digest = name;
  if (const auto tag = tags_[repo].find(name); tag != tags_[repo].end()) {
    digest = tag->second;
  }
  const auto found = manifests_[repo].find(digest);
  if (found == manifests_[repo].end()) {
    return RegistryError(404, "MANIFEST_UNKNOWN", "manifest unknown");
  }
  TestResponse response;
  response.body = found->second.bytes;
  response.headers = {{"Content-Type", found->second.type}};
  if (digest_header) {
    response.headers.emplace_back("Docker-Content-Digest", digest);
  }
  return response;
}

TestResponse FakeRegistry::Blobs(const TestRequest& request,
                                 const std::string& repo,
                                 const std::string& digest) {
  const auto found = blobs_[repo].find(digest);
  if (found == blobs_[repo].end()) {
    return RegistryError(404, "BLOB_UNKNOWN", "blob unknown to registry");
  }
  TestResponse response;
  if (!blob_redirect.empty() && request.method == "GET") {
    response.status = 307;
    response.headers = {{"Location", blob_redirect + "/cdn/" + digest +
                                         "?X-Signature=presigned-secret"}};
    return response;
  }
  response.headers = {{"Content-Type", "application/octet-stream"},
                      {"Docker-Content-Digest", digest}};
  response.body = found->second;
  const std::string range = request.Header("Range");
  if (ranges && range.starts_with("bytes=") && request.method == "GET") {
    const size_t from = std::stoul(range.substr(6));
    if (from >= found->second.size()) {
      return RegistryError(416, "RANGE_INVALID", "out of range");
    }
    response.status = 206;
    response.body = found->second.substr(from);
    response.headers.emplace_back(
        "Content-Range", "bytes " + std::to_string(from) + "-" +
                             std::to_string(found->second.size() - 1) + "/" +
                             std::to_string(found->second.size()));
  }
  return response;
}

TestResponse FakeRegistry::StartUpload(const TestRequest& request,
                                       const std::string& repo) {
  TestResponse response;
  const auto mount = request.Param("mount");
  const auto from = request.Param("from");
  if (mount && from && mounts && blobs_[*from].contains(*mount)) {
    blobs_[repo][*mount] = blobs_[*from][*mount];
    response.status = 201;
    response.headers = {{"Docker-Content-Digest", *mount}};
    return response;
  }
  const std::string id = "upload-" + std::to_string(++next_id_);
  uploads_[id] = {repo, ""};
  response.status = 202;
  response.headers = {
      {"Location", "/v2/" + repo + "/blobs/uploads/" + id + "?_state=a%2Fb"},
      {"Range", "0-0"}};
  return response;
}

TestResponse FakeRegistry::ContinueUpload(const TestRequest& request,
                                          const std::string& repo,
                                          const std::string& id) {
  const auto found = uploads_.find(id);
  if (found == uploads_.end() || found->second.repository != repo ||
      request.Param("_state").value_or("") != "a/b") {
    return RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown");
  }
  TestResponse response;
  std::string& bytes = found->second.bytes;
  const auto range = [&bytes] {
    return "0-" + std::to_string(bytes.empty() ? 0 : bytes.size() - 1);
  };
  response.headers = {
      {"Location", "/v2/" + repo + "/blobs/uploads/" + id + "?_state=a%2Fb"}};
  if (request.method == "GET") {
    response.status = 204;
    response.headers.emplace_back("Range", range());
    return response;
  }
  if (request.method == "DELETE") {
    uploads_.erase(found);
    response.status = 204;
    return response;
  }
  if (request.method == "PATCH") {
    const std::string wanted =
        std::to_string(bytes.size()) + "-" +
        std::to_string(bytes.size() + request.body.size() - 1);
    if (request.Header("Content-Range") != wanted) {
      response.status = 416;
      response.headers.emplace_back("Range", range());
      return response;
    }
    bytes += request.body;
    response.status = 202;
    response.headers.emplace_back("Range", range());
    return response;
  }
  if (!single_put && !request.body.empty()) {
    return RegistryError(413, "SIZE_INVALID", "send it in chunks");
  }
  const std::string digest = request.Param("digest").value_or("");
  const std::string all = bytes + request.body;
  if (DigestOf(all, digest) != digest) {
    return RegistryError(400, "DIGEST_INVALID", "digest does not match");
  }
  blobs_[repo][digest] = all;
  uploads_.erase(found);
  response.status = 201;
  response.headers = {{"Docker-Content-Digest", digest}};
  return response;
}

TestResponse FakeRegistry::Tags(const TestRequest& request,
                                const std::string& repo) {
  if (!tags_.contains(repo)) {
    return RegistryError(404, "NAME_UNKNOWN", "repository unknown");
  }
  const std::string last = request.Param("last").value_or("");
  std::string list;
  std::string final_tag;
  size_t count = 0;
  bool more = false;
  for (const auto& [tag, digest] : tags_[repo]) {
    if (tag <= last) continue;
    if (tags_per_page > 0 && count == tags_per_page) {
      more = true;
      break;
    }
    list += (list.empty() ? "\"" : ",\"") + tag + "\"";
    final_tag = tag;
    ++count;
  }
  TestResponse response =
      JsonResponse(200, R"({"name":")" + repo + R"(","tags":[)" + list + "]}");
  if (more) {
    response.headers.emplace_back("Link", "</v2/" + repo + "/tags/list?last=" +
                                              final_tag + ">; rel=\"next\"");
  }
  return response;
}

}  // namespace imgbuild::testing
