#include "registry/blob_upload.h"

#include <algorithm>
#include <memory>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "registry/client_impl.h"
#include "registry/http_headers.h"
#include "registry/registry_error.h"

namespace imgbuild::registry {
namespace {

constexpr unsigned kMaxSessions = 8;
// Closing an upload makes the registry hash and move the blob: minutes of
// silence for gigabytes on object storage.
constexpr int kClosePatience = 10;

// Counts what goes by, and cuts at `limit`.
class PieceReader : public Reader {
 public:
  PieceReader(std::unique_ptr<Reader> from, uint64_t offset, uint64_t limit,
              const std::function<void(uint64_t)>& progress)
      : from_(std::move(from)),
        offset_(offset),
        left_(limit),
        progress_(progress) {}
  size_t Read(std::span<std::byte> buffer) override {
    const size_t n = from_->Read(buffer.first(
        static_cast<size_t>(std::min<uint64_t>(buffer.size(), left_))));
    left_ -= n;
    offset_ += n;
    if (progress_ && n > 0) progress_(offset_);
    return n;
  }

 private:
  std::unique_ptr<Reader> from_;
  uint64_t offset_;
  uint64_t left_;
  const std::function<void(uint64_t)>& progress_;
};

}  // namespace

BlobUpload::BlobUpload(Requester& requester, Call base,
                       const oci::Descriptor& descriptor, BlobSource& source,
                       std::function<void(uint64_t)> progress)
    : requester_(requester),
      base_(std::move(base)),
      descriptor_(descriptor),
      source_(source),
      progress_(std::move(progress)) {}

std::string BlobUpload::What() const {
  return "upload of blob " + descriptor_.digest.ToString() + " to " +
         base_.repository->ToString();
}

Url BlobUpload::ResolveLocation(const Reply& reply) const {
  const auto location = FindHeader(reply.response.headers, "Location");
  auto url = location ? reply.url.Resolve(*location) : std::nullopt;
  if (!url) {
    throw Error(ErrorCode::kRegistry,
                What() + ": the registry names no place to upload to");
  }
  if (url->scheme == "http" && reply.url.scheme == "https") {
    // A registry behind a TLS proxy that does not know it.
    if (url->host != reply.url.host) {
      throw Error(ErrorCode::kRegistry,
                  What() + ": sent on from https to plain http: refused");
    }
    url->scheme = "https";
    url->port = reply.url.port;
  }
  return *url;
}

void BlobUpload::TakeSession(const Reply& reply) {
  location_ = ResolveLocation(reply);
  offset_ = 0;
  use_patch_ = chunk_size_ > 0;
  if (const auto minimum =
          FindHeader(reply.response.headers, "OCI-Chunk-Min-Length")) {
    const auto bytes = ParseUint(*minimum);
    if (chunk_size_ > 0 && bytes) chunk_size_ = std::max(chunk_size_, *bytes);
  }
}

bool BlobUpload::TryMount(const std::string& from, bool is_last,
                          const CancelToken& cancel) {
  Call call = base_;
  call.method = "POST";
  call.url +=
      "/blobs/uploads/?mount=" + PercentEncode(descriptor_.digest.ToString()) +
      "&from=" + PercentEncode(from);
  call.scopes.push_back("repository:" + from + ":pull");
  try {
    const Reply reply = requester_.Do(call, cancel);
    if (reply.response.status == 201) return true;
    if (reply.response.status == 202) {
      // Not mounted: this is an ordinary session now.
      TakeSession(reply);
      if (!is_last) CancelSession(cancel);
    }
  } catch (const Error& error) {
    // A token server may refuse the scope of the other repository; uploading
    // works all the same.
    if (error.code() != ErrorCode::kRegistry || cancel.cancelled()) throw;
  }
  return false;
}

void BlobUpload::Start(const CancelToken& cancel) {
  if (++sessions_ > kMaxSessions) {
    throw Error(ErrorCode::kRegistry,
                What() + ": the registry loses the upload again and again");
  }
  Call call = base_;
  call.method = "POST";
  call.url += "/blobs/uploads/";
  // Asked for before the first byte: a registry hashes while it receives.
  if (descriptor_.digest.algorithm() != oci::DigestAlgorithm::kSha256) {
    call.url += "?digest-algorithm=" +
                std::string(oci::ToString(descriptor_.digest.algorithm()));
  }
  const Reply reply = requester_.Do(call, cancel);
  if (reply.response.status != 202) throw requester_.Failure(call, reply);
  TakeSession(reply);
}

PushOutcome BlobUpload::Run(const std::vector<std::string>& mount_from,
                            const CancelToken& cancel) {
  for (size_t i = 0; i < mount_from.size() && !location_; ++i) {
    if (TryMount(mount_from[i], i + 1 == mount_from.size(), cancel)) {
      return {PushOutcome::kMounted, mount_from[i]};
    }
  }
  Retry retry = requester_.NewRetry();
  try {
    for (;;) {
      if (!location_) Start(cancel);
      const Step step = Advance(retry, cancel);
      if (step == Step::kDone) return PushOutcome::kUploaded;
      if (step == Step::kNewSession) location_.reset();
    }
  } catch (...) {
    CancelSession(cancel);
    throw;
  }
}

BlobUpload::Step BlobUpload::Advance(Retry& retry, const CancelToken& cancel) {
  try {
    const bool close = !use_patch_ || offset_ == source_.size();
    if (close) {
      const uint64_t size = use_patch_ ? 0 : source_.size();
      return AfterPut(SendPiece("PUT", 0, size, cancel), retry, cancel);
    }
    const uint64_t left = source_.size() - offset_;
    const uint64_t size = chunk_size_ == 0 ? left : std::min(left, chunk_size_);
    return AfterPatch(SendPiece("PATCH", offset_, size, cancel), offset_ + size,
                      retry, cancel);
  } catch (const TransportError& error) {
    if (!retry.Again(error, cancel)) throw;
    return AfterFailure(cancel);
  }
}

Reply BlobUpload::SendPiece(const std::string& method, uint64_t offset,
                            uint64_t size, const CancelToken& cancel) {
  Call call = base_;
  call.method = method;
  Url url = *location_;
  if (method == "PUT") {
    url.AddQuery("digest", descriptor_.digest.ToString());
    call.idle_timeout *= kClosePatience;
  } else {
    call.headers.emplace_back(
        "Content-Range",
        std::to_string(offset) + "-" + std::to_string(offset + size - 1));
  }
  call.url = url.ToString();
  call.headers.emplace_back("Content-Type", "application/octet-stream");
  if (size == 0) return requester_.Once(call, cancel);
  PieceReader reader(source_.ReadFrom(offset), offset, size, progress_);
  call.body_reader = &reader;
  call.body_size = size;
  return requester_.Once(call, cancel);
}

BlobUpload::Step BlobUpload::AfterPut(const Reply& reply, Retry& retry,
                                      const CancelToken& cancel) {
  const int status = reply.response.status;
  if (status == 201 || status == 204) {
    const auto digest =
        DigestHeader("PUT " + reply.response.url, reply.response.headers);
    if (digest && digest->algorithm() == descriptor_.digest.algorithm() &&
        *digest != descriptor_.digest) {
      throw Error(ErrorCode::kRegistry,
                  What() + ": the registry stored " + digest->ToString());
    }
    location_.reset();
    return Step::kDone;
  }
  // The token may have died meanwhile; a new one is there now.
  if (status == 401 && !retried_auth_) {
    retried_auth_ = true;
    return AfterFailure(cancel);
  }
  if (status == 413 && chunk_size_ == 0) {
    chunk_size_ = std::max<uint64_t>(1, requester_.options().chunk_bytes);
    CancelSession(cancel);
    return Step::kNewSession;
  }
  if (status == 404) return Step::kNewSession;
  if (retry.Again(reply.response, cancel)) return AfterFailure(cancel);
  Call call = base_;
  call.method = "PUT";
  throw requester_.Failure(call, reply);
}

BlobUpload::Step BlobUpload::AfterPatch(const Reply& reply, uint64_t end,
                                        Retry& retry,
                                        const CancelToken& cancel) {
  const int status = reply.response.status;
  if (status == 202 || status == 204) {
    location_ = ResolveLocation(reply);
    const auto range = FindHeader(reply.response.headers, "Range");
    const auto received = range ? ParseUploadRange(*range) : std::nullopt;
    // "0-0" and no header at all are ambiguous; the closing PUT decides.
    offset_ = received && *received > 0 && *received < end ? *received : end;
    retry.Forgive();
    retried_auth_ = false;
    return Step::kContinue;
  }
  if (status == 401 && !retried_auth_) {
    retried_auth_ = true;
    return AfterFailure(cancel);
  }
  if (status == 416) return AfterFailure(cancel);
  if (status == 404) return Step::kNewSession;
  if (retry.Again(reply.response, cancel)) return AfterFailure(cancel);
  Call call = base_;
  call.method = "PATCH";
  throw requester_.Failure(call, reply);
}

// What broke may have left something: ask, and go on from there.
BlobUpload::Step BlobUpload::AfterFailure(const CancelToken& cancel) {
  const uint64_t before = offset_;
  if (!AskStatus(cancel)) return Step::kNewSession;
  // Nothing there, or too much: what broke may still be arriving in this
  // session, and a fresh one cannot be mixed up with it.
  if (offset_ == 0 || offset_ > source_.size()) {
    CancelSession(cancel);
    return Step::kNewSession;
  }
  use_patch_ = true;
  // A session that does not move is not worth asking again.
  if (offset_ <= before && ++sessions_ > kMaxSessions) {
    throw Error(ErrorCode::kRegistry, What() + ": no progress");
  }
  return Step::kContinue;
}

bool BlobUpload::AskStatus(const CancelToken& cancel) {
  Call call = base_;
  call.method = "GET";
  call.url = location_->ToString();
  const Reply reply = requester_.Do(call, cancel);
  if (reply.response.status != 204 && reply.response.status != 202) {
    return false;
  }
  const auto range = FindHeader(reply.response.headers, "Range");
  const auto received = range ? ParseUploadRange(*range) : std::nullopt;
  if (!received) return false;
  offset_ = *received;
  if (FindHeader(reply.response.headers, "Location")) {
    location_ = ResolveLocation(reply);
  }
  return true;
}

void BlobUpload::CancelSession(const CancelToken& cancel) noexcept {
  if (!location_) return;
  try {
    Call call = base_;
    call.method = "DELETE";
    call.url = location_->ToString();
    location_.reset();
    // Best effort: registries clear sessions away by themselves.
    if (!cancel.cancelled()) requester_.Once(call, cancel);
  } catch (...) {
    location_.reset();
  }
}

}  // namespace imgbuild::registry
