#include "imgbuild/layer/tree_tar.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "imgbuild/layer/entry.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "layer/entry_encoder.h"
#include "layer/layer_xattrs.h"

namespace imgbuild::layer {
namespace {

constexpr size_t kBuffer = 256 << 10;

std::string Below(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "/" + name;
}

EntryType TypeOf(FileType type) {
  switch (type) {
    case FileType::kDirectory:
      return EntryType::kDirectory;
    case FileType::kSymlink:
      return EntryType::kSymlink;
    case FileType::kCharDevice:
      return EntryType::kCharDevice;
    case FileType::kBlockDevice:
      return EntryType::kBlockDevice;
    case FileType::kFifo:
      return EntryType::kFifo;
    case FileType::kRegular:
    case FileType::kSocket:
      break;
  }
  return EntryType::kFile;
}

Entry EntryOf(const FileInfo& info, std::string name) {
  Entry entry;
  entry.path = std::move(name);
  entry.type = TypeOf(info.type);
  entry.mode = info.type == FileType::kSymlink ? 0777 : info.mode;
  entry.uid = info.uid;
  entry.gid = info.gid;
  entry.mtime_s = info.mtime_s;
  entry.dev_major = info.rdev_major;
  entry.dev_minor = info.rdev_minor;
  return entry;
}

class TreeWriter {
 public:
  TreeWriter(const FileTree& tree, Writer& out, const CancelToken& cancel)
      : tree_(tree), out_(out), cancel_(cancel), buffer_(kBuffer) {}

  void WriteAll(const std::string& path, const std::string& name) {
    cancel_.Check();
    const auto info = tree_.Lstat(path);
    if (!info || info->type == FileType::kSocket) return;
    const uint64_t before = written_;
    std::vector<std::string> children;
    try {
      if (!name.empty()) WriteOne(path, name, *info);
      if (info->type == FileType::kDirectory) children = tree_.List(path);
    } catch (const Error&) {
      // It has vanished meanwhile, before a byte of it was written.
      if (written_ == before && !tree_.Lstat(path)) return;
      throw;
    }
    for (const std::string& child : children) {
      WriteAll(Below(path, child), Below(name, child));
    }
  }

  uint64_t Finish() {
    Put(std::string(2 * kTarBlock, '\0'));
    return written_;
  }

 private:
  void WriteOne(const std::string& path, const std::string& name,
                const FileInfo& info) {
    Entry entry = EntryOf(info, name);
    if (info.type == FileType::kSymlink) {
      entry.link_target = tree_.ReadLink(path);
    } else {
      entry.xattrs = OnlyForLayers(tree_.Xattrs(path));
    }
    if (info.type != FileType::kDirectory && info.nlink > 1) {
      const auto [first, is_new] =
          names_.emplace(std::pair(info.device, info.inode), name);
      if (!is_new) {
        entry.type = EntryType::kHardLink;
        entry.link_target = first->second;
        entry.xattrs.clear();
      }
    }
    if (entry.type != EntryType::kFile) {
      Put(EncodeHeader(entry));
      return;
    }
    const UniqueFd fd = tree_.Open(path);
    // Asked again: a log grows while it is copied.
    entry.size = static_cast<uint64_t>(fs::Fstat(fd.get()).st_size);
    Put(EncodeHeader(entry));
    WriteData(fd.get(), entry);
  }

  void WriteData(int fd, const Entry& entry) {
    FdReader reader(fd, entry.path);
    for (uint64_t left = entry.size; left > 0;) {
      cancel_.Check();
      const size_t want =
          std::min<uint64_t>(left, static_cast<uint64_t>(buffer_.size()));
      const size_t n = reader.Read(std::span(buffer_).first(want));
      if (n == 0) {
        throw Error(ErrorCode::kHost,
                    Quoted(entry.path) + " became shorter while it was read");
      }
      PutBytes(std::span(buffer_).first(n));
      left -= n;
    }
    Put(std::string(PaddingAfter(entry.size), '\0'));
  }

  void Put(const std::string& text) { PutBytes(AsBytes(text)); }
  void PutBytes(Bytes bytes) {
    out_.Write(bytes);
    written_ += bytes.size();
  }

  const FileTree& tree_;
  Writer& out_;
  const CancelToken& cancel_;
  std::vector<std::byte> buffer_;
  // (device, inode) -> what the archive calls the file.
  std::map<std::pair<uint64_t, uint64_t>, std::string> names_;
  uint64_t written_ = 0;
};

}  // namespace

uint64_t WriteTreeTar(const FileTree& tree, const std::string& path,
                      const std::string& name, Writer& out,
                      const CancelToken& cancel) {
  if (!tree.Lstat(path)) throw ErrnoError("read", "/" + path, ENOENT);
  TreeWriter writer(tree, out, cancel);
  writer.WriteAll(path, name);
  return writer.Finish();
}

}  // namespace imgbuild::layer
