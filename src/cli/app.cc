#include "cli/app.h"

#include <cstdio>
#include <thread>

#include "imgbuild/registry/offline_transport.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/version.h"

namespace imgbuild::cli {
namespace {

void Warn(const std::string& text) {
  std::fprintf(stderr, "warning: %s\n", text.c_str());
}

// Whether an image may send us to the urls that it names: only who runs us says
// so, since a manifest could name a host that nobody else can reach.
bool ForeignUrlsAllowed() {
  const std::string value =
      registry::ProcessEnvironment()("IMGBUILD_FOREIGN_URLS").value_or("");
  if (value.empty() || value == "0") return false;
  if (value == "1") return true;
  throw Error(ErrorCode::kUsage,
              "IMGBUILD_FOREIGN_URLS is " + Quoted(value) + ", not 0 or 1");
}

}  // namespace

App::~App() = default;

ThreadPool& App::pool() {
  if (!pool_) {
    pool_ = std::make_unique<ThreadPool>(
        std::max(1u, std::thread::hardware_concurrency()));
  }
  return *pool_;
}

store::Store& App::store() {
  if (!store_) {
    store::Store::Options store_options;
    store_options.root =
        options.root.empty() ? store::Store::DefaultRoot() : options.root;
    store_options.clock = &SystemClock();
    store_ = store::Store::Open(store_options);
  }
  return *store_;
}

registry::HostConfig& App::hosts() {
  if (!hosts_) {
    registry::HostsOptions hosts;
    hosts.insecure_registries = options.insecure_registries;
    hosts_ = registry::LoadHostConfig(hosts);
  }
  return *hosts_;
}

registry::CredentialSource& App::credentials() {
  if (!credentials_) credentials_ = registry::NewCredentialFiles(Warn);
  return *credentials_;
}

registry::Client& App::client() {
  if (!client_) {
    transport_ =
        offline.empty()
            ? registry::NewCurlTransport(std::string("imgbuild/") + kVersion)
            : registry::NewOfflineTransport(offline);
    registry::ClientOptions client_options;
    client_options.warn = Warn;
    client_options.per_host_connections = registry_connections;
    client_options.trusted_realms =
        registry::TrustedRealms(registry::ProcessEnvironment());
    client_options.allow_foreign_urls = ForeignUrlsAllowed();
    client_ = registry::NewClient(*transport_, hosts(), credentials(),
                                  SystemClock(), client_options);
  }
  return *client_;
}

transfer::Transfer& App::transfer() {
  if (!transfer_) {
    transfer_ = std::make_unique<transfer::Transfer>(store(), client(),
                                                     transfer_options, cancel);
  }
  return *transfer_;
}

build::Fetcher& App::fetcher() {
  if (!fetcher_) {
    client();  // makes the transport
    fetcher_ = offline.empty() ? build::NewFetcher(*transport_, fetcher_options)
                               : build::NewOfflineFetcher(offline);
  }
  return *fetcher_;
}

exec::Executor& App::executor() {
  if (!executor_) {
    exec::ExecutorOptions executor_options;
    executor_options.state_dir = store().root() + "/containers";
    executor_options.runtime = options.runtime;
    executor_ = exec::NewOciExecutor(executor_options);
  }
  return *executor_;
}

}  // namespace imgbuild::cli
