// What goes out, and who we are.
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "registry/blob_upload.h"
#include "registry/client_impl.h"
#include "registry/registry_error.h"

namespace imgbuild::registry {
namespace {

constexpr size_t kMaxMounts = 3;

}  // namespace

PushOutcome ClientImpl::PushBlob(
    const oci::Repository& repository, const oci::Descriptor& descriptor,
    BlobSource& source, const std::vector<oci::Repository>& mount_from,
    const std::function<void(uint64_t sent)>& progress,
    const CancelToken& cancel) {
  PushOutcome outcome = PushOutcome::kExists;
  AtHome(repository, [&](const Endpoint& endpoint) {
    if (BlobExistsAt(endpoint, repository, descriptor.digest, "pull,push",
                     cancel))
      return;
    std::vector<std::string> paths;
    for (const oci::Repository& from : mount_from) {
      if (from.domain() == repository.domain() && from != repository &&
          paths.size() < kMaxMounts) {
        paths.push_back(from.path());
      }
    }
    const auto slot = uploads_.Acquire(repository.domain(), cancel);
    BlobUpload upload(requester_,
                      NewCall(endpoint, repository, "POST", "", "pull,push"),
                      descriptor, source, progress);
    outcome = upload.Run(paths, cancel);
  });
  return outcome;
}

void ClientImpl::PushDocument(const oci::Reference& reference,
                              const oci::Document& document,
                              const CancelToken& cancel) {
  const std::string object =
      reference.tag() ? *reference.tag() : reference.Object();
  AtHome(reference.repository(), [&](const Endpoint& endpoint) {
    Call call = NewCall(endpoint, reference.repository(), "PUT",
                        "/manifests/" + object, "pull,push");
    call.headers = {{"Content-Type", document.media_type}};
    call.body = document.bytes;
    const Reply reply = requester_.Do(call, cancel);
    const int status = reply.response.status;
    if (status != 201 && status != 200 && status != 202) {
      throw requester_.Failure(call, reply);
    }
    const auto stored =
        DigestHeader("PUT " + reply.response.url, reply.response.headers);
    if (!stored) return;
    const auto expected =
        oci::Digest::OfBytes(document.bytes, stored->algorithm());
    if (*stored != expected) {
      throw Error(ErrorCode::kRegistry,
                  "PUT " + reply.response.url + ": the registry stored " +
                      stored->ToString() + ", sent was " + expected.ToString());
    }
  });
}

namespace {

// One pair, wherever it is asked for: for `login`.
class FixedCredentials : public CredentialSource {
 public:
  explicit FixedCredentials(Credentials credentials)
      : credentials_(std::move(credentials)) {}
  std::optional<Credentials> Find(const oci::Repository&) override {
    return credentials_;
  }

 private:
  Credentials credentials_;
};

}  // namespace

void ClientImpl::CheckCredentials(const std::string& host,
                                  const Credentials& credentials,
                                  const CancelToken& cancel) {
  // The name of a repository only decides which endpoint is asked.
  const auto repository = oci::Repository::Parse(host + "/login/check");
  FixedCredentials source(credentials);
  Requester requester(transport_, hosts_, source, requester_.clock(), options_);
  AtHome(repository, [&](const Endpoint& endpoint) {
    Call call;
    call.endpoint = &endpoint;
    call.repository = &repository;
    call.url = endpoint.base_url + "/v2/";
    call.idle_timeout = options_.idle_timeout;
    const Reply reply = requester.Do(call, cancel);
    if (reply.response.status == 200) return;
    Error error = ResponseError("GET", reply.response, reply.body);
    if (reply.response.status == 401 || reply.response.status == 403) {
      error.WithHint(
          "the registry does not accept this user name and "
          "password");
    } else if (reply.response.status == 404) {
      error.WithHint("this host does not speak the registry protocol v2");
    }
    throw error;
  });
}

}  // namespace imgbuild::registry
