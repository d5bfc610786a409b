// What names stand for now: each distinct name is asked for once, however many
// Dockerfiles have it, a fixed number of requests at a time. For `lock`.
#ifndef IMGBUILD_BUILD_NAME_TABLE_H_
#define IMGBUILD_BUILD_NAME_TABLE_H_

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "imgbuild/build/fetcher.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::build {

// An index or a manifest, without what is in it.
struct NamedDocument {
  oci::Digest digest;
  std::string media_type;
  uint64_t size = 0;
};

struct UrlContent {
  oci::Digest checksum;
  uint64_t size = 0;
};

// Thread-safe. All arguments must outlive it.
class NameTable {
 public:
  static constexpr unsigned kParallel = 16;

  NameTable(store::Store& store, registry::Client& client,
            transfer::Transfer& transfer, Fetcher& fetcher,
            const CancelToken& cancel);
  ~NameTable();

  // Starts asking in the background.
  void Want(const oci::Reference& reference);
  // What a tag stands for now, or what a digest is: one GET, whose answer is
  // kept in the store; by digest none when the store has it. Throws what the
  // registry said.
  NamedDocument Ask(const oci::Reference& reference);
  // The same with a HEAD: for names that most likely still stand for `known`.
  void WantHead(const oci::Reference& reference);
  NamedDocument Head(const oci::Reference& reference);
  // REQUIRES: a digest. The image behind it on a platform: manifest and config
  // come from the store, else from the registry.
  plan::ResolvedImage Image(const oci::Reference& reference,
                            const oci::Platform& platform);
  // Of an OCI layout on this machine.
  plan::ResolvedImage Layout(const std::string& layout,
                             const oci::Platform& platform);
  // Fetches the file into the store.
  UrlContent AskUrl(const std::string& url);
  std::string AskCommit(const plan::GitSource& source);

 private:
  template <typename T>
  using Memo = std::map<std::string, std::shared_future<T>>;
  template <typename T, typename F>
  std::shared_future<T> Once(Memo<T>& memo, const std::string& key, F ask);
  NamedDocument Fetch(const oci::Reference& reference);
  UrlContent FetchUrl(const std::string& url);

  store::Store& store_;
  registry::Client& client_;
  transfer::Transfer& transfer_;
  Fetcher& fetcher_;
  const CancelToken& cancel_;
  std::mutex mutex_;
  Memo<NamedDocument> documents_;
  Memo<NamedDocument> heads_;
  std::map<std::string, plan::ResolvedImage> images_;
  Memo<UrlContent> urls_;
  Memo<std::string> commits_;
  ThreadPool pool_;  // last: its threads use what stands above
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_NAME_TABLE_H_
