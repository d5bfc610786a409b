#include "layer/parent_cache.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::layer {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr int kMaxLinks = 40;  // the kernel's own limit

Error InTheWay(const std::string& path, int error_number) {
  return ErrnoError("open directory", path, error_number, ErrorCode::kRegistry);
}

// A path that is being walked: the open directories from the root down, and
// the names that are still to come (last first).
struct Walk {
  struct Step {
    ParentCache::Dir dir;
    std::string name;
  };
  std::vector<Step> steps;
  std::vector<std::string> names;

  void PushNames(std::string_view path) {
    const std::vector<std::string> parts = Split(path, '/');
    names.insert(names.end(), parts.rbegin(), parts.rend());
  }
  std::string PathOf(const std::string& name) const {
    std::string path;
    for (const Step& step : steps) path += step.name + "/";
    return path + name;
  }
};

}  // namespace

ParentCache::ParentCache(int root_fd, Hooks hooks)
    : root_fd_(root_fd), hooks_(std::move(hooks)) {}

ParentCache::Dir ParentCache::Find(const std::string& path) {
  for (const Slot& slot : slots_) {
    if (slot.dir && slot.path == path) return slot.dir;
  }
  UniqueFd fd = fs::TryOpenInRoot(root_fd_, path, kOpenDir);
  if (!fd) return nullptr;
  Dir dir = std::make_shared<const UniqueFd>(std::move(fd));
  Put(path, dir);
  return dir;
}

ParentCache::Dir ParentCache::Open(const std::string& path) {
  if (Dir dir = Find(path)) return dir;
  if (errno != ENOENT && errno != ENOTDIR) throw InTheWay(path, errno);
  Dir dir = Make(path);
  Put(path, dir);
  return dir;
}

void ParentCache::Put(const std::string& path, Dir dir) {
  for (Slot& slot : slots_) {
    if (slot.dir && slot.path == path) {
      slot.dir = std::move(dir);
      return;
    }
  }
  slots_[next_slot_] = {path, std::move(dir)};
  next_slot_ = (next_slot_ + 1) % slots_.size();
}

void ParentCache::Clear() {
  for (Slot& slot : slots_) slot = {};
}

// Every step is one name below an open directory, never followed by the
// kernel, so whatever changes meanwhile, the walk stays inside the root.
ParentCache::Dir ParentCache::Make(const std::string& path) {
  Walk walk;
  walk.PushNames(path);
  int links = 0;
  while (!walk.names.empty()) {
    const std::string name = std::move(walk.names.back());
    walk.names.pop_back();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (!walk.steps.empty()) walk.steps.pop_back();
      continue;
    }
    const int at = walk.steps.empty() ? root_fd_ : walk.steps.back().dir->get();
    UniqueFd fd(::openat(at, name.c_str(), kOpenDir | O_NOFOLLOW));
    bool replaced = false;
    if (!fd && (errno == ENOTDIR || errno == ELOOP)) {
      const auto found = fs::LstatIfExists(at, name);
      if (found && S_ISLNK(found->st_mode)) {
        if (++links > kMaxLinks) throw InTheWay(path, ELOOP);
        const std::string target = fs::ReadLink(at, name);
        if (target.starts_with('/')) walk.steps.clear();
        walk.PushNames(target);
        continue;
      }
      if (found && !hooks_.make_way(at, name)) throw InTheWay(path, ENOTDIR);
      replaced = found.has_value();
      errno = ENOENT;
    }
    if (!fd) {
      if (errno != ENOENT) throw InTheWay(path, errno);
      if (::mkdirat(at, name.c_str(), 0755) != 0 && errno != EEXIST) {
        throw ErrnoError("mkdir", walk.PathOf(name), errno);
      }
      fd.reset(::openat(at, name.c_str(), kOpenDir | O_NOFOLLOW));
      if (!fd) throw InTheWay(path, errno);
      // Not 0755 less the caller's umask.
      if (::fchmod(fd.get(), 0755) != 0) {
        throw ErrnoError("chmod", walk.PathOf(name), errno);
      }
      hooks_.made(fd.get(), walk.PathOf(name), replaced);
    }
    walk.steps.push_back(
        {std::make_shared<const UniqueFd>(std::move(fd)), name});
  }
  if (!walk.steps.empty()) return walk.steps.back().dir;
  Dir root = Find("");
  if (!root) throw InTheWay("/", errno);
  return root;
}

}  // namespace imgbuild::layer
