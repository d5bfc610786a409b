#include "support/memory_content.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::store {

class MemoryIngest : public Ingest {
 public:
  MemoryIngest(MemoryContent& content, std::optional<oci::Digest> expected,
               std::optional<uint64_t> size, std::string start, bool resumable)
      : content_(content),
        expected_(std::move(expected)),
        size_(size),
        bytes_(std::move(start)),
        offset_(bytes_.size()),
        resumable_(resumable) {}

  ~MemoryIngest() override {
    if (!resumable_) return;
    const std::lock_guard lock(content_.mutex_);
    content_.partials_.erase(*expected_);
    if (!done_) content_.partials_[*expected_] = bytes_;
    content_.fetching_.erase(*expected_);
    content_.released_.notify_all();
  }

  uint64_t offset() const override { return offset_; }
  void Restart() override {
    bytes_.clear();
    offset_ = 0;
  }
  void Write(Bytes bytes) override {
    if (size_ && bytes_.size() + bytes.size() > *size_) {
      throw Error(ErrorCode::kRegistry, What() + ": too many bytes");
    }
    bytes_ += AsText(bytes);
  }
  oci::Digest Commit() override {
    if (size_ && bytes_.size() != *size_) {
      throw Error(ErrorCode::kRegistry,
                  What() + ": " + std::to_string(bytes_.size()) +
                      " bytes came instead of " + std::to_string(*size_))
          .Temporary();
    }
    oci::Digest digest =
        oci::Digest::OfBytes(bytes_, expected_ ? expected_->algorithm()
                                               : oci::DigestAlgorithm::kSha256);
    done_ = true;
    if (expected_ && digest != *expected_) {
      throw Error(ErrorCode::kRegistry,
                  What() + ": the content has the digest " + digest.ToString());
    }
    const std::lock_guard lock(content_.mutex_);
    content_.blobs_.emplace(digest, std::move(bytes_));
    return digest;
  }

 private:
  std::string What() const {
    return expected_ ? "blob " + expected_->ToString() : "blob";
  }

  MemoryContent& content_;
  std::optional<oci::Digest> expected_;
  std::optional<uint64_t> size_;
  std::string bytes_;
  uint64_t offset_;
  bool resumable_;
  bool done_ = false;  // nothing to keep for another attempt
};

bool MemoryContent::Has(const oci::Digest& digest) const {
  return Size(digest).has_value();
}

std::optional<uint64_t> MemoryContent::Size(const oci::Digest& digest) const {
  const std::lock_guard lock(mutex_);
  const auto it = blobs_.find(digest);
  if (it == blobs_.end()) return std::nullopt;
  return it->second.size();
}

std::optional<UniqueFd> MemoryContent::Open(const oci::Digest& digest) const {
  const std::lock_guard lock(mutex_);
  const auto it = blobs_.find(digest);
  if (it == blobs_.end()) return std::nullopt;
  UniqueFd fd(::memfd_create("blob", MFD_CLOEXEC));
  if (!fd) throw ErrnoError("memfd_create", "blob", errno);
  fs::WriteAll(fd.get(), AsBytes(it->second), "blob");
  ::lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::optional<std::string> MemoryContent::Read(const oci::Digest& digest,
                                               size_t cap) const {
  const std::lock_guard lock(mutex_);
  const auto it = blobs_.find(digest);
  if (it == blobs_.end()) return std::nullopt;
  if (it->second.size() > cap) {
    throw Error(ErrorCode::kHost, "blob " + digest.ToString() + ": too large");
  }
  return it->second;
}

std::unique_ptr<Ingest> MemoryContent::Begin(
    std::optional<oci::Digest> expected, std::optional<uint64_t> size) {
  return std::make_unique<MemoryIngest>(*this, std::move(expected), size, "",
                                        false);
}

std::unique_ptr<Ingest> MemoryContent::BeginResumable(
    const oci::Digest& expected, uint64_t size, const CancelToken* cancel) {
  std::unique_lock lock(mutex_);
  while (fetching_.contains(expected)) {
    if (cancel != nullptr) cancel->Check();
    released_.wait_for(lock, std::chrono::milliseconds(5));
  }
  fetching_.insert(expected);
  std::string start = partials_[expected];
  return std::make_unique<MemoryIngest>(*this, expected, size, std::move(start),
                                        true);
}

std::optional<std::string> MemoryContent::Note(
    const oci::Digest& digest) const {
  const std::lock_guard lock(mutex_);
  const auto it = notes_.find(digest);
  if (it == notes_.end()) return std::nullopt;
  return it->second;
}

void MemoryContent::SetNote(const oci::Digest& digest, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  notes_[digest] = bytes;
}

void MemoryContent::Remove(const oci::Digest& digest) {
  const std::lock_guard lock(mutex_);
  blobs_.erase(digest);
  notes_.erase(digest);
}

std::vector<oci::Digest> MemoryContent::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<oci::Digest> digests;
  for (const auto& [digest, bytes] : blobs_) digests.push_back(digest);
  return digests;
}

}  // namespace imgbuild::store
