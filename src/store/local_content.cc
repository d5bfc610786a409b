#include "store/local_content.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "store/checked_file.h"

namespace imgbuild::store {
namespace {

// Writing back starts every so many bytes, so that little is left to wait for
// when the blob is synced.
constexpr uint64_t kWriteBackBytes = 16u << 20;

// A layer of a million files needs less.
constexpr size_t kMaxNoteBytes = size_t{256} << 20;

std::string NotePath(const oci::Digest& digest) {
  return "notes/" + FileNameOf(digest);
}

// The file of a write in progress, at `name` in `dir`.
class FileIngest : public Ingest {
 public:
  enum class Keep { kNothing, kPartial };

  FileIngest(Layout& layout, Unsynced& unsynced, UniqueFd file, int dir,
             std::string name, Keep keep, std::optional<oci::Digest> expected,
             std::optional<uint64_t> size)
      : layout_(layout),
        unsynced_(unsynced),
        file_(std::move(file)),
        dir_(dir),
        name_(std::move(name)),
        keep_(keep),
        expected_(std::move(expected)),
        size_(size),
        hasher_(Algorithm()) {
    if (keep_ == Keep::kPartial) HashPartial();
  }

  ~FileIngest() override {
    if (committed_) return;
    const bool keep = keep_ == Keep::kPartial && hasher_.size() > 0 && !wrong_;
    // The lock on a partial file is still held here, so this is ours.
    if (!keep) ::unlinkat(dir_, name_.c_str(), 0);
  }

  uint64_t offset() const override { return offset_; }

  void Restart() override {
    if (::ftruncate(file_.get(), 0) != 0 ||
        ::lseek(file_.get(), 0, SEEK_SET) < 0) {
      throw ErrnoError("truncate", What(), errno);
    }
    hasher_ = oci::Hasher(Algorithm());
    offset_ = 0;
    written_back_ = 0;
  }

  void Write(Bytes bytes) override {
    if (size_ && hasher_.size() + bytes.size() > *size_) {
      wrong_ = true;
      throw Error(ErrorCode::kRegistry,
                  fmt::format("{}: more than the expected {} bytes came",
                              What(), *size_));
    }
    fs::WriteAll(file_.get(), bytes, What());
    hasher_.Write(bytes);
    if (hasher_.size() - written_back_ >= kWriteBackBytes) {
      ::sync_file_range(file_.get(), static_cast<off_t>(written_back_),
                        static_cast<off_t>(hasher_.size() - written_back_),
                        SYNC_FILE_RANGE_WRITE);
      written_back_ = hasher_.size();
    }
  }

  oci::Digest Commit() override {
    const uint64_t got = hasher_.size();
    if (size_ && got != *size_) {
      // Short is how an interrupted download looks: the partial file stays.
      throw Error(
          ErrorCode::kRegistry,
          fmt::format("{}: {} bytes came instead of {}", What(), got, *size_))
          .Temporary();
    }
    const oci::Digest digest = hasher_.Finish();
    if (expected_ && digest != *expected_) {
      wrong_ = true;
      throw Error(ErrorCode::kRegistry,
                  fmt::format("{}: the content has the digest {}", What(),
                              digest.ToString()));
    }
    Publish(digest);
    return digest;
  }

 private:
  oci::DigestAlgorithm Algorithm() const {
    return expected_ ? expected_->algorithm() : oci::DigestAlgorithm::kSha256;
  }
  std::string What() const {
    return expected_ ? "blob " + expected_->ToString() : "blob";
  }

  // What is there may be of another run, or of before a power cut: it counts
  // once the digest of the whole is right, and not before.
  void HashPartial() {
    const uint64_t there =
        static_cast<uint64_t>(fs::Fstat(file_.get()).st_size);
    if (size_ && there > *size_) {
      Restart();
      return;
    }
    FdReader reader(file_.get(), What());
    offset_ = CopyAll(reader, hasher_);
  }

  void Publish(const oci::Digest& digest) {
    const int blobs = layout_.blobs_fd(digest.algorithm());
    if (::fchmod(file_.get(), 0644) != 0) {
      throw ErrnoError("chmod", What(), errno);
    }
    if (fs::LstatIfExists(blobs, digest.hex())) {
      ::unlinkat(dir_, name_.c_str(), 0);
      committed_ = true;
      return;
    }
    unsynced_.MarkBlob(digest);
    // Replacing an equal blob that came meanwhile does no harm.
    fs::Rename(dir_, name_, blobs, digest.hex());
    committed_ = true;
  }

  Layout& layout_;
  Unsynced& unsynced_;
  UniqueFd file_;
  int dir_;
  std::string name_;
  Keep keep_;
  std::optional<oci::Digest> expected_;
  std::optional<uint64_t> size_;
  oci::Hasher hasher_;
  uint64_t offset_ = 0;
  uint64_t written_back_ = 0;
  bool wrong_ = false;
  bool committed_ = false;
};

// Opens the partial file and waits for its lock, looking at `cancel` now and
// then.
UniqueFd LockPartial(int tmp, const std::string& name,
                     const CancelToken* cancel) {
  for (;;) {
    UniqueFd file = fs::Open(tmp, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    std::chrono::milliseconds pause(1);
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) {
        throw ErrnoError("lock", name, errno);
      }
      if (cancel != nullptr) cancel->Check();
      std::this_thread::sleep_for(pause);
      pause = std::min(pause * 2, std::chrono::milliseconds(50));
    }
    // Whoever had the lock may have made a blob of this file.
    const auto now = fs::LstatIfExists(tmp, name);
    if (now && now->st_ino == fs::Fstat(file.get()).st_ino) return file;
  }
}

}  // namespace

std::string PartialName(const oci::Digest& digest) {
  return "partial-" + FileNameOf(digest);
}

bool LocalContent::Has(const oci::Digest& digest) const {
  return Size(digest).has_value();
}

std::optional<uint64_t> LocalContent::Size(const oci::Digest& digest) const {
  unsynced_.Recover();
  const auto st =
      fs::LstatIfExists(layout_.blobs_fd(digest.algorithm()), digest.hex());
  if (!st || !S_ISREG(st->st_mode)) return std::nullopt;
  return static_cast<uint64_t>(st->st_size);
}

std::optional<UniqueFd> LocalContent::Open(const oci::Digest& digest) const {
  unsynced_.Recover();
  UniqueFd file = fs::OpenIfExists(layout_.blobs_fd(digest.algorithm()),
                                   digest.hex(), O_RDONLY | O_NOFOLLOW);
  if (!file) return std::nullopt;
  return file;
}

std::optional<std::string> LocalContent::Read(const oci::Digest& digest,
                                              size_t cap) const {
  const auto file = Open(digest);
  if (!file) return std::nullopt;
  std::string bytes = fs::ReadFd(file->get(), cap, "blob " + digest.ToString());
  if (oci::Digest::OfBytes(bytes, digest.algorithm()) != digest) {
    throw Error(ErrorCode::kHost,
                fmt::format("blob {}: the stored content is damaged",
                            digest.ToString()))
        .WithHint("`imgbuild store check --repair` drops what is damaged");
  }
  return bytes;
}

std::unique_ptr<Ingest> LocalContent::Begin(std::optional<oci::Digest> expected,
                                            std::optional<uint64_t> size) {
  unsynced_.Recover();
  const int dir = layout_.own_tmp();
  std::string name = layout_.NextName("blob-");
  UniqueFd file = fs::Open(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
  return std::make_unique<FileIngest>(
      layout_, unsynced_, std::move(file), dir, std::move(name),
      FileIngest::Keep::kNothing, std::move(expected), size);
}

std::unique_ptr<Ingest> LocalContent::BeginResumable(
    const oci::Digest& expected, uint64_t size, const CancelToken* cancel) {
  unsynced_.Recover();
  std::string name = PartialName(expected);
  UniqueFd file = LockPartial(layout_.tmp_fd(), name, cancel);
  return std::make_unique<FileIngest>(
      layout_, unsynced_, std::move(file), layout_.tmp_fd(), std::move(name),
      FileIngest::Keep::kPartial, expected, size);
}

std::optional<std::string> LocalContent::Note(const oci::Digest& digest) const {
  return ReadChecked(layout_, NotePath(digest), kMaxNoteBytes);
}

void LocalContent::SetNote(const oci::Digest& digest, std::string_view bytes) {
  WriteChecked(layout_, NotePath(digest), bytes, kMaxNoteBytes);
}

void LocalContent::Remove(const oci::Digest& digest) {
  ::unlinkat(layout_.root_fd(), NotePath(digest).c_str(), 0);
  if (::unlinkat(layout_.blobs_fd(digest.algorithm()), digest.hex().c_str(),
                 0) != 0 &&
      errno != ENOENT) {
    throw ErrnoError("remove", "blob " + digest.ToString(), errno);
  }
  unsynced_.ForgetBlob(digest);
}

std::vector<oci::Digest> LocalContent::List() const {
  unsynced_.Recover();
  std::vector<oci::Digest> digests;
  for (const auto algorithm :
       {oci::DigestAlgorithm::kSha256, oci::DigestAlgorithm::kSha512}) {
    const std::string prefix = std::string(oci::ToString(algorithm)) + ":";
    for (const std::string& name : fs::ListDir(layout_.blobs_fd(algorithm))) {
      if (auto digest = oci::Digest::TryParse(prefix + name)) {
        digests.push_back(std::move(*digest));
      }
    }
  }
  return digests;
}

}  // namespace imgbuild::store
