#include "imgbuild/registry/explain.h"

#include "registry/proxy.h"
#include "registry/requester.h"
#include "registry/url.h"

namespace imgbuild::registry {
namespace {

std::string IdentityOf(const Credentials& credentials) {
  if (!credentials.registry_token.empty()) return "registry token";
  if (!credentials.identity_token.empty()) return "identity token";
  return "user " + credentials.username;
}

std::string WithoutUserInfo(const std::string& proxy) {
  const size_t at = proxy.rfind('@');
  if (at == std::string::npos) return proxy;
  const size_t scheme = proxy.find("://");
  return (scheme == std::string::npos ? "" : proxy.substr(0, scheme + 3)) +
         proxy.substr(at + 1);
}

}  // namespace

std::vector<Explanation> Explain(HostConfig& hosts,
                                 CredentialSource& credentials,
                                 const oci::Repository& repository,
                                 bool by_digest) {
  const ProxySettings proxies = ProxySettings::FromEnvironment();
  std::vector<Explanation> out;
  for (Endpoint& endpoint : hosts.EndpointsFor(repository, by_digest)) {
    Explanation step;
    if (const auto url = Url::Parse(endpoint.base_url)) {
      step.proxy = WithoutUserInfo(ProxyFor(proxies, *url));
    }
    if (const auto found =
            credentials.Find(RepositoryAt(endpoint, repository))) {
      step.credential_rule = found->rule;
      step.credential_source = found->source;
      step.identity = IdentityOf(*found);
    }
    step.endpoint = std::move(endpoint);
    out.push_back(std::move(step));
  }
  return out;
}

}  // namespace imgbuild::registry
