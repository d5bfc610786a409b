#include "registry/blob_download.h"

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "registry/client_impl.h"
#include "registry/http_headers.h"
#include "registry/registry_error.h"

namespace imgbuild::registry {
namespace {

// A connection that brought this much was not in vain: the count of failures
// begins again, so that a big layer over a bad line gets there.
constexpr uint64_t kProgressBytes = 256u << 10;
// Where Range does not work everything begins again, and progress is none.
constexpr unsigned kMaxRestarts = 5;

}  // namespace

BlobDownload::BlobDownload(Requester& requester,
                           const oci::Descriptor& descriptor, BlobSink& sink,
                           std::string what)
    : requester_(requester),
      descriptor_(descriptor),
      sink_(sink),
      what_(std::move(what)) {
  hasher_.emplace(descriptor.digest.algorithm());
}

// Bytes of an earlier run: hashed again, because a file may have been damaged
// since.
void BlobDownload::KeepWhatIsThere() {
  const uint64_t kept = sink_.Resume();
  if (kept == 0) return;
  const bool usable = kept <= descriptor_.size &&
                      (sink_.ChecksDigest() ||
                       (sink_.ReadKept(*hasher_) && hasher_->size() == kept));
  if (!usable) return Restart();
  received_ = kept;
  patched_ = true;
}

void BlobDownload::Restart() {
  sink_.Restart();
  hasher_.emplace(descriptor_.digest.algorithm());
  received_ = 0;
  last_failure_at_ = 0;
  patched_ = false;
}

void BlobDownload::Run(const Call& call, const CancelToken& cancel) {
  if (!started_) {
    started_ = true;
    KeepWhatIsThere();
  }
  no_ranges_ = false;
  Retry retry = requester_.NewRetry(call.attempts);
  for (;;) {
    const Step step = received_ == descriptor_.size && received_ > 0
                          ? Step::kDone
                          : Attempt(call, retry, cancel);
    if (step == Step::kRestart) {
      if (++restarts_ > kMaxRestarts) {
        throw Error(ErrorCode::kRegistry,
                    what_ +
                        ": the connection breaks again and again, and the "
                        "registry does not resume")
            .Temporary();
      }
      Restart();
    } else if (step == Step::kDone) {
      if (DigestIsRight()) return;
      // Pieces that do not fit together are not the registry's last word.
      if (!patched_) {
        hasher_.emplace(descriptor_.digest.algorithm());
        Error error(ErrorCode::kRegistry,
                    what_ + ": the bytes received do not have this digest");
        Restart();
        throw error;
      }
      no_ranges_ = true;
      Restart();
    }
  }
}

bool BlobDownload::DigestIsRight() {
  return sink_.ChecksDigest() || hasher_->Finish() == descriptor_.digest;
}

void BlobDownload::ForgiveProgress(Retry& retry) {
  if (received_ >= last_failure_at_ + kProgressBytes) retry.Forgive();
  last_failure_at_ = received_;
}

BlobDownload::Step BlobDownload::Attempt(Call call, Retry& retry,
                                         const CancelToken& cancel) {
  asked_from_ = no_ranges_ ? 0 : received_;
  skip_ = 0;
  wrong_range_ = false;
  if (asked_from_ > 0) {
    call.headers.emplace_back("Range",
                              "bytes=" + std::to_string(asked_from_) + "-");
    patched_ = true;
  } else if (received_ > 0) {
    return Step::kRestart;
  }
  call.sink = this;
  try {
    const Reply reply = requester_.Once(call, cancel);
    return AfterResponse(call, reply, retry, cancel);
  } catch (const TransportError& error) {
    if (sink_failed_) throw;  // a copy's other end, not this connection
    if (wrong_range_) {
      if (asked_from_ == 0) throw;
      no_ranges_ = true;
      return Step::kRestart;
    }
    ForgiveProgress(retry);
    if (!retry.Again(error, cancel)) throw;
    return Step::kAgain;
  }
}

BlobDownload::Step BlobDownload::AfterResponse(const Call& call,
                                               const Reply& reply, Retry& retry,
                                               const CancelToken& cancel) {
  const int status = reply.response.status;
  if (status == 200 || status == 206) {
    if (received_ == descriptor_.size) return Step::kDone;
    // Closed early without a Content-Length, or a 206 shorter than asked.
    ForgiveProgress(retry);
    const std::string why = what_ + ": the response ended after " +
                            std::to_string(received_) + " of " +
                            std::to_string(descriptor_.size) + " bytes";
    if (retry.Again(FailureKind::kTransfer, std::nullopt, why, cancel)) {
      return Step::kAgain;
    }
    throw Error(ErrorCode::kRegistry, why).Temporary();
  }
  if (status == 416 && asked_from_ > 0) {
    no_ranges_ = true;
    return Step::kRestart;
  }
  ForgiveProgress(retry);
  if (retry.Again(reply.response, cancel)) return Step::kAgain;
  const Error reason = requester_.Failure(call, reply);
  if (status == 404) throw NotFound(what_, reason);
  throw reason;
}

Writer* BlobDownload::Begin(const HttpResponse& response) {
  if (response.status != 200 && response.status != 206) return nullptr;
  const auto encoding = FindHeader(response.headers, "Content-Encoding");
  if (encoding && !encoding->empty() && *encoding != "identity") {
    throw Error(ErrorCode::kRegistry,
                what_ + ": the registry sends it with Content-Encoding " +
                    Quoted(Printable(*encoding, 40)) +
                    ", which was not asked for");
  }
  const auto length = ContentLength(response.headers);
  if (response.status == 206) {
    const auto text = FindHeader(response.headers, "Content-Range");
    const auto range = text ? ParseContentRange(*text) : std::nullopt;
    wrong_range_ = asked_from_ == 0 || !range || range->first != asked_from_ ||
                   (range->total && *range->total != descriptor_.size);
    if (wrong_range_) {
      // Ends the exchange; Attempt() knows why.
      throw TransportError(TransportError::Kind::kTransfer,
                           what_ + ": a wrong Content-Range");
    }
    return this;
  }
  if (length && *length != descriptor_.size) {
    throw Error(ErrorCode::kRegistry, what_ + ": the registry has " +
                                          std::to_string(*length) +
                                          " bytes, the manifest says " +
                                          std::to_string(descriptor_.size));
  }
  skip_ = received_;  // the server does not do ranges
  return this;
}

void BlobDownload::Write(Bytes bytes) {
  if (skip_ > 0) {
    const auto n = std::min<uint64_t>(skip_, bytes.size());
    skip_ -= n;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  if (bytes.empty()) return;
  if (bytes.size() > descriptor_.size - received_) {
    throw Error(ErrorCode::kRegistry, what_ + ": more than the " +
                                          std::to_string(descriptor_.size) +
                                          " bytes that the manifest says");
  }
  if (!sink_.ChecksDigest()) hasher_->Write(bytes);
  try {
    sink_.Write(bytes);
  } catch (...) {
    sink_failed_ = true;
    throw;
  }
  received_ += bytes.size();
}

}  // namespace imgbuild::registry
