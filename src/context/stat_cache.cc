#include "context/stat_cache.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

namespace imgbuild::context {
namespace {

// Bumped whenever the record changes; the records are in the machine's byte
// order, which the second half tells.
constexpr uint64_t kMagic = 0x3130'5453'4249'0002;
constexpr size_t kMaxBytes = size_t{256} << 20;
// A record that nobody asked for during so many saves belongs to a file that
// is gone, or to a build that is not run any more.
constexpr uint32_t kMaxUnused = 16;
// So many are handed to the storage at a time.
constexpr size_t kWriteRecords = 1024;

constexpr int64_t kSecond = 1'000'000'000;
// Kernels stamp files with the time of the last timer tick: 10 ms at most.
constexpr int64_t kFineMargin = kSecond / 10;
// FAT counts in two seconds, old file systems in one.
constexpr int64_t kCoarseMargin = 2 * kSecond;

int64_t Nanoseconds(int64_t seconds, uint32_t ns) {
  // Times far outside of what 64 bits of nanoseconds hold (year 2262) are
  // clamped: such a file is never older than now, so it is never remembered.
  constexpr int64_t kMax = INT64_MAX / kSecond - 1;
  return std::clamp(seconds, -kMax, kMax) * kSecond + ns;
}

int HexValue(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

void ToRaw(const oci::Digest& digest, unsigned char* raw) {
  const std::string& hex = digest.hex();
  for (size_t i = 0; i < 32; ++i) {
    raw[i] = static_cast<unsigned char>(HexValue(hex[2 * i]) * 16 +
                                        HexValue(hex[2 * i + 1]));
  }
}

ContextSource::FileDigest FromRaw(const unsigned char* raw, bool has_xattrs) {
  return {oci::Digest::FromRaw(
              oci::DigestAlgorithm::kSha256,
              std::string_view(reinterpret_cast<const char*>(raw), 32)),
          has_xattrs};
}

}  // namespace

StatCache::StatCache(StatCacheStorage* storage, std::string key)
    : storage_(storage), key_(std::move(key)) {}

bool StatCache::IsRacy(const FileInfo& info, int64_t hashed_at) {
  const int64_t newest = std::max(Nanoseconds(info.mtime_s, info.mtime_ns),
                                  Nanoseconds(info.ctime_s, info.ctime_ns));
  const bool coarse = info.mtime_ns == 0 && info.ctime_ns == 0;
  return newest >= hashed_at - (coarse ? kCoarseMargin : kFineMargin);
}

std::optional<ContextSource::FileDigest> StatCache::Find(const FileInfo& info) {
  const std::lock_guard lock(mutex_);
  Load();
  const Record wanted = RecordOf(info);
  const FileId id{wanted.device, wanted.inode};
  if (!slots_.empty()) {
    if (const uint32_t slot = slots_[SlotOf(id)]; slot != 0) {
      const Record& found = fresh_[slot - 1];
      if (!SameFile(found, wanted)) return std::nullopt;
      return FromRaw(found.sha256, found.has_xattrs != 0);
    }
  }
  const std::optional<size_t> index = Search(id);
  if (!index) return std::nullopt;
  const Record record = At(*index);
  if (!SameFile(record, wanted)) return std::nullopt;
  asked_[*index] = true;
  return FromRaw(record.sha256, record.has_xattrs != 0);
}

void StatCache::Add(const FileInfo& info,
                    const ContextSource::FileDigest& digest,
                    int64_t hashed_at) {
  if (IsRacy(info, hashed_at)) return;
  Record record = RecordOf(info);
  ToRaw(digest.digest, record.sha256);
  record.has_xattrs = digest.has_xattrs ? 1 : 0;
  const std::lock_guard lock(mutex_);
  Put(record);
  changed_ = true;
}

size_t StatCache::SlotOf(const FileId& id) const {
  const size_t mask = slots_.size() - 1;
  size_t at = (id.inode * 0x9E3779B97F4A7C15u ^ id.device) >> 20 & mask;
  while (slots_[at] != 0 && IdOf(fresh_[slots_[at] - 1]) != id) {
    at = (at + 1) & mask;
  }
  return at;
}

void StatCache::Put(const Record& record) {
  if (slots_.size() < 2 * (fresh_.size() + 1)) {
    slots_.assign(std::max<size_t>(64, 2 * slots_.size()), 0);
    for (size_t i = 0; i < fresh_.size(); ++i) {
      slots_[SlotOf(IdOf(fresh_[i]))] = static_cast<uint32_t>(i + 1);
    }
  }
  uint32_t& slot = slots_[SlotOf(IdOf(record))];
  if (slot != 0) {
    fresh_[slot - 1] = record;
    return;
  }
  // More would not be saved either.
  if (fresh_.size() >= kMaxBytes / sizeof(Record)) return;
  fresh_.push_back(record);
  slot = static_cast<uint32_t>(fresh_.size());
}

void StatCache::Flush() {
  const std::lock_guard lock(mutex_);
  if (storage_ == nullptr || !changed_) return;
  Load();
  std::vector<uint32_t> order(fresh_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    return IdOf(fresh_[a]) < IdOf(fresh_[b]);
  });
  storage_->Save(key_, [&](Writer& out) { WriteMerged(order, out); });
  changed_ = false;
}

// The stored records and the fresh ones, both in order; a fresh one takes the
// place of a stored one of the same file.
void StatCache::WriteMerged(const std::vector<uint32_t>& order, Writer& out) {
  const std::string head(reinterpret_cast<const char*>(&kMagic), sizeof kMagic);
  out.Write(AsBytes(head));
  std::vector<Record> batch;
  size_t left = kMaxBytes / sizeof(Record) - 1;
  const auto flush = [&] {
    out.Write(std::as_bytes(std::span(batch)));
    batch.clear();
  };
  const auto put = [&](const Record& record) {
    if (left == 0) return;
    --left;
    batch.push_back(record);
    if (batch.size() == kWriteRecords) flush();
  };
  size_t next = 0;
  for (size_t i = 0; i < asked_.size(); ++i) {
    Record record = At(i);
    while (next < order.size() && IdOf(fresh_[order[next]]) < IdOf(record)) {
      put(fresh_[order[next++]]);
    }
    if (next < order.size() && IdOf(fresh_[order[next]]) == IdOf(record)) {
      continue;
    }
    record.unused = asked_[i] ? 0 : record.unused + 1;
    if (record.unused <= kMaxUnused) put(record);
  }
  while (next < order.size()) put(fresh_[order[next++]]);
  flush();
}

StatCache::Record StatCache::RecordOf(const FileInfo& info) {
  Record record;
  record.device = info.device;
  record.inode = info.inode;
  record.size = info.size;
  record.mtime = Nanoseconds(info.mtime_s, info.mtime_ns);
  record.ctime = Nanoseconds(info.ctime_s, info.ctime_ns);
  return record;
}

bool StatCache::SameFile(const Record& a, const Record& b) {
  return a.device == b.device && a.inode == b.inode && a.size == b.size &&
         a.mtime == b.mtime && a.ctime == b.ctime;
}

void StatCache::Load() {
  if (loaded_) return;
  loaded_ = true;
  if (storage_ == nullptr) return;
  std::optional<std::string> bytes = storage_->Load(key_);
  // Anything unexpected (another version, a cut) only costs a new reading.
  uint64_t magic = 0;
  if (!bytes || bytes->size() < sizeof magic || bytes->size() > kMaxBytes ||
      (bytes->size() - sizeof magic) % sizeof(Record) != 0) {
    return;
  }
  std::memcpy(&magic, bytes->data(), sizeof magic);
  if (magic != kMagic) return;
  stored_ = std::move(*bytes);
  asked_.resize((stored_.size() - sizeof magic) / sizeof(Record));
}

StatCache::Record StatCache::At(size_t index) const {
  Record record;
  std::memcpy(&record, stored_.data() + sizeof kMagic + index * sizeof(Record),
              sizeof record);
  return record;
}

std::optional<size_t> StatCache::Search(const FileId& id) {
  const auto id_at = [this](size_t index) {
    FileId found;
    std::memcpy(&found, stored_.data() + sizeof kMagic + index * sizeof(Record),
                sizeof found);
    return found;
  };
  size_t low = 0;
  size_t high = asked_.size();
  if (next_guess_ < high && id_at(next_guess_) == id) {
    low = next_guess_;
  } else {
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (id_at(middle) < id) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low == asked_.size() || id_at(low) != id) return std::nullopt;
  }
  next_guess_ = low + 1;
  return low;
}

}  // namespace imgbuild::context
