// The build context in a directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "imgbuild/context/context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "context/crew.h"
#include "context/digest_files.h"
#include "context/dir_index.h"
#include "context/path_order.h"
#include "context/stat_cache.h"

namespace imgbuild::context {
namespace {

using Item = ContextSource::Item;

// Files a thread takes at a time: enough to share an open directory.
constexpr size_t kDigestGrain = 16;

// Opens files one after the other; keeps the directory of the last one.
class FileOpener {
 public:
  explicit FileOpener(int root_fd) : root_fd_(root_fd) {}

  UniqueFd Open(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string directory =
        slash == std::string::npos ? "" : path.substr(0, slash);
    if (!directory_fd_ || directory != directory_) {
      directory_fd_ = TryOpenBeneath(root_fd_, directory, O_PATH | O_DIRECTORY);
      if (!directory_fd_) throw ErrnoError("open", path, errno);
      directory_ = directory;
    }
    const char* const name =
        path.c_str() + (slash == std::string::npos ? 0 : slash + 1);
    // O_NONBLOCK: a FIFO that took the file's place must not hang us.
    UniqueFd fd(
        ::openat(directory_fd_.get(), name,
                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!fd) throw ErrnoError("open", path, errno);
    return fd;
  }

 private:
  const int root_fd_;
  std::string directory_;
  UniqueFd directory_fd_;
};

// Tells what a walk found.
class Teller {
 public:
  Teller(DirIndex* index, const PatternList* exclude, size_t skip,
         const ContextSource::Visitor& visit)
      : index_(*index), exclude_(exclude), skip_(skip), visit_(visit) {}

  using State = std::shared_ptr<const PatternList::DirState>;

  void AddBelow(const DirNode& directory, const State& state) {
    const auto& entries = directory.entries();
    std::vector<std::pair<size_t, State>> states;
    InPathOrder(
        entries.size(), [&](size_t i) { return directory.Name(entries[i]); },
        [&](size_t i) {
          State below;
          if (!Add(directory, entries[i], state, &below)) return false;
          states.emplace_back(i, std::move(below));
          return true;
        },
        [&](size_t i) {
          // The last one pushed is always the first one due.
          const State below = std::move(states.back().second);
          states.pop_back();
          AddBelow(*directory.Child(entries[i]), below);
        });
  }

 private:
  // True for a directory whose contents are wanted; `below` is their state.
  bool Add(const DirNode& directory, const DirNode::Entry& entry,
           const State& state, State* below) {
    if (S_ISSOCK(entry.mode)) return false;
    DirNode* const child = directory.Child(entry);
    if (child != nullptr && !index_.Shows(child)) return false;
    SetPath(directory, entry, &item_.path);
    if (exclude_ != nullptr) {
      auto decision = Exclude(*state, item_.path, child != nullptr);
      if (decision.excluded &&
          !(decision.descend && AnyBelow(*child, decision.state))) {
        return false;
      }
      *below = std::move(decision.state);
    }
    item_.info = index_.InfoOf(entry);
    visit_(item_);
    return child != nullptr;
  }

  // Whether an excluded directory is needed for something inside it.
  bool AnyBelow(const DirNode& directory, const State& state) {
    for (const DirNode::Entry& entry : directory.entries()) {
      DirNode* const child = directory.Child(entry);
      if (S_ISSOCK(entry.mode)) continue;
      if (child != nullptr && !index_.Shows(child)) continue;
      std::string path;
      SetPath(directory, entry, &path);
      const auto decision = Exclude(*state, path, child != nullptr);
      if (!decision.excluded) return true;
      if (decision.descend && AnyBelow(*child, decision.state)) return true;
    }
    return false;
  }

  PatternList::WalkDecision Exclude(const PatternList::DirState& state,
                                    const std::string& path,
                                    bool is_directory) const {
    return exclude_->Step(state, std::string_view(path).substr(skip_),
                          is_directory);
  }

  static void SetPath(const DirNode& directory, const DirNode::Entry& entry,
                      std::string* path) {
    *path = directory.path();
    if (!path->empty()) *path += '/';
    *path += directory.Name(entry);
  }

  DirIndex& index_;
  const PatternList* const exclude_;
  const size_t skip_;
  const ContextSource::Visitor& visit_;
  Item item_;  // one for all of them
};

class LocalContext : public ContextSource {
 public:
  LocalContext(int dir_fd, const std::string& name, LocalContextOptions options,
               ThreadPool& pool, const CancelToken& cancel)
      : name_(name),
        pool_(pool),
        cancel_(cancel),
        index_(Duplicate(dir_fd, name), name, std::move(options.ignore),
               cancel),
        stat_cache_(options.stat_cache, CacheKey()) {}

  ~LocalContext() override {
    try {
      stat_cache_.Flush();
    } catch (const std::exception&) {
      // Only the next build's speed is lost.
    }
  }

  std::string Describe() const override { return name_; }

  void Visit(const std::string& path, const PatternList* exclude,
             const Visitor& visit) const override {
    if (exclude != nullptr && exclude->empty()) exclude = nullptr;
    const std::optional<DirIndex::Place> place = index_.Find(path);
    if (!place || (place->entry && S_ISSOCK(place->entry->mode))) return;
    const size_t skip = path.empty() ? 0 : path.size() + 1;
    if (place->node != nullptr) {
      index_.LoadAll(place->node, exclude, skip, pool_);
    }
    visit({path, InfoAt(*place)});
    if (place->node == nullptr) return;
    Teller(&index_, exclude, skip, visit)
        .AddBelow(*place->node, exclude ? exclude->Root() : nullptr);
  }

  std::vector<FileDigest> DigestFiles(
      const std::vector<const Item*>& files) const override {
    std::vector<std::optional<FileDigest>> found(files.size());
    std::vector<size_t> missing;
    for (size_t i = 0; i < files.size(); ++i) {
      found[i] = stat_cache_.Find(files[i]->info);
      if (!found[i]) missing.push_back(i);
    }
    ParallelFor(pool_, missing.size(), kDigestGrain, [&] {
      const auto opener = std::make_shared<FileOpener>(index_.root_fd());
      const auto digester = std::make_shared<FileDigester>(cancel_);
      return [&, opener, digester](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          found[missing[i]] =
              DigestOne(*files[missing[i]], opener.get(), digester.get());
        }
      };
    });
    std::vector<FileDigest> digests;
    digests.reserve(files.size());
    for (auto& digest : found) digests.push_back(std::move(*digest));
    return digests;
  }

  std::optional<FileDigest> KnownDigest(const FileInfo& info) const override {
    return stat_cache_.Find(info);
  }

  void Learn(const FileInfo& info, const FileDigest& digest,
             int64_t hashed_at) const override {
    stat_cache_.Add(info, digest, hashed_at);
  }

  std::optional<PatternList::Decision> WhyHidden(
      const std::string& path) const override {
    PatternList::Decision decision = index_.ignore().Match(path);
    if (!decision.excluded) return std::nullopt;
    // Beneath the root and past the ignore rules, to see whether it exists.
    if (!TryOpenBeneath(index_.root_fd(), path, O_PATH | O_NOFOLLOW)) {
      return std::nullopt;
    }
    if (index_.Find(path)) return std::nullopt;
    return decision;
  }

  void Flush() const override { stat_cache_.Flush(); }

  std::optional<FileInfo> Lstat(const std::string& path) const override {
    const std::optional<DirIndex::Place> place = index_.Find(path);
    if (!place) return std::nullopt;
    return InfoAt(*place);
  }

  std::string ReadLink(const std::string& path) const override {
    Require(path, FileType::kSymlink, "readlink");
    return tree_.ReadLink(path);
  }

  std::vector<std::string> List(const std::string& path) const override {
    const std::optional<DirIndex::Place> place = index_.Find(path);
    if (!place) throw ErrnoError("open", path, ENOENT);
    if (place->node == nullptr) throw ErrnoError("open", path, ENOTDIR);
    index_.Load(place->node);
    std::vector<std::string> names;
    for (const DirNode::Entry& entry : place->node->entries()) {
      DirNode* const child = place->node->Child(entry);
      if (child != nullptr && !index_.Shows(child)) continue;
      names.emplace_back(place->node->Name(entry));
    }
    return names;
  }

  UniqueFd Open(const std::string& path) const override {
    Require(path, FileType::kRegular, "open");
    return tree_.Open(path);
  }

  std::map<std::string, std::string> Xattrs(
      const std::string& path) const override {
    if (!index_.Find(path)) throw ErrnoError("listxattr", path, ENOENT);
    std::map<std::string, std::string> xattrs = tree_.Xattrs(path);
    // The rest (security labels, ACLs, trusted.*) is this host's business.
    std::erase_if(xattrs, [](const auto& xattr) {
      return xattr.first != "security.capability" &&
             !xattr.first.starts_with("user.");
    });
    return xattrs;
  }

 private:
  static UniqueFd Duplicate(int fd, const std::string& name) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) throw ErrnoError("open", name, errno);
    return copy;
  }

  // Digests are found again by where the directory is, and what it is there.
  std::string CacheKey() const {
    const FileInfo& root = index_.root_info();
    return "context-v1:" + std::to_string(root.device) + ":" +
           std::to_string(root.inode) + ":" + fs::PathOfFd(index_.root_fd());
  }

  FileInfo InfoAt(const DirIndex::Place& place) const {
    return place.entry == nullptr ? index_.root_info()
                                  : index_.InfoOf(*place.entry);
  }

  void Require(const std::string& path, FileType type,
               std::string_view operation) const {
    const std::optional<DirIndex::Place> place = index_.Find(path);
    if (!place) throw ErrnoError(operation, path, ENOENT);
    if (InfoAt(*place).type != type) throw ErrnoError(operation, path, EINVAL);
  }

  FileDigest DigestOne(const Item& file, FileOpener* opener,
                       FileDigester* digester) const {
    const int64_t hashed_at = WallClock();
    const UniqueFd fd = opener->Open(file.path);
    FileDigester::Result result =
        digester->Digest(fd.get(), file.info.size, file.path);
    FileDigest digest{std::move(result.digest), result.has_xattrs};
    if (result.steady) stat_cache_.Add(result.info, digest, hashed_at);
    return digest;
  }

  const std::string name_;
  ThreadPool& pool_;
  const CancelToken cancel_;
  // Filled as it is asked; what it tells never changes.
  mutable DirIndex index_;
  const DirTree tree_{index_.root_fd()};
  mutable StatCache stat_cache_;
};

}  // namespace

std::vector<Item> ContextSource::Walk(const std::string& path,
                                      const PatternList* exclude) const {
  std::vector<Item> items;
  Visit(path, exclude, [&](const Item& item) { items.push_back(item); });
  return items;
}

std::unique_ptr<ContextSource> OpenLocalContext(int dir_fd,
                                                const std::string& name,
                                                LocalContextOptions options,
                                                ThreadPool& pool,
                                                const CancelToken& cancel) {
  return std::make_unique<LocalContext>(dir_fd, name, std::move(options), pool,
                                        cancel);
}

}  // namespace imgbuild::context
