// A registry in memory that speaks the distribution specification: manifests,
// blobs with ranges, uploads in pieces, mounts, tag lists with pages, Basic
// and token authentication. A TestHandler, so it runs with and without sockets.
#ifndef IMGBUILD_TESTS_SUPPORT_FAKE_REGISTRY_H_
#define IMGBUILD_TESTS_SUPPORT_FAKE_REGISTRY_H_

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "support/http_handler.h"

namespace imgbuild::testing {

class FakeRegistry {
 public:
  enum class Auth { kNone, kBasic, kToken };

  // Settings; set them before the first request.
  Auth auth = Auth::kNone;
  std::string username = "ada";
  std::string password = "s3cr3t-pass";
  std::string identity_token;  // accepted by the token server, if set
  std::string realm;           // token server; empty: ORIGIN/token
  int token_expires_in = 300;
  bool anonymous_pull = false;  // the token server gives pull to anybody
  bool ranges = true;           // blobs answer Range
  bool mounts = true;
  bool digest_header = true;  // Docker-Content-Digest on manifests
  bool single_put = true;     // PUT with the whole body is accepted
  size_t max_request = 0;     // 413 for larger bodies; 0: no limit
  size_t tags_per_page = 0;
  std::string blob_redirect;  // origin that blobs are fetched from

  TestResponse Handle(const TestRequest& request);
  TestHandler Handler() {
    return [this](const TestRequest& request) { return Handle(request); };
  }

  // Content; returns the digest ("sha256:…").
  std::string AddBlob(const std::string& repository, const std::string& bytes);
  std::string AddManifest(const std::string& repository, const std::string& tag,
                          const std::string& bytes, const std::string& type);
  // A whole image of one layer; returns the manifest's digest.
  std::string AddImage(const std::string& repository, const std::string& tag,
                       const std::string& layer);
  std::string Blob(const std::string& repository, const std::string& digest);
  // Manifest bytes under a tag or a digest; "" when absent.
  std::string Manifest(const std::string& repository, const std::string& name);
  size_t open_uploads();
  // Every token given so far stops working.
  void RevokeTokens();

 private:
  struct Upload {
    std::string repository;
    std::string bytes;
  };
  struct Stored {
    std::string bytes;
    std::string type;
  };

  TestResponse Token(const TestRequest& request);
  bool Authorised(const TestRequest& request, TestResponse* refusal);
  TestResponse Manifests(const TestRequest& request, const std::string& repo,
                         const std::string& name);
  TestResponse Blobs(const TestRequest& request, const std::string& repo,
                     const std::string& digest);
  TestResponse StartUpload(const TestRequest& request, const std::string& repo);
  TestResponse ContinueUpload(const TestRequest& request,
                              const std::string& repo, const std::string& id);
  TestResponse Tags(const TestRequest& request, const std::string& repo);

  std::mutex mutex_;
  std::map<std::string, std::map<std::string, std::string>> blobs_;
  std::map<std::string, std::map<std::string, Stored>> manifests_;
  std::map<std::string, std::map<std::string, std::string>> tags_;
  std::map<std::string, Upload> uploads_;
  std::map<std::string, std::set<std::string>> tokens_;  // token -> scopes
  int next_id_ = 0;
};

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_FAKE_REGISTRY_H_
