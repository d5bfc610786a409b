#include "context/dir_index.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "context/crew.h"

namespace imgbuild::context {
namespace {

// Recursion over directories goes so deep at most.
constexpr size_t kMaxDepth = 2000;
// Helpers are called when so many directories wait: below, waking them costs
// more than they bring.
constexpr size_t kWorthHelp = 4;

// The head of what getdents64 writes; the name follows.
struct DirentHead {
  uint64_t inode;
  int64_t offset;
  uint16_t record_size;
  uint8_t type;
};
constexpr size_t kDirentName = offsetof(struct dirent64, d_name);

std::string Shown(const std::string& path) { return path.empty() ? "." : path; }

std::string JoinPath(const std::string& directory, std::string_view name) {
  std::string path;
  path.reserve(directory.size() + name.size() + 1);
  path = directory;
  if (!path.empty()) path += '/';
  path += name;
  return path;
}

size_t DepthOf(const std::string& path) {
  return static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
}

}  // namespace

const DirNode::Entry* DirNode::Find(std::string_view name) const {
  const auto at = std::lower_bound(
      entries_.begin(), entries_.end(), name,
      [this](const Entry& e, std::string_view n) { return Name(e) < n; });
  return at != entries_.end() && Name(*at) == name ? &*at : nullptr;
}

// Reads the entries of one directory.
class DirIndex::Loader {
 public:
  Loader(DirIndex* index, DirNode* node) : index_(*index), node_(*node) {}

  void Run() {
    if (DepthOf(node_.path_) >= kMaxDepth) {
      throw Error(ErrorCode::kHost,
                  "the build context has directories more than " +
                      std::to_string(kMaxDepth) + " levels deep");
    }
    fd_ = TryOpenBeneath(index_.root_fd(), node_.path_,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd_) {
      // Removed since its parent was read: nothing below it, then.
      if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return;
      // What is ignored may be unreadable.
      if (errno == EACCES && node_.ignored_) return;
      throw ErrnoError("open", Shown(node_.path_), errno);
    }
    ReadAll();
    std::sort(node_.entries_.begin(), node_.entries_.end(),
              [this](const DirNode::Entry& a, const DirNode::Entry& b) {
                return node_.Name(a) < node_.Name(b);
              });
    node_.entries_.shrink_to_fit();
    node_.names_.shrink_to_fit();
    node_.children_.shrink_to_fit();
  }

 private:
  void ReadAll() {
    alignas(dirent64) char buffer[32 * 1024];
    for (;;) {
      const long size =
          ::syscall(SYS_getdents64, fd_.get(), buffer, sizeof buffer);
      if (size < 0) throw ErrnoError("read", Shown(node_.path_), errno);
      if (size == 0) return;
      for (long at = 0; at < size;) {
        DirentHead head;
        std::memcpy(&head, buffer + at, kDirentName);
        const char* const name = buffer + at + kDirentName;
        at += head.record_size;
        const std::string_view text(name);
        if (text != "." && text != "..") AddEntry(name, head.type);
      }
    }
  }

  void AddEntry(const char* name, uint8_t type) {
    const std::string_view text(name);
    struct ::stat st = {};
    if (type == DT_UNKNOWN) {
      if (!Stat(name, &st)) return;
      type = S_ISDIR(st.st_mode) ? DT_DIR : DT_REG;
    }
    PatternList::WalkDecision decision;
    std::string path;
    if (type == DT_DIR || !index_.ignore_.empty()) {
      path = JoinPath(node_.path_, text);
      decision = index_.ignore_.Step(*node_.state_, path, type == DT_DIR);
      if (decision.excluded && !decision.descend) return;
    }
    if (st.st_mode == 0 && !Stat(name, &st)) return;
    // What turned into something else while we looked.
    if (S_ISDIR(st.st_mode) != (type == DT_DIR)) return;
    DirNode::Entry entry = MakeEntry(st, text);
    if (type == DT_DIR) {
      auto child = std::make_unique<DirNode>();
      child->path_ = std::move(path);
      child->state_ = std::move(decision.state);
      child->ignored_ = decision.excluded;
      node_.children_.push_back(std::move(child));
      entry.child = static_cast<uint32_t>(node_.children_.size());
    }
    node_.entries_.push_back(entry);
  }

  // False when it is gone.
  bool Stat(const char* name, struct ::stat* st) const {
    if (::fstatat(fd_.get(), name, st, AT_SYMLINK_NOFOLLOW) == 0) return true;
    if (errno == ENOENT) return false;
    throw ErrnoError("lstat", JoinPath(node_.path_, name), errno);
  }

  DirNode::Entry MakeEntry(const struct ::stat& st, std::string_view name) {
    if (node_.names_.size() > UINT32_MAX - NAME_MAX) {
      throw Error(ErrorCode::kHost, "too many files in one directory");
    }
    DirNode::Entry entry;
    entry.inode = st.st_ino;
    const bool device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
    entry.size = device ? st.st_rdev : static_cast<uint64_t>(st.st_size);
    entry.mtime_s = st.st_mtim.tv_sec;
    entry.ctime_s = st.st_ctim.tv_sec;
    entry.mtime_ns = static_cast<uint32_t>(st.st_mtim.tv_nsec);
    entry.ctime_ns = static_cast<uint32_t>(st.st_ctim.tv_nsec);
    entry.nlink = static_cast<uint32_t>(st.st_nlink);
    entry.name_offset = static_cast<uint32_t>(node_.names_.size());
    entry.name_size = static_cast<uint16_t>(name.size());
    entry.mode = static_cast<uint16_t>(st.st_mode);
    if (st.st_dev != last_device_ || !have_device_) {
      device_index_ = index_.DeviceIndex(st.st_dev);
      last_device_ = st.st_dev;
      have_device_ = true;
    }
    entry.device = device_index_;
    node_.names_ += name;
    return entry;
  }

  DirIndex& index_;
  DirNode& node_;
  UniqueFd fd_;
  uint64_t last_device_ = 0;
  uint16_t device_index_ = 0;
  bool have_device_ = false;
};

// The directories that are still to be read, shared by the threads that read.
class DirIndex::Walk {
 public:
  Walk(DirIndex* index, const PatternList* exclude, size_t skip)
      : index_(*index), exclude_(exclude), skip_(skip) {}

  void Run(DirNode* start, ThreadPool& pool) {
    waiting_.push_back({start, exclude_ ? exclude_->Root() : nullptr});
    // Alone, until there is enough for company.
    while (!waiting_.empty() && waiting_.size() < kWorthHelp) {
      const Task task = std::move(waiting_.back());
      waiting_.pop_back();
      Process(task, &waiting_);
    }
    if (!waiting_.empty()) RunTogether(pool, [this] { Work(); });
  }

 private:
  struct Task {
    DirNode* node;
    std::shared_ptr<const PatternList::DirState> exclude_state;
  };

  void Work() {
    std::vector<Task> found;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(
          lock, [this] { return stopped_ || !waiting_.empty() || busy_ == 0; });
      if (stopped_ || waiting_.empty()) return;
      const Task task = std::move(waiting_.back());
      waiting_.pop_back();
      ++busy_;
      lock.unlock();
      try {
        Process(task, &found);
      } catch (...) {
        lock.lock();
        stopped_ = true;
        changed_.notify_all();
        throw;
      }
      lock.lock();
      --busy_;
      const bool news = !found.empty() || busy_ == 0;
      std::move(found.begin(), found.end(), std::back_inserter(waiting_));
      found.clear();
      if (news) changed_.notify_all();
    }
  }

  void Process(const Task& task, std::vector<Task>* found) {
    index_.cancel_.Check();
    index_.Load(task.node);
    for (const DirNode::Entry& entry : task.node->entries()) {
      DirNode* const child = task.node->Child(entry);
      if (child == nullptr) continue;
      Task next{child, nullptr};
      if (exclude_ != nullptr) {
        auto decision =
            exclude_->Step(*task.exclude_state,
                           std::string_view(child->path()).substr(skip_), true);
        if (decision.excluded && !decision.descend) continue;
        next.exclude_state = std::move(decision.state);
      }
      found->push_back(std::move(next));
    }
  }

  DirIndex& index_;
  const PatternList* const exclude_;
  const size_t skip_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Task> waiting_;
  unsigned busy_ = 0;
  bool stopped_ = false;
};

DirIndex::DirIndex(UniqueFd root, std::string name, PatternList ignore,
                   CancelToken cancel)
    : root_fd_(std::move(root)),
      name_(std::move(name)),
      ignore_(std::move(ignore)),
      cancel_(std::move(cancel)),
      root_info_(ToFileInfo(fs::Fstat(root_fd_.get()))) {
  if (root_info_.type != FileType::kDirectory) {
    throw ErrnoError("open", name_, ENOTDIR);
  }
  root_info_.uid = 0;
  root_info_.gid = 0;
  root_.state_ = ignore_.Root();
}

DirIndex::~DirIndex() = default;

std::optional<DirIndex::Place> DirIndex::Find(std::string_view path) {
  Place place;
  place.node = &root_;
  while (!path.empty()) {
    if (place.node == nullptr) return std::nullopt;
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view()
                                           : path.substr(slash + 1);
    Load(place.node);
    place.entry = place.node->Find(name);
    if (place.entry == nullptr) return std::nullopt;
    place.node = place.node->Child(*place.entry);
  }
  if (place.node != nullptr && !Shows(place.node)) return std::nullopt;
  return place;
}

FileInfo DirIndex::InfoOf(const DirNode::Entry& entry) const {
  struct ::stat st = {};
  st.st_mode = entry.mode;
  st.st_ino = entry.inode;
  st.st_nlink = entry.nlink;
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    st.st_rdev = entry.size;
  } else {
    st.st_size = static_cast<off_t>(entry.size);
  }
  st.st_mtim.tv_sec = entry.mtime_s;
  st.st_mtim.tv_nsec = entry.mtime_ns;
  st.st_ctim.tv_sec = entry.ctime_s;
  st.st_ctim.tv_nsec = entry.ctime_ns;
  {
    const std::lock_guard lock(devices_mutex_);
    st.st_dev = devices_[entry.device];
  }
  return ToFileInfo(st);  // owner 0:0, whatever the disk says
}

void DirIndex::Load(DirNode* node) {
  if (node->loaded_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(node->loading_);
  if (node->loaded_.load(std::memory_order_relaxed)) return;
  try {
    Loader(this, node).Run();
  } catch (...) {
    // The next one tries again, from nothing.
    node->names_.clear();
    node->entries_.clear();
    node->children_.clear();
    throw;
  }
  node->loaded_.store(true, std::memory_order_release);
}

void DirIndex::LoadAll(DirNode* node, const PatternList* exclude, size_t skip,
                       ThreadPool& pool) {
  Walk(this, exclude, skip).Run(node, pool);
}

bool DirIndex::Shows(DirNode* node) {
  if (!node->ignored_) return true;
  DirNode::Shown shown = node->shown_.load();
  if (shown == DirNode::Shown::kUnknown) {
    shown = ComputeShows(node) ? DirNode::Shown::kYes : DirNode::Shown::kNo;
    node->shown_.store(shown);
  }
  return shown == DirNode::Shown::kYes;
}

bool DirIndex::ComputeShows(DirNode* node) {
  Load(node);
  const auto& entries = node->entries();
  return std::any_of(entries.begin(), entries.end(),
                     [this, node](const DirNode::Entry& entry) {
                       DirNode* const child = node->Child(entry);
                       return child == nullptr || Shows(child);
                     });
}

uint16_t DirIndex::DeviceIndex(uint64_t device) {
  const std::lock_guard lock(devices_mutex_);
  const auto at = std::find(devices_.begin(), devices_.end(), device);
  if (at == devices_.end()) {
    if (devices_.size() > UINT16_MAX) {
      throw Error(ErrorCode::kHost, "too many devices below " + name_);
    }
    devices_.push_back(device);
    return static_cast<uint16_t>(devices_.size() - 1);
  }
  return static_cast<uint16_t>(at - devices_.begin());
}

}  // namespace imgbuild::context
