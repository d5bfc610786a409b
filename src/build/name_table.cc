#include "imgbuild/build/name_table.h"

#include "imgbuild/build/image_resolver.h"
#include "imgbuild/plan/external_names.h"
#include "imgbuild/util/error.h"

namespace imgbuild::build {

NameTable::NameTable(store::Store& store, registry::Client& client,
                     transfer::Transfer& transfer, Fetcher& fetcher,
                     const CancelToken& cancel)
    : store_(store),
      client_(client),
      transfer_(transfer),
      fetcher_(fetcher),
      cancel_(cancel),
      pool_(kParallel) {}

NameTable::~NameTable() = default;

template <typename T, typename F>
std::shared_future<T> NameTable::Once(Memo<T>& memo, const std::string& key,
                                      F ask) {
  const std::scoped_lock lock(mutex_);
  const auto it = memo.find(key);
  if (it != memo.end()) return it->second;
  std::shared_future<T> future = pool_.Submit(std::move(ask)).share();
  memo.emplace(key, future);
  return future;
}

NamedDocument NameTable::Fetch(const oci::Reference& reference) {
  if (reference.digest()) {
    if (auto bytes = store_.content().Read(*reference.digest(),
                                           oci::kMaxManifestBytes)) {
      const oci::Document known = oci::ParseDocument(std::move(*bytes), "");
      return {*reference.digest(), known.media_type, known.bytes.size()};
    }
  }
  const oci::Document document = client_.FetchDocument(reference, cancel_);
  // Under the name it was asked for by, which need not be a sha256.
  const auto ingest =
      store_.content().Begin(document.digest, document.bytes.size());
  ingest->Write(AsBytes(document.bytes));
  ingest->Commit();
  return {document.digest, document.media_type, document.bytes.size()};
}

void NameTable::Want(const oci::Reference& reference) {
  Once(documents_, reference.ToString(),
       [this, reference] { return Fetch(reference); });
}

NamedDocument NameTable::Ask(const oci::Reference& reference) {
  return Once(documents_, reference.ToString(),
              [this, reference] { return Fetch(reference); })
      .get();
}

void NameTable::WantHead(const oci::Reference& reference) {
  Once(heads_, reference.ToString(), [this, reference] {
    const oci::Descriptor found = client_.Resolve(reference, cancel_);
    return NamedDocument{found.digest, found.media_type, found.size};
  });
}

NamedDocument NameTable::Head(const oci::Reference& reference) {
  WantHead(reference);
  const std::scoped_lock lock(mutex_);
  return heads_.at(reference.ToString()).get();
}

plan::ResolvedImage NameTable::Image(const oci::Reference& reference,
                                     const oci::Platform& platform) {
  const std::string key = reference.ToString() + " " + platform.ToString();
  {
    const std::scoped_lock lock(mutex_);
    const auto it = images_.find(key);
    if (it != images_.end()) return it->second;
  }
  plan::ResolvedImage image =
      transfer_.Resolve(reference, platform, transfer::PullPolicy::kMissing);
  const std::scoped_lock lock(mutex_);
  return images_.emplace(key, std::move(image)).first->second;
}

plan::ResolvedImage NameTable::Layout(const std::string& layout,
                                      const oci::Platform& platform) {
  NullProgress progress;
  TransferResolver resolver(store_, transfer_, progress,
                            transfer::PullPolicy::kMissing, cancel_);
  return resolver.ResolveLayout(layout, platform);
}

UrlContent NameTable::FetchUrl(const std::string& url) {
  const auto ingest = store_.content().Begin(std::nullopt, std::nullopt);
  // Counts what goes by.
  struct Counter : Writer {
    explicit Counter(Writer& to) : out(to) {}
    void Write(Bytes bytes) override {
      size += bytes.size();
      out.Write(bytes);
    }
    Writer& out;
    uint64_t size = 0;
  } counter(*ingest);
  fetcher_.FetchUrl(url, {}, counter, cancel_);
  return {ingest->Commit(), counter.size};
}

UrlContent NameTable::AskUrl(const std::string& url) {
  return Once(urls_, url, [this, url] { return FetchUrl(url); }).get();
}

std::string NameTable::AskCommit(const plan::GitSource& source) {
  return Once(
             commits_, source.remote + "#" + source.ref,
             [this, source] { return fetcher_.ResolveCommit(source, cancel_); })
      .get();
}

}  // namespace imgbuild::build
