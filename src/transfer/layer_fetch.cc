#include "transfer/layer_fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/read_ahead.h"

#include "transfer/window_budget.h"

namespace imgbuild::transfer {
namespace {

// Between the socket and the inflating thread: a few reads of the socket.
constexpr size_t kPipeBytes = 2u << 20;

// Hashes what is read: the DiffId of the stream that the extraction saw.
class HashingReader : public Reader {
 public:
  explicit HashingReader(Reader& next) : next_(next) {}
  size_t Read(std::span<std::byte> buffer) override {
    const size_t n = next_.Read(buffer);
    hasher_.Write(buffer.first(n));
    return n;
  }
  uint64_t size() const { return hasher_.size(); }
  oci::DiffId Finish() { return oci::DiffId(hasher_.Finish()); }

 private:
  Reader& next_;
  oci::Hasher hasher_;
};

// Receives a blob into the store and, while it can, passes it on.
class IngestSink : public registry::BlobSink {
 public:
  IngestSink(const FetchContext& context, const oci::Descriptor& blob,
             store::Ingest& ingest, StreamTap* tap)
      : context_(context),
        blob_(blob),
        ingest_(ingest),
        tap_(tap),
        have_(ingest.offset()) {
    if (have_ > 0) DropTap();
  }
  uint64_t Resume() override { return ingest_.offset(); }
  void Restart() override {
    // The tap has seen bytes that come again now.
    if (have_ > 0) DropTap();
    ingest_.Restart();
    have_ = 0;
  }
  // The ingest hashes; once is enough.
  bool ChecksDigest() const override { return true; }
  void Write(Bytes bytes) override {
    ingest_.Write(bytes);
    if (tap_ != nullptr) tap_->Write(bytes);
    have_ += bytes.size();
    if (context_.options.on_layer) {
      context_.options.on_layer(blob_, LayerState::kFetching, have_);
    }
  }

 private:
  void DropTap() {
    if (tap_ != nullptr) tap_->Abandon();
    tap_ = nullptr;
  }
  const FetchContext& context_;
  const oci::Descriptor& blob_;
  store::Ingest& ingest_;
  StreamTap* tap_;
  uint64_t have_;
};

void Tell(const FetchContext& context, const oci::Descriptor& blob,
          LayerState state, uint64_t done = 0) {
  if (context.options.on_layer) context.options.on_layer(blob, state, done);
}

// The first bytes of a stream, read ahead to look at them.
class PeekedReader : public Reader {
 public:
  PeekedReader(Reader& next, size_t bytes) : next_(next), head_(bytes) {
    size_t have = 0;
    while (have < bytes) {
      const size_t n = next_.Read(std::span(head_).subspan(have));
      if (n == 0) break;
      have += n;
    }
    head_.resize(have);
  }
  Bytes head() const { return head_; }
  size_t Read(std::span<std::byte> buffer) override {
    if (at_ == head_.size()) return next_.Read(buffer);
    const size_t n = std::min(buffer.size(), head_.size() - at_);
    std::copy_n(head_.begin() + static_cast<ptrdiff_t>(at_), n, buffer.begin());
    at_ += n;
    return n;
  }

 private:
  Reader& next_;
  std::vector<std::byte> head_;
  size_t at_ = 0;
};

enum class NoRoom { kWait, kLater };

// Unpacks a compressed stream. Throws when its DiffId is another one. False:
// its window is too large to unpack it beside the others (NoRoom::kLater).
bool Unpack(const FetchContext& context, const LayerName& layer, Reader& stream,
            NoRoom no_room) {
  const auto compression = oci::LayerCompression(layer.blob.media_type);
  if (!compression) {
    throw Error(
        ErrorCode::kRegistry,
        fmt::format("layer {} has the media type {}, which is not the "
                    "type of a layer that can be unpacked",
                    layer.blob.digest.ToString(), layer.blob.media_type));
  }
  PeekedReader compressed(stream, kZstdHead);
  const uint64_t window = *compression == oci::Compression::kZstd
                              ? ZstdWindow(compressed.head())
                              : 0;
  // A frame that asks for more than is ever granted is refused by the decoder.
  std::optional<WindowBudget::Grant> grant;
  if (window > kUsualWindow) {
    grant.emplace(no_room == NoRoom::kWait
                      ? context.windows.Take(window, context.cancel)
                      : context.windows.Try(window));
    if (!*grant) return false;
  }
  const auto plain = layer::Decompress(compressed, *compression);
  HashingReader hashed(*plain);
  // Inflating and hashing cost about as much as making files: the last layer
  // of an image has two cores to itself.
  ReadAhead ahead(hashed);
  const auto pending = context.store.snapshots().Begin();
  layer::ExtractOptions options;
  options.opaque_xattr = context.store.snapshots().opaque_xattr();
  const layer::ExtractResult result =
      layer::Extract(ahead, pending->fd(), options, context.cancel);
  // A tar ends before its stream does; the DiffId is of the whole stream.
  std::byte rest[16384];
  while (ahead.Read(rest) > 0) {
  }
  ahead.Join();
  const uint64_t tar_size = hashed.size();
  const oci::DiffId diff_id = hashed.Finish();
  if (diff_id != layer.diff_id) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("layer {} unpacks to {}, but the image config says "
                            "{}",
                            layer.blob.digest.ToString(), diff_id.ToString(),
                            layer.diff_id.ToString()));
  }
  pending->Commit(diff_id, result);
  context.store.cache().PutLayer({diff_id, layer.blob, tar_size});
  return true;
}

void UnpackStored(const FetchContext& context, const LayerName& layer) {
  const auto file = context.store.content().Open(layer.blob.digest);
  if (!file) {
    throw Error(ErrorCode::kHost, fmt::format("blob {} is not in the store",
                                              layer.blob.digest.ToString()));
  }
  Tell(context, layer.blob, LayerState::kUnpacking);
  FdReader reader(file->get(), layer.blob.digest.ToString());
  Unpack(context, layer, reader, NoRoom::kWait);
}

// The unpacking side of the pipeline, in a thread of its own.
class StreamingUnpack : public StreamTap {
 public:
  StreamingUnpack(const FetchContext& context, const LayerName& layer)
      : pipe_(kPipeBytes), thread_([this, &context, &layer] {
          try {
            // Whoever holds the room may need this download's place at the
            // registry: the download does not wait for room, the blob does.
            done_ = Unpack(context, layer, pipe_, NoRoom::kLater);
            if (!done_) pipe_.CloseRead();
          } catch (...) {
            error_ = std::current_exception();
            pipe_.CloseRead();
          }
        }) {}
  ~StreamingUnpack() override {
    if (thread_.joinable()) {
      Abandon();
      thread_.join();
    }
  }

  void Write(Bytes bytes) override {
    if (broken_) return;
    try {
      pipe_.Write(bytes);
    } catch (const Error&) {
      // The reader is gone; Finish() tells why. The download goes on: what it
      // brings may be right and only the unpacking may have failed.
      broken_ = true;
    }
  }
  void Abandon() override {
    if (abandoned_.exchange(true)) return;
    pipe_.CloseWrite(std::make_exception_ptr(
        Error(ErrorCode::kRegistry, "the download started over")));
  }
  // REQUIRES: every byte was written and verified. False when the stream was
  // abandoned, or there was no room for its window: the layer must be unpacked
  // from its blob.
  bool Finish() {
    if (!abandoned_) pipe_.CloseWrite();
    thread_.join();
    if (abandoned_) return false;
    if (error_) std::rethrow_exception(error_);
    return done_;
  }

 private:
  BoundedPipe pipe_;
  std::atomic<bool> abandoned_{false};
  bool broken_ = false;
  bool done_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the others
};

std::string Frame(const oci::Descriptor& blob,
                  const store::BlobOrigin& origin) {
  return fmt::format("while fetching layer {} of {}", blob.digest.Short(),
                     origin.repository.Familiar());
}

// From the first origin that gives all of it, into `sink`; which one it was.
const store::BlobOrigin& FetchFrom(
    const FetchContext& context, const std::vector<store::BlobOrigin>& origins,
    const oci::Descriptor& blob, IngestSink& sink) {
  for (size_t i = 0;; ++i) {
    try {
      context.client.FetchBlob(origins[i].repository, blob, sink,
                               context.cancel);
      return origins[i];
    } catch (Error& error) {
      if (error.code() == ErrorCode::kInterrupted || i + 1 >= origins.size()) {
        throw error.While(Frame(blob, origins[i]));
      }
    }
  }
}

}  // namespace

void FetchBlob(const FetchContext& context, const oci::Descriptor& blob,
               StreamTap* also) {
  const std::vector<store::BlobOrigin> origins =
      context.store.Origins(blob.digest);
  if (origins.empty()) {
    Error error(ErrorCode::kHost,
                fmt::format("layer {} is not in the store, and no registry is "
                            "known to have it",
                            blob.digest.ToString()));
    throw error.WithHint("pull or build the image again");
  }
  for (bool last_try : {false, true}) {
    const auto ingest =
        context.store.content().BeginResumable(blob.digest, blob.size);
    if (context.store.content().Has(blob.digest)) {
      // Another process fetched it while we waited.
      if (also != nullptr) also->Abandon();
      return;
    }
    IngestSink sink(context, blob, *ingest, also);
    const store::BlobOrigin& origin = FetchFrom(context, origins, blob, sink);
    try {
      ingest->Commit();
      break;
    } catch (Error& error) {
      // Pieces of two downloads that do not fit together are gone now; one
      // download in one piece has the last word.
      if (last_try || error.code() != ErrorCode::kRegistry) {
        throw error.While(Frame(blob, origin));
      }
      if (also != nullptr) also->Abandon();
      also = nullptr;
    }
  }
  Tell(context, blob, LayerState::kFetched, blob.size);
}

void FetchAndUnpack(const FetchContext& context, const LayerName& layer) {
  store::ContentStore& content = context.store.content();
  if (context.store.snapshots().Has(layer.diff_id)) {
    if (!content.Has(layer.blob.digest)) {
      FetchBlob(context, layer.blob, nullptr);
    } else {
      Tell(context, layer.blob, LayerState::kExists);
      return;
    }
  } else if (content.Has(layer.blob.digest)) {
    UnpackStored(context, layer);
  } else {
    StreamingUnpack unpack(context, layer);
    FetchBlob(context, layer.blob, &unpack);
    if (!unpack.Finish()) UnpackStored(context, layer);
  }
  Tell(context, layer.blob, LayerState::kDone);
}

}  // namespace imgbuild::transfer
