// From a CopyTree to a layer: the bytes of its files.
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

#include "imgbuild/layer/member_recipe.h"
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
// Directories and links count too.
constexpr size_t kMaxWaiting = 4096;

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

// From what is planned, pushed in the order of the layer, to the writer. The
// small files among it are read ahead on the pool; little of it waits here at
// any time.
class CopyTree::Stream {
 public:
  Stream(layer::LayerWriter& writer, ThreadPool& pool,
         const CancelToken& cancel)
      : writer_(writer),
        cancel_(cancel),
        recipes_(writer.wants_recipes()),
        limit_(2 * size_t{pool.size()} + 1),
        ahead_(pool) {}

  // `planned` must stay until Finish().
  void Push(const Planned& planned) { Group(&planned, {}); }
  void Push(Planned&& planned) { Group(nullptr, std::move(planned)); }
  void Finish() {
    // The last member holds the end of the archive too.
    group_known_ = false;
    EndGroup();
    while (!queue_.empty()) WriteFront();
  }

 private:
  struct Waiting {
    Planned own;
    const Planned* other = nullptr;
    std::string link_target;  // of another name of a file before it
    // Of the member that it begins; with `taken` it stands for that many
    // entries, itself the last, which are taken over from the earlier layer.
    std::string recipe;
    size_t taken = 0;
    const Planned& planned() const { return other ? *other : own; }
  };

  // Used again and again: a fresh one would be cleared and paged in.
  using Room = std::unique_ptr<std::byte[]>;
  static constexpr size_t kRoomBytes = kBatchBytes + kSmallFile;

  struct Batch {
    Room room;
    size_t files = 0;
  };

  static bool Takes(const Waiting& waiting) {
    const Planned& planned = waiting.planned();
    return waiting.taken == 0 && waiting.link_target.empty() &&
           planned.from.tree != nullptr &&
           planned.entry.type == layer::EntryType::kFile &&
           planned.entry.size <= kSmallFile;
  }

  // Entries are put together until their member is complete: only then is it
  // known whether an earlier layer has it.
  void Group(const Planned* other, Planned&& own) {
    cancel_.Check();
    Waiting waiting;
    waiting.own = std::move(own);
    waiting.other = other;
    const Planned& planned = waiting.planned();
    if (planned.inode) {
      // The first name of a group, in the order of the layer, is the file.
      const auto [it, added] =
          first_.try_emplace(*planned.inode, planned.entry.path);
      if (!added) waiting.link_target = it->second;
    }
    if (!recipes_) {
      Enqueue(std::move(waiting));
      return;
    }
    const bool link = !waiting.link_target.empty();
    if (recipe_.Begins(link ? LinkOf(waiting) : planned.entry)) EndGroup();
    std::optional<oci::Digest> digest;
    if (!link && planned.entry.size > 0) {
      digest = planned.text ? oci::Digest::OfBytes(*planned.text)
                            : planned.from.digest;
      group_known_ = group_known_ && digest.has_value();
    }
    group_known_ = group_known_ && recipe_.whole();
    recipe_.Add(digest ? &*digest : nullptr);
    group_.push_back(std::move(waiting));
  }

  void EndGroup() {
    std::string recipe = recipes_ ? recipe_.Finish() : "";
    if (!group_.empty() && group_known_) {
      if (writer_.HasMember(recipe)) {
        group_.back().taken = group_.size();
        group_.back().recipe = std::move(recipe);
        group_.erase(group_.begin(), group_.end() - 1);
      } else {
        group_.front().recipe = std::move(recipe);
      }
    }
    for (Waiting& waiting : group_) Enqueue(std::move(waiting));
    group_.clear();
    group_known_ = true;
  }

  static layer::Entry LinkOf(const Waiting& waiting) {
    layer::Entry link = waiting.planned().entry;
    link.type = layer::EntryType::kHardLink;
    link.link_target = waiting.link_target;
    link.size = 0;
    link.xattrs.clear();
    return link;
  }

  void Enqueue(Waiting waiting) {
    queue_.push_back(std::move(waiting));
    if (Takes(queue_.back())) {
      const Planned& file = queue_.back().planned();
      filling_.push_back(&file);
      filling_bytes_ += file.entry.size;
      if (filling_.size() == kBatchFiles || filling_bytes_ >= kBatchBytes) {
        Launch();
      }
    }
    while (ahead_.waiting() > limit_ || queue_.size() > kMaxWaiting) {
      WriteFront();
    }
  }

  void Launch() {
    ahead_.Push([this, files = std::exchange(filling_, {})] {
      return Batch{ReadAll(files), files.size()};
    });
    filling_bytes_ = 0;
  }

  void WriteFront() {
    const Waiting& front = queue_.front();
    const Planned& planned = front.planned();
    if (front.taken > 0) {
      writer_.TakeMember(front.recipe, front.taken, planned.entry.path);
      queue_.pop_front();
      return;
    }
    if (!front.recipe.empty()) writer_.NameMember(front.recipe);
    if (!front.link_target.empty()) {
      writer_.Add(LinkOf(front), nullptr);
    } else if (Takes(front)) {
      SpanReader reader(Next(planned.entry.size));
      writer_.Add(planned.entry, &reader);
    } else if (planned.text) {
      SpanReader reader(AsBytes(*planned.text));
      writer_.Add(planned.entry, &reader);
    } else if (planned.entry.type == layer::EntryType::kFile) {
      const SourceFile file(planned.from, planned.entry.size);
      FdReader reader(file.fd(), planned.from.path);
      writer_.Add(planned.entry, &reader);
      file.Check();
    } else {
      writer_.Add(planned.entry, nullptr);
    }
    queue_.pop_front();
  }

  // Of the next file that Takes() it.
  Bytes Next(uint64_t size) {
    if (left_ == 0) {
      GiveBack(std::move(current_.room));
      if (ahead_.waiting() == 0) Launch();
      current_ = ahead_.Pop();
      left_ = current_.files;
      offset_ = 0;
    }
    const Bytes bytes(current_.room.get() + offset_, size);
    offset_ += size;
    --left_;
    return bytes;
  }

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

  layer::LayerWriter& writer_;
  const CancelToken& cancel_;
  const bool recipes_;
  const size_t limit_;
  layer::MemberRecipe recipe_;
  std::vector<Waiting> group_;
  // Whether it is a whole member, and what all of its files are.
  bool group_known_ = true;
  std::map<InodeKey, std::string> first_;
  std::deque<Waiting> queue_;
  // The batch that is being put together.
  std::vector<const Planned*> filling_;
  uint64_t filling_bytes_ = 0;
  // The one that is being written.
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
  const auto wanted = [paths](const std::string& path) {
    return paths == nullptr || paths->contains(path);
  };
  Stream stream(writer, pool, cancel);
  auto next = planned_.begin();
  const auto push_planned = [&] {
    if (wanted(next->first)) stream.Push(next->second);
    ++next;
  };
  if (contents_.source) {
    contents_.source->Visit([&](const std::string& path,
                                const context::ContextSource::Item& item,
                                bool may_have_xattrs) {
      while (next != planned_.end() && next->first < path) push_planned();
      if (!wanted(path)) return;
      stream.Push(Clamped(contents_.source->Make(path, item, may_have_xattrs)));
    });
  }
  while (next != planned_.end()) push_planned();
  stream.Finish();
}

CopyTree::Planned CopyTree::Clamped(CopyContents::Leaf leaf) const {
  leaf.entry.mtime_s = std::min(leaf.entry.mtime_s, epoch_);
  return {std::move(leaf.entry), std::move(leaf.from), std::nullopt,
          leaf.inode};
}

std::optional<layer::Entry> CopyTree::Find(const std::string& path) const {
  const auto it = planned_.find(path);
  if (it != planned_.end()) return it->second.entry;
  if (!contents_.Covers(path)) return std::nullopt;
  auto leaf = contents_.source->MakeAt(path);
  if (!leaf) return std::nullopt;
  return Clamped(std::move(*leaf)).entry;
}

bool CopyTree::HasLinks() const {
  std::set<InodeKey> seen;
  return contents_.has_links ||
         std::ranges::any_of(planned_, [&](const auto& item) {
           const Planned& planned = item.second;
           return planned.inode && !seen.insert(*planned.inode).second;
         });
}

bool CopyTree::HasBytes(const std::string& path, int fd) const {
  const auto it = planned_.find(path);
  const Planned planned = it != planned_.end()
                              ? it->second
                              : Clamped(*contents_.source->MakeAt(path));
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
