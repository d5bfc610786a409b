#include "imgbuild/build/remote_context.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/plan/git_source.h"
#include "imgbuild/plan/named_context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/peek.h"
#include "imgbuild/util/strings.h"

#include "build/remote_source.h"

namespace imgbuild::build {
namespace {

using Kind = FetchedContext::Kind;

constexpr char kFiles[] = "files";
constexpr char kDownload[] = "download";
constexpr size_t kHeadBytes = 512;

// A directory whose mode is not the user's umask's business: it is part of
// what `COPY .` takes.
UniqueFd MakeRoot(const fs::TempDir& dir) {
  fs::MakeDir(dir.fd(), kFiles, 0755);
  UniqueFd root = fs::OpenDir(dir.fd(), kFiles);
  if (::fchmod(root.get(), 0755) != 0) {
    throw ErrnoError("chmod", dir.path(), errno);
  }
  return root;
}

FetchedContext FetchRepository(store::Store& store, Fetcher& fetcher,
                               const std::string& url,
                               const FetchContextOptions& options,
                               const CancelToken& cancel) {
  const plan::GitSource source = plan::ParseGitSource(url);
  FetchedContext out{Kind::kRepository, {}, "", "", store.NewTemp("context-")};
  out.identity = fetcher.ResolveCommit(source, cancel);
  if (!out.identity.starts_with(source.commit)) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("commit mismatch: {} has {}, the checksum says {}",
                            ShownUrl(url), out.identity, source.commit));
  }
  out.root = MakeRoot(out.dir);
  fetcher.Checkout(source, out.identity, out.dir.path() + "/" + kFiles, cancel);
  if (!source.keep_git_dir.value_or(options.keep_git_dir)) {
    fs::RemoveTree(out.root.get(), ".git");
  }
  if (source.subdir.empty()) return out;
  UniqueFd below =
      fs::TryOpenInRoot(out.root.get(), source.subdir, O_RDONLY | O_DIRECTORY);
  if (!below) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("there is no directory {} in {}",
                            Quoted(source.subdir), ShownUrl(url)));
  }
  out.root = std::move(below);
  return out;
}

FetchedContext Download(store::Store& store, Fetcher& fetcher,
                        const std::string& url,
                        const FetchContextOptions& options,
                        const CancelToken& cancel) {
  fs::TempDir dir = store.NewTemp("context-");
  std::string identity;
  {
    const UniqueFd fd =
        fs::Open(dir.fd(), kDownload, O_WRONLY | O_CREAT | O_EXCL, 0600);
    FdWriter file(fd.get(), "the downloaded context");
    oci::Hasher hasher;
    TeeWriter both(file, hasher);
    fetcher.FetchUrl(url, {}, both, cancel);
    identity = hasher.Finish().ToString();
  }
  const UniqueFd fd = fs::Open(dir.fd(), kDownload, O_RDONLY);
  FdReader reader(fd.get(), "the downloaded context");
  const std::string head = ReadUpTo(reader, kHeadBytes);
  if (LooksLikeContextArchive(head)) {
    PrefixedReader archive(head, reader);
    try {
      FetchedContext out = UnpackContext(store, archive, cancel);
      out.identity = std::move(identity);
      return out;  // what was downloaded goes with `dir`
    } catch (Error& error) {
      throw error.While("while unpacking " + ShownUrl(url));
    }
  }
  FetchedContext out{Kind::kFile, MakeRoot(dir), "", std::move(identity),
                     std::move(dir)};
  out.file = options.file_name.empty() ? FileNameOfUrl(url) : options.file_name;
  fs::Rename(out.dir.fd(), kDownload, out.root.get(), out.file);
  return out;
}

}  // namespace

bool IsRemoteContext(std::string_view text) {
  return plan::IsGitUrl(text) || plan::IsHttpUrl(text);
}

std::string ShownUrl(const std::string& url) {
  std::string shown = url.substr(0, url.find('?'));
  const size_t scheme = shown.find("://");
  if (scheme == std::string::npos) return shown;
  const size_t at = shown.find('@', scheme);
  if (at == std::string::npos || shown.find('/', scheme + 3) < at) return shown;
  return shown.substr(0, scheme + 3) + shown.substr(at + 1);
}

bool LooksLikeContextArchive(std::string_view first_bytes) {
  return layer::SniffCompression(first_bytes) != layer::ArchiveFormat::kPlain ||
         layer::LooksLikeTar(first_bytes);
}

FetchedContext FetchContext(store::Store& store, Fetcher& fetcher,
                            const std::string& url,
                            const FetchContextOptions& options,
                            const CancelToken& cancel) {
  return plan::IsGitUrl(url)
             ? FetchRepository(store, fetcher, url, options, cancel)
             : Download(store, fetcher, url, options, cancel);
}

FetchedContext UnpackContext(store::Store& store, Reader& archive,
                             const CancelToken& cancel) {
  FetchedContext out{Kind::kArchive, {}, "", "", store.NewTemp("context-")};
  out.root = MakeRoot(out.dir);
  const std::string head = ReadUpTo(archive, kHeadBytes);
  PrefixedReader all(head, archive);
  const auto tar = layer::DecompressAny(all, layer::SniffCompression(head));
  layer::ExtractOptions options;
  options.whiteouts = layer::WhiteoutForm::kVerbatim;
  options.limits.max_total_bytes = kMaxContextBytes;
  options.limits.max_entries = kMaxContextEntries;
  layer::Extract(*tar, out.root.get(), options, cancel);
  return out;
}

std::unique_ptr<context::ContextSource> OpenFetchedContext(
    const FetchedContext& fetched, const std::string& name, ThreadPool& pool,
    const CancelToken& cancel) {
  if (fetched.kind == Kind::kRepository) {
    return context::OpenLocalContext(fetched.root.get(), name, {}, pool,
                                     cancel);
  }
  return context::OpenTreeContext(std::make_shared<DirTree>(fetched.root.get()),
                                  name, pool, cancel);
}

}  // namespace imgbuild::build
