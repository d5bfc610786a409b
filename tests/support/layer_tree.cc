#include "support/layer_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::store {
namespace {

void Check(int result, const std::string& what) {
  if (result != 0) throw ErrnoError("write node", what, errno);
}

void SetTime(int dir_fd, const std::string& path, int64_t seconds) {
  const std::array<struct ::timespec, 2> times = {{
      {.tv_sec = seconds, .tv_nsec = 0},
      {.tv_sec = seconds, .tv_nsec = 0},
  }};
  Check(::utimensat(dir_fd, path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW),
        path);
}

void MakeParents(int dir_fd, const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) {
    fs::MakeDirs(dir_fd, path.substr(0, slash), 0755);
  }
}

void WriteNode(int dir_fd, const Node& node, const std::string& opaque_xattr) {
  const char* path = node.path.c_str();
  MakeParents(dir_fd, node.path);
  switch (node.kind) {
    case Node::Kind::kFile: {
      const UniqueFd fd =
          fs::Open(dir_fd, node.path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
      fs::WriteAll(fd.get(), AsBytes(node.text), node.path);
      break;
    }
    case Node::Kind::kDirectory:
      fs::MakeDirs(dir_fd, node.path, 0755);
      break;
    case Node::Kind::kSymlink:
      Check(::symlinkat(node.text.c_str(), dir_fd, path), node.path);
      break;
    case Node::Kind::kFifo:
      Check(::mkfifoat(dir_fd, path, 0600), node.path);
      break;
    case Node::Kind::kHardLink:
      Check(::linkat(dir_fd, node.text.c_str(), dir_fd, path, 0), node.path);
      return;
    case Node::Kind::kWhiteout:
      Check(::mknodat(dir_fd, path, S_IFCHR, makedev(0, 0)), node.path);
      return;
    case Node::Kind::kOpaque: {
      fs::MakeDirs(dir_fd, node.path, 0755);
      const UniqueFd fd = fs::OpenDir(dir_fd, node.path);
      Check(::fsetxattr(fd.get(), opaque_xattr.c_str(), "y", 1, 0), node.path);
      return;
    }
  }
  Check(::fchownat(dir_fd, path, node.uid == 0 ? ::geteuid() : node.uid,
                   ::getegid(), AT_SYMLINK_NOFOLLOW),
        node.path);
  if (node.kind != Node::Kind::kSymlink) {
    Check(::fchmodat(dir_fd, path, node.mode, 0), node.path);
  }
}

std::string TypeName(FileType type) {
  switch (type) {
    case FileType::kRegular:
      return "file";
    case FileType::kDirectory:
      return "dir";
    case FileType::kSymlink:
      return "link";
    case FileType::kFifo:
      return "fifo";
    default:
      return "other";
  }
}

class Describer {
 public:
  explicit Describer(const FileTree& tree) : tree_(tree) {}

  void Walk(const std::string& path) {
    const auto info = tree_.Lstat(path);
    if (!info) {
      lines.push_back(path + " absent");
      return;
    }
    lines.push_back(Line(path, *info));
    if (info->type != FileType::kDirectory) return;
    for (const std::string& name : tree_.List(path)) {
      Walk(path.empty() ? name : path + "/" + name);
    }
  }

  std::vector<std::string> lines;

 private:
  std::string Line(const std::string& path, const FileInfo& info) {
    std::array<char, 16> mode{};
    std::snprintf(mode.data(), mode.size(), "%04o", info.mode);
    std::string line = (path.empty() ? "." : path) + " " + TypeName(info.type);
    if (info.type != FileType::kSymlink) line += std::string(" ") + mode.data();
    line += " " + std::to_string(info.uid) + " " + std::to_string(info.mtime_s);
    if (info.type == FileType::kSymlink) line += " -> " + tree_.ReadLink(path);
    if (info.type == FileType::kRegular) {
      line += " " + fs::ReadFd(tree_.Open(path).get(), 16 << 20, path);
    }
    for (const auto& [key, value] : tree_.Xattrs(path)) {
      if (key.starts_with("user.")) line += " " + key + "=" + value;
    }
    if (info.type != FileType::kDirectory) {
      const auto [first, is_new] =
          inodes_.emplace(std::pair(info.device, info.inode), path);
      if (!is_new) line += " =" + first->second;
    }
    return line;
  }

  const FileTree& tree_;
  std::map<std::pair<uint64_t, uint64_t>, std::string> inodes_;
};

}  // namespace

std::string OpaqueXattrHere() {
  const fs::TempDir dir = fs::TempDir::InTmp();
  const bool trusted =
      ::fsetxattr(dir.fd(), "trusted.overlay.opaque", "y", 1, 0) == 0;
  return trusted ? "trusted.overlay.opaque" : "user.overlay.opaque";
}

bool CanWriteLayers() {
  const fs::TempDir dir = fs::TempDir::InTmp();
  return ::fchown(dir.fd(), 7, 7) == 0 &&
         ::mknodat(dir.fd(), "whiteout", S_IFCHR, makedev(0, 0)) == 0;
}

void WriteNodes(int dir_fd, const std::vector<Node>& nodes,
                const std::string& opaque_xattr) {
  for (const Node& node : nodes) WriteNode(dir_fd, node, opaque_xattr);
  for (const Node& node : nodes) {
    if (node.kind == Node::Kind::kWhiteout ||
        node.kind == Node::Kind::kOpaque ||
        node.kind == Node::Kind::kHardLink) {
      continue;
    }
    SetTime(dir_fd, node.path, node.mtime);
  }
}

std::vector<std::string> Describe(const FileTree& tree) {
  Describer describer(tree);
  describer.Walk("");
  return describer.lines;
}

}  // namespace imgbuild::store
