// The concretes, made when they are first needed: `imgbuild --version` opens
// no store and loads no library.
#ifndef IMGBUILD_CLI_APP_H_
#define IMGBUILD_CLI_APP_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/build/fetcher.h"
#include "imgbuild/exec/executor.h"
#include "imgbuild/registry/client.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::cli {

// Flags that every command takes.
struct GlobalOptions {
  std::string root;  // --root, else $IMGBUILD_ROOT, else the default
  std::vector<std::string> insecure_registries;
  std::string runtime;  // --runtime
};

class App {
 public:
  explicit App(CancelToken cancel_token) : cancel(std::move(cancel_token)) {}
  ~App();

  GlobalOptions options;
  CancelToken cancel;
  // Set before transfer() is first called.
  transfer::TransferOptions transfer_options;
  // Set before fetcher() is first called.
  build::FetcherOptions fetcher_options;
  // Set before client() is first called. Not empty: no request is made, and
  // the word ("--frozen") says why.
  std::string offline;
  unsigned registry_connections = 6;  // to one host

  store::Store& store();
  registry::Client& client();
  registry::HostConfig& hosts();
  registry::CredentialSource& credentials();
  transfer::Transfer& transfer();
  exec::Executor& executor();
  build::Fetcher& fetcher();
  ThreadPool& pool();

 private:
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<registry::HttpTransport> transport_;
  std::unique_ptr<registry::HostConfig> hosts_;
  std::unique_ptr<registry::CredentialSource> credentials_;
  std::unique_ptr<registry::Client> client_;
  std::unique_ptr<transfer::Transfer> transfer_;
  std::unique_ptr<exec::Executor> executor_;
  std::unique_ptr<build::Fetcher> fetcher_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_APP_H_
