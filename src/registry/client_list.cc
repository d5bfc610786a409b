// Lists: tags, and what refers to a manifest.
#include <set>

#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

#include "registry/client_impl.h"
#include "registry/registry_error.h"

namespace imgbuild::registry {
namespace {

constexpr size_t kMaxPages = 10000;
constexpr size_t kMaxTags = 1000000;
constexpr size_t kMaxReferrers = 10000;

// The page that the Link header names, at the same origin.
std::optional<std::string> NextPage(const Reply& reply) {
  const auto next = ParseNextLink(reply.response.headers);
  const auto url = next ? reply.url.Resolve(*next) : std::nullopt;
  if (!url || url->Origin() != reply.url.Origin()) return std::nullopt;
  return url->ToString();
}

// distribution-spec, "referrers tag schema": sha256:ab… -> the tag sha256-ab….
std::string ReferrersTag(const oci::Digest& subject) {
  return std::string(oci::ToString(subject.algorithm())) + "-" +
         subject.hex().substr(0, 64);
}

}  // namespace

std::vector<std::string> ClientImpl::ListTags(const oci::Repository& repository,
                                              const CancelToken& cancel) {
  std::vector<std::string> tags;
  AtHome(repository, [&](const Endpoint& endpoint) {
    tags.clear();
    Call call = NewCall(endpoint, repository, "GET", "/tags/list", "pull");
    std::set<std::string> seen;
    for (size_t page = 0; page < kMaxPages; ++page) {
      // A link that leads in a circle ends the list.
      if (!seen.insert(call.url).second) return;
      const Reply reply = requester_.Do(call, cancel);
      if (reply.response.status == 404) {
        throw NotFound("repository " + repository.ToString(),
                       requester_.Failure(call, reply));
      }
      if (reply.response.status != 200) throw requester_.Failure(call, reply);
      const auto json = nlohmann::json::parse(reply.body, nullptr, false);
      if (!json.is_object()) {
        throw Error(ErrorCode::kRegistry,
                    "GET " + reply.response.url + ": malformed list of tags");
      }
      // "tags": null is an empty repository.
      if (const auto list = json.find("tags");
          list != json.end() && list->is_array()) {
        for (const auto& tag : *list) {
          if (!tag.is_string() || tags.size() >= kMaxTags) continue;
          const auto& text = tag.get_ref<const std::string&>();
          if (oci::IsValidTag(text)) tags.push_back(text);
        }
      }
      const auto next = NextPage(reply);
      if (!next) return;
      call.url = *next;
    }
  });
  return tags;
}

std::vector<oci::Descriptor> ClientImpl::ListReferrers(
    const oci::Repository& repository, const oci::Digest& subject,
    const std::string& artifact_type, const CancelToken& cancel) {
  std::vector<oci::Descriptor> found;
  AtHome(repository, [&](const Endpoint& endpoint) {
    found.clear();
    Call call = NewCall(endpoint, repository, "GET",
                        "/referrers/" + subject.ToString(), "pull");
    call.headers = {{"Accept", std::string(oci::media_type::kOciIndex)}};
    if (!artifact_type.empty()) {
      call.url += "?artifactType=" + PercentEncode(artifact_type);
    }
    std::set<std::string> seen;
    while (seen.size() < kMaxPages && seen.insert(call.url).second) {
      Reply reply = requester_.Do(call, cancel);
      if (reply.response.status == 404) {
        found = ReferrersFromTag(endpoint, repository, subject, cancel);
        break;
      }
      if (reply.response.status != 200) throw requester_.Failure(call, reply);
      const oci::Document page =
          oci::ParseDocument(std::move(reply.body), oci::media_type::kOciIndex);
      for (const oci::Descriptor& entry : page.index->manifests) {
        if (found.size() < kMaxReferrers) found.push_back(entry);
      }
      const auto next = NextPage(reply);
      if (!next) break;
      call.url = *next;
    }
    // Registries may leave the filter to us, and old ones know none.
    std::erase_if(found, [&](const oci::Descriptor& entry) {
      return !artifact_type.empty() && entry.artifact_type != artifact_type;
    });
  });
  return found;
}

std::vector<oci::Descriptor> ClientImpl::ReferrersFromTag(
    const Endpoint& endpoint, const oci::Repository& repository,
    const oci::Digest& subject, const CancelToken& cancel) {
  Call call = NewCall(endpoint, repository, "GET",
                      "/manifests/" + ReferrersTag(subject), "pull");
  call.headers = {{"Accept", std::string(oci::media_type::kOciIndex)}};
  Reply reply = requester_.Do(call, cancel);
  if (reply.response.status == 404) return {};
  if (reply.response.status != 200) throw requester_.Failure(call, reply);
  oci::Document index =
      oci::ParseDocument(std::move(reply.body), oci::media_type::kOciIndex);
  return std::move(index.index->manifests);
}

void ClientImpl::LinkReferrer(const oci::Repository& repository,
                              const oci::Document& document,
                              const CancelToken& cancel) {
  const oci::Manifest& manifest = *document.manifest;
  const oci::Digest subject = manifest.subject->digest;
  std::vector<oci::Descriptor> known =
      ListReferrers(repository, subject, "", cancel);
  for (const oci::Descriptor& entry : known) {
    if (entry.digest == document.digest) return;
  }
  known.push_back({document.media_type,
                   document.digest,
                   document.bytes.size(),
                   {},
                   manifest.annotations,
                   {},
                   manifest.artifact_type.empty() ? manifest.config.media_type
                                                  : manifest.artifact_type});
  const oci::Index index{
      std::string(oci::media_type::kOciIndex), std::move(known), {}};
  PushDocument(oci::Reference(repository, ReferrersTag(subject), std::nullopt),
               oci::ParseDocument(oci::Serialize(index), ""), cancel);
}

}  // namespace imgbuild::registry
