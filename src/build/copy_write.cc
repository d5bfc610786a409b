// From a CopyTree to a layer: the bytes of its files.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>

#include "imgbuild/util/ahead.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "build/copy_tree.h"

namespace imgbuild::build {
namespace {

// Larger files are streamed.
constexpr uint64_t kSmallFile = 256u << 10;
// What one job reads: enough to be worth a job, little enough for memory.
constexpr uint64_t kBatchBytes = 512u << 10;
constexpr size_t kBatchFiles = 128;

Error Changed(const FileBytes& from) {
  return Error(ErrorCode::kHost,
               Quoted(from.path) + " changed while it was read")
      .WithHint("do not write to the build context during a build");
}

// An open file of the tree, and whether it is still what it was.
class SourceFile {
 public:
  SourceFile(const FileBytes& from, uint64_t size)
      : from_(from), size_(size), fd_(from.tree->Open(from.path)) {}
  int fd() const { return fd_.get(); }

  // After reading: a change during it shows too.
  void Check() const {
    const struct ::stat st = fs::Fstat(fd_.get());
    const int64_t ctime =
        int64_t{st.st_ctim.tv_sec} * 1'000'000'000 + st.st_ctim.tv_nsec;
    if (static_cast<uint64_t>(st.st_size) != size_ ||
        (from_.ctime && *from_.ctime != ctime)) {
      throw Changed(from_);
    }
  }

 private:
  const FileBytes& from_;
  const uint64_t size_;
  const UniqueFd fd_;
};

void ReadExactly(const FileBytes& from, Reader& reader,
                 std::span<std::byte> out) {
  while (!out.empty()) {
    const size_t n = reader.Read(out);
    if (n == 0) throw Changed(from);
    out = out.subspan(n);
  }
}

// A piece of memory that is read once.
class SpanReader : public Reader {
 public:
  explicit SpanReader(Bytes bytes) : bytes_(bytes) {}
  size_t Read(std::span<std::byte> buffer) override {
    const size_t n = std::min(buffer.size(), bytes_.size());
    if (n > 0) std::memcpy(buffer.data(), bytes_.data(), n);
    bytes_ = bytes_.subspan(n);
    return n;
  }

 private:
  Bytes bytes_;
};

}  // namespace

// The small files among `todo`, read ahead in their order.
class CopyTree::Batches {
 public:
  Batches(const std::vector<const Planned*>& todo, ThreadPool& pool)
      : todo_(todo), limit_(2 * size_t{pool.size()} + 1), ahead_(pool) {
    Fill();
  }

  static bool Takes(const Planned& planned) {
    return planned.from.tree != nullptr &&
           planned.entry.type == layer::EntryType::kFile &&
           planned.entry.size <= kSmallFile;
  }

  // Of the next file that Takes() it.
  Bytes Next(uint64_t size) {
    if (left_ == 0) {
      GiveBack(std::move(current_.room));
      current_ = ahead_.Pop();
      left_ = current_.files;
      offset_ = 0;
      Fill();
    }
    const Bytes bytes(current_.room.get() + offset_, size);
    offset_ += size;
    --left_;
    return bytes;
  }

 private:
  // Used again and again: a fresh one would be cleared and paged in.
  using Room = std::unique_ptr<std::byte[]>;
  static constexpr size_t kRoomBytes = kBatchBytes + kSmallFile;

  struct Batch {
    Room room;
    size_t files = 0;
  };

  Room TakeRoom() {
    const std::lock_guard lock(mutex_);
    if (rooms_.empty()) {
      return std::make_unique_for_overwrite<std::byte[]>(kRoomBytes);
    }
    Room room = std::move(rooms_.back());
    rooms_.pop_back();
    return room;
  }
  void GiveBack(Room room) {
    if (!room) return;
    const std::lock_guard lock(mutex_);
    rooms_.push_back(std::move(room));
  }

  void Fill() {
    while (ahead_.waiting() < limit_ && next_ < todo_.size()) {
      std::vector<const Planned*> files;
      uint64_t bytes = 0;
      for (; next_ < todo_.size() && files.size() < kBatchFiles &&
             bytes < kBatchBytes;
           ++next_) {
        if (!Takes(*todo_[next_])) continue;
        files.push_back(todo_[next_]);
        bytes += files.back()->entry.size;
      }
      if (files.empty()) return;
      ahead_.Push([this, files = std::move(files)] {
        return Batch{ReadAll(files), files.size()};
      });
    }
  }

  Room ReadAll(const std::vector<const Planned*>& files) {
    Room out = TakeRoom();
    std::span<std::byte> room(out.get(), kRoomBytes);
    for (const Planned* planned : files) {
      const size_t size = planned->entry.size;
      const SourceFile file(planned->from, size);
      FdReader reader(file.fd(), planned->from.path);
      ReadExactly(planned->from, reader, room.first(size));
      file.Check();
      room = room.subspan(size);
    }
    return out;
  }

  const std::vector<const Planned*>& todo_;
  const size_t limit_;
  size_t next_ = 0;
  Batch current_;
  size_t offset_ = 0;
  size_t left_ = 0;
  std::mutex mutex_;
  std::vector<Room> rooms_;
  Ahead<Batch> ahead_;  // first to go: its jobs use the others
};

void CopyTree::Write(layer::LayerWriter& writer, ThreadPool& pool,
                     const CancelToken& cancel,
                     const std::set<std::string>* paths) const {
  // The first name of a group, in the order of the layer, is the file.
  std::map<InodeKey, const std::string*> first;
  std::vector<const Planned*> todo;
  todo.reserve(paths != nullptr ? paths->size() : planned_.size());
  for (const auto& [path, planned] : planned_) {
    if (paths != nullptr && !paths->contains(path)) continue;
    todo.push_back(&planned);
  }
  // Links bring no bytes, so they must not be read ahead.
  std::vector<const Planned*> files;
  std::vector<const std::string*> targets(todo.size(), nullptr);
  files.reserve(todo.size());
  for (size_t i = 0; i < todo.size(); ++i) {
    if (todo[i]->inode) {
      const std::string* const path = &todo[i]->entry.path;
      const auto [it, added] = first.try_emplace(*todo[i]->inode, path);
      if (!added) targets[i] = it->second;
    }
    if (targets[i] == nullptr) files.push_back(todo[i]);
  }
  Batches batches(files, pool);
  for (size_t i = 0; i < todo.size(); ++i) {
    cancel.Check();
    const Planned& planned = *todo[i];
    if (targets[i] != nullptr) {
      layer::Entry link = planned.entry;
      link.type = layer::EntryType::kHardLink;
      link.link_target = *targets[i];
      link.size = 0;
      link.xattrs.clear();
      writer.Add(link, nullptr);
    } else if (Batches::Takes(planned)) {
      SpanReader reader(batches.Next(planned.entry.size));
      writer.Add(planned.entry, &reader);
    } else if (planned.text) {
      SpanReader reader(AsBytes(*planned.text));
      writer.Add(planned.entry, &reader);
    } else if (planned.entry.type == layer::EntryType::kFile) {
      const SourceFile file(planned.from, planned.entry.size);
      FdReader reader(file.fd(), planned.from.path);
      writer.Add(planned.entry, &reader);
      file.Check();
    } else {
      writer.Add(planned.entry, nullptr);
    }
  }
}

const layer::Entry* CopyTree::Find(const std::string& path) const {
  const auto it = planned_.find(path);
  return it == planned_.end() ? nullptr : &it->second.entry;
}

bool CopyTree::HasLinks() const {
  std::set<InodeKey> seen;
  return std::ranges::any_of(planned_, [&](const auto& item) {
    const Planned& planned = item.second;
    return planned.inode && !seen.insert(*planned.inode).second;
  });
}

bool CopyTree::HasBytes(const std::string& path, int fd) const {
  const Planned& planned = planned_.at(path);
  std::optional<SourceFile> file;
  std::unique_ptr<Reader> ours;
  if (planned.text) {
    ours = std::make_unique<SpanReader>(AsBytes(*planned.text));
  } else {
    file.emplace(planned.from, planned.entry.size);
    ours = std::make_unique<FdReader>(file->fd(), planned.from.path);
  }
  FdReader theirs(fd, path);
  std::array<std::byte, 16384> a;
  std::array<std::byte, 16384> b;
  for (uint64_t left = planned.entry.size; left > 0;) {
    const size_t n = std::min<uint64_t>(left, a.size());
    ReadExactly(planned.from, *ours, std::span(a).first(n));
    ReadExactly(planned.from, theirs, std::span(b).first(n));
    if (std::memcmp(a.data(), b.data(), n) != 0) return false;
    left -= n;
  }
  return true;
}

}  // namespace imgbuild::build
