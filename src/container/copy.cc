#include "imgbuild/container/copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <exception>
#include <functional>
#include <thread>

#include "imgbuild/exec/user.h"
#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/layer/tree_tar.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/peek.h"
#include "imgbuild/util/strings.h"

#include "container/container_files.h"
#include "container/placement.h"

namespace imgbuild::container {
namespace {

constexpr size_t kPipeBytes = 1 << 20;
constexpr size_t kTarHead = 512;

Error Failed(std::string message) {
  return Error(ErrorCode::kFailed, std::move(message));
}

Error NoSuchFile(const std::string& path, const Container& container) {
  return Failed(fmt::format("Could not find the file {} in container {}", path,
                            container.record.name));
}

// Something to read: a path in a tree, and what to call it.
struct Source {
  std::unique_ptr<FileTree> tree;
  std::string path;
  CopySource what;

  uint64_t WriteTar(const std::string& name, Writer& out,
                    const CancelToken& cancel) const {
    return layer::WriteTreeTar(*tree, path, name, out, cancel);
  }
};

Source InsideSource(const ContainerFiles& files, const Container& container,
                    const std::string& typed, bool follow) {
  Source source{std::make_unique<DirTree>(files.root_fd()), "", {}};
  source.path = ResolveInTree(*source.tree, fs::CleanRelative(typed),
                              follow || AssertsDirectory(typed));
  const auto info = source.tree->Lstat(source.path);
  if (!info) throw NoSuchFile("/" + source.path, container);
  source.what = {NameOfSource(typed), info->type == FileType::kDirectory};
  if (AssertsDirectory(typed) && !source.what.is_directory) {
    throw Failed(fmt::format("lstat {}: not a directory", typed));
  }
  return source;
}

std::string Absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  std::array<char, PATH_MAX> cwd{};
  if (::getcwd(cwd.data(), cwd.size()) == nullptr) {
    throw ErrnoError("getcwd", path, errno);
  }
  return std::string(cwd.data()) + "/" + path;
}

// All links followed. Throws Error(kFailed) when there is nothing.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(
      ::realpath(path.c_str(), nullptr), std::free);
  if (real == nullptr) {
    throw ErrnoError("lstat", path, errno, ErrorCode::kFailed);
  }
  return real.get();
}

// The same with the last component as it is.
std::string RealParent(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string parent = RealPath(path.substr(0, slash == 0 ? 1 : slash));
  if (parent != "/") parent += "/";
  return parent + path.substr(slash + 1);
}

Source HostSource(const std::string& typed, bool follow) {
  const std::string clean = fs::CleanPath(Absolute(typed));
  const bool whole = follow || AssertsDirectory(typed) || clean == "/";
  const std::string path = whole ? RealPath(clean) : RealParent(clean);
  const UniqueFd root = fs::Open(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
  Source source{std::make_unique<DirTree>(root.get()), path.substr(1), {}};
  const auto info = source.tree->Lstat(source.path);
  if (!info) throw ErrnoError("lstat", path, ENOENT, ErrorCode::kFailed);
  source.what = {MeansContent(typed) ? "." : NameOfSource(clean),
                 info->type == FileType::kDirectory};
  if (AssertsDirectory(typed) && !source.what.is_directory) {
    throw ErrnoError("lstat", typed, ENOTDIR, ErrorCode::kFailed);
  }
  return source;
}

bool IsDevice(mode_t mode) { return S_ISCHR(mode) || S_ISBLK(mode); }

CopyTarget HostTarget(const std::string& typed) {
  constexpr int kMaxLinks = 40;
  CopyTarget target;
  target.asserts_directory = AssertsDirectory(typed);
  target.path = fs::CleanPath(Absolute(typed));
  struct ::stat st = {};
  // A link that dangles is where the file will be.
  for (int links = 0;; ++links) {
    target.exists = ::lstat(target.path.c_str(), &st) == 0;
    if (!target.exists || !S_ISLNK(st.st_mode)) break;
    if (links == kMaxLinks) throw ErrnoError("open", typed, ELOOP);
    const std::string to = fs::ReadLink(AT_FDCWD, target.path);
    target.path = to.starts_with('/')
                      ? fs::CleanPath(to)
                      : fs::CleanPath(target.path + "/../" + to);
  }
  const std::string parent = fs::CleanPath(target.path + "/..");
  struct ::stat above = {};
  if (!target.exists &&
      (::stat(parent.c_str(), &above) != 0 || !S_ISDIR(above.st_mode))) {
    throw Failed(fmt::format(
        "invalid output path: directory \"{}\" does not exist", parent));
  }
  if (target.exists && IsDevice(st.st_mode)) {
    throw Failed(
        fmt::format("invalid output path: \"{}\" must be a directory "
                    "or a regular file: got a device",
                    typed));
  }
  target.is_directory = target.exists && S_ISDIR(st.st_mode);
  return target;
}

CopyTarget InsideTarget(const FileTree& tree, const Container& container,
                        const std::string& typed) {
  CopyTarget target;
  target.asserts_directory = typed.empty() || AssertsDirectory(typed);
  target.path = ResolveInTree(tree, fs::CleanRelative(typed), true);
  const auto info = tree.Lstat(target.path);
  target.exists = info.has_value() && !typed.empty();
  target.is_directory = target.exists && info->type == FileType::kDirectory;
  if (info && (info->type == FileType::kCharDevice ||
               info->type == FileType::kBlockDevice)) {
    throw Failed(
        fmt::format("destination \"{}:{}\" must be a directory or a "
                    "regular file: got a device",
                    container.record.name, typed));
  }
  return target;
}

// What `produce` writes is extracted below `dir_fd` meanwhile.
uint64_t Pass(const std::function<uint64_t(Writer&)>& produce, int dir_fd,
              const layer::ExtractOptions& options, const CancelToken& cancel) {
  BoundedPipe pipe(kPipeBytes);
  uint64_t bytes = 0;
  std::thread producer([&] {
    try {
      bytes = produce(pipe);
      pipe.CloseWrite();
    } catch (...) {
      pipe.CloseWrite(std::current_exception());
    }
  });
  try {
    layer::Extract(pipe, dir_fd, options, cancel);
  } catch (...) {
    pipe.CloseRead();
    producer.join();
    throw;
  }
  producer.join();
  return bytes;
}

layer::ExtractOptions CommonOptions() {
  layer::ExtractOptions options;
  options.whiteouts = layer::WhiteoutForm::kVerbatim;
  options.keep_kinds = true;
  options.tolerate_ownership = ::geteuid() != 0;
  return options;
}

layer::ExtractOptions InsideOptions(const Engine& engine,
                                    const Container& container,
                                    const FileTree& tree,
                                    const CopyOptions& copy) {
  layer::ExtractOptions options = CommonOptions();
  if (!copy.archive) return options;
  const std::string user =
      container.config.user.empty()
          ? engine.containers.ImageConfigOf(container.record).user
          : container.config.user;
  if (user.empty()) return options;
  const exec::ResolvedUser resolved = exec::ResolveUser(tree, user);
  options.owner = layer::ExtractOptions::Owner{resolved.uid, resolved.gid};
  return options;
}

UniqueFd OpenTargetDirectory(const ContainerFiles& files,
                             const Container& container,
                             const std::string& path) {
  UniqueFd dir =
      fs::TryOpenInRoot(files.root_fd(), path, O_RDONLY | O_DIRECTORY);
  if (!dir) throw NoSuchFile("/" + path, container);
  return dir;
}

// Counts what passes.
class CountingReader : public Reader {
 public:
  explicit CountingReader(Reader& from) : from_(from) {}
  size_t Read(std::span<std::byte> buffer) override {
    const size_t n = from_.Read(buffer);
    bytes_ += n;
    return n;
  }
  uint64_t bytes() const { return bytes_; }

 private:
  Reader& from_;
  uint64_t bytes_ = 0;
};

}  // namespace

uint64_t CopyOut(const Engine& engine, const Container& container,
                 const std::string& path, const std::string& destination,
                 const CopyOptions& options, const CancelToken& cancel) {
  const CopyTarget target = HostTarget(destination);
  // Before the container's mounts: it is a path of the host's.
  const std::string parent = fs::CleanPath(target.path + "/..");
  const UniqueFd host_dir = fs::OpenDir(
      AT_FDCWD, target.exists && target.is_directory ? target.path : parent);
  const ContainerFiles files = ContainerFiles::Open(engine, container);
  const Source source =
      InsideSource(files, container, path, options.follow_link);
  const Placement place = Place(source.what, target);
  layer::ExtractOptions extract = CommonOptions();
  extract.set_owner = options.archive;
  return Pass(
      [&](Writer& out) { return source.WriteTar(place.name, out, cancel); },
      host_dir.get(), extract, cancel);
}

uint64_t CopyOutAsTar(const Engine& engine, const Container& container,
                      const std::string& path, Writer& out,
                      const CopyOptions& options, const CancelToken& cancel) {
  const ContainerFiles files = ContainerFiles::Open(engine, container);
  const Source source =
      InsideSource(files, container, path, options.follow_link);
  return source.WriteTar(source.what.name, out, cancel);
}

uint64_t CopyIn(const Engine& engine, const Container& container,
                const std::string& source_path, const std::string& path,
                const CopyOptions& options, const CancelToken& cancel) {
  // Before the container's mounts, too.
  const Source source = HostSource(source_path, options.follow_link);
  const ContainerFiles files = ContainerFiles::Open(engine, container);
  const DirTree tree(files.root_fd());
  const Placement place =
      Place(source.what, InsideTarget(tree, container, path));
  const UniqueFd dir = OpenTargetDirectory(files, container, place.directory);
  return Pass(
      [&](Writer& out) { return source.WriteTar(place.name, out, cancel); },
      dir.get(), InsideOptions(engine, container, tree, options), cancel);
}

uint64_t CopyInTar(const Engine& engine, const Container& container,
                   Reader& tar, const std::string& path,
                   const CopyOptions& options, const CancelToken& cancel) {
  const ContainerFiles files = ContainerFiles::Open(engine, container);
  const DirTree tree(files.root_fd());
  const CopyTarget target = InsideTarget(tree, container, path);
  if (!target.is_directory) {
    throw Failed(fmt::format("destination \"{}:{}\" must be a directory",
                             container.record.name, path));
  }
  const UniqueFd dir = OpenTargetDirectory(files, container, target.path);
  std::string packed_head = ReadUpTo(tar, kTarHead);
  const layer::ArchiveFormat format = layer::SniffCompression(packed_head);
  PrefixedReader packed(std::move(packed_head), tar);
  const auto plain = layer::DecompressAny(packed, format);
  std::string head = ReadUpTo(*plain, kTarHead);
  if (!layer::LooksLikeTar(head)) {
    throw Failed("standard input is no tar archive");
  }
  PrefixedReader whole(std::move(head), *plain);
  CountingReader counted(whole);
  layer::Extract(counted, dir.get(),
                 InsideOptions(engine, container, tree, options), cancel);
  return counted.bytes();
}

uint64_t ExportFiles(const Engine& engine, const Container& container,
                     Writer& out, const CancelToken& cancel) {
  const ContainerFiles files = ContainerFiles::OpenWritten(engine, container);
  const DirTree tree(files.root_fd());
  return layer::WriteTreeTar(tree, "", "", out, cancel);
}

}  // namespace imgbuild::container
