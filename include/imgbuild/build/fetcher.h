// How ADD reaches the network: behind a seam, so that tests count what was
// asked and answer without one.
#ifndef IMGBUILD_BUILD_FETCHER_H_
#define IMGBUILD_BUILD_FETCHER_H_

#include <map>
#include <memory>
#include <string>

#include "imgbuild/build/builder.h"
#include "imgbuild/plan/git_source.h"
#include "imgbuild/registry/download.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/io.h"

namespace imgbuild::build {

// Thread-safe. Everything throws Error(kRegistry), without user info or query
// of the URL in its text.
class Fetcher {
 public:
  virtual ~Fetcher() = default;
  virtual registry::Download FetchUrl(const std::string& url,
                                      const registry::Validators& known,
                                      Writer& out,
                                      const CancelToken& cancel) = 0;
  // The full name of the commit that the source means now.
  virtual std::string ResolveCommit(const plan::GitSource& source,
                                    const CancelToken& cancel) = 0;
  // Checks the commit out into an empty directory, `.git` included.
  virtual void Checkout(const plan::GitSource& source,
                        const std::string& commit, const std::string& directory,
                        const CancelToken& cancel) = 0;
};

struct FetcherOptions {
  std::string ssh_auth_sock;  // "": the environment's agent
  // What --secret gave, for GIT_AUTH_TOKEN[.HOST] (a token) and
  // GIT_AUTH_HEADER[.HOST] (the value of an Authorization header) of
  // repositories, HTTP_AUTH_TOKEN_HOST (a bearer token) and
  // HTTP_AUTH_HEADER_HOST of URLs. HOST has the port or is without.
  std::map<std::string, Secret> secrets;
};

// URLs over `transport`, which must outlive it; repositories with the `git`
// program, which sees no configuration of the user's but the ssh agent.
std::unique_ptr<Fetcher> NewFetcher(registry::HttpTransport& transport,
                                    FetcherOptions options = {});

// Fetches nothing: everything throws Error(kPolicy) that names `reason`.
std::unique_ptr<Fetcher> NewOfflineFetcher(const std::string& reason);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_FETCHER_H_
