#include "build/remote_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <vector>

#include "imgbuild/build/fetcher.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/plan/cache_key.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

constexpr char kFile[] = "file";
constexpr char kRepository[] = "repository";

}  // namespace

std::string FileNameOfUrl(const std::string& url) {
  std::string path = url.substr(0, url.find_first_of("?#"));
  const size_t scheme = path.find("://");
  const size_t start = path.find('/', scheme + 3);
  path = start == std::string::npos ? "" : path.substr(start);
  while (path.ends_with('/')) path.pop_back();
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.empty() || name == "." || name == ".." ? "__unnamed__" : name;
}

namespace {

// What the store remembers of a URL: a recipe, because that prints itself.
oci::Digest MemoryKey(const std::string& url) {
  plan::Recipe recipe;
  recipe.Add("url-seen", url);
  return recipe.Digest();
}

}  // namespace

RemoteSource::RemoteSource(BuildEnvironment& env, const plan::CopyOp& op,
                           const plan::CopyOp::Remote& remote,
                           CancelToken cancel)
    : env_(env), op_(op), remote_(remote), cancel_(std::move(cancel)) {
  if (env.fetcher == nullptr) {
    throw Error(ErrorCode::kHost, "this build has no way to the network")
        .At(remote.range);
  }
}

RemoteSource::~RemoteSource() = default;

std::string RemoteSource::ContentDigest() {
  try {
    return remote_.git ? Commit() : UrlDigest();
  } catch (Error& error) {
    error.At(remote_.range);
    throw;
  }
}

RemoteSource::Files RemoteSource::Open() {
  try {
    Files files;
    if (remote_.git) {
      if (!dir_) Checkout();
      files.tree = std::make_shared<DirTree>(dir_->fd());
      files.path = kRepository;
      if (!remote_.git->subdir.empty()) {
        files.path = ResolveInTree(
            *files.tree, files.path + "/" + remote_.git->subdir, true);
        const auto info = files.tree->Lstat(files.path);
        if (!files.path.starts_with(kRepository) || !info ||
            info->type != FileType::kDirectory) {
          throw Error(ErrorCode::kStep,
                      fmt::format("there is no directory {} in the repository",
                                  Quoted(remote_.git->subdir)));
        }
      }
      files.directory = true;
      return files;
    }
    if (!dir_ && !OpenStored()) Download(false);
    CheckDigest();
    files.tree = std::make_shared<DirTree>(dir_->fd());
    files.path = kFile;
    files.name = FileNameOfUrl(remote_.url);
    return files;
  } catch (Error& error) {
    error.At(remote_.range);
    throw;
  }
}

const std::string& RemoteSource::WantedDigest() const {
  return op_.checksum.empty() ? remote_.pin : op_.checksum;
}

// A file that is wanted by its digest may be in the store: `imgbuild lock` and
// `lock fetch` leave it there.
bool RemoteSource::OpenStored() {
  const auto digest = oci::Digest::TryParse(WantedDigest());
  if (!digest || !env_.store.content().Has(*digest)) return false;
  const auto stored = env_.store.content().Open(*digest);
  if (!stored) return false;
  fs::TempDir dir = env_.store.NewTemp("add-");
  const UniqueFd fd(
      ::openat(dir.fd(), kFile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) throw ErrnoError("create", remote_.url, errno);
  FdWriter file(fd.get(), "the copy of " + digest->ToString());
  oci::Hasher hasher(digest->algorithm());
  TeeWriter writer(file, hasher);
  FdReader reader(stored->get(), digest->ToString());
  std::vector<std::byte> buffer(1u << 20);
  while (const size_t n = reader.Read(buffer)) {
    writer.Write(Bytes(buffer.data(), n));
  }
  digest_ = hasher.Finish().ToString();
  if (digest_ != WantedDigest()) return false;  // damaged: fetch it
  dir_ = std::move(dir);
  return true;
}

void RemoteSource::CheckDigest() const {
  if (!op_.checksum.empty() && digest_ != op_.checksum) {
    throw Error(ErrorCode::kStep,
                fmt::format("digest mismatch: the file is {}, --checksum "
                            "says {}",
                            digest_, op_.checksum));
  }
  if (!remote_.pin.empty() && digest_ != remote_.pin) {
    const std::string name = plan::WithoutUserInfo(remote_.url);
    throw Error(ErrorCode::kPolicy,
                fmt::format("{} is not what the lock says: it is {} now, the "
                            "lock has {}",
                            name, digest_, remote_.pin))
        .WithHint(fmt::format("if the new file is right: imgbuild lock "
                              "--update {}",
                              name));
  }
}

std::string RemoteSource::UrlDigest() {
  if (!WantedDigest().empty()) return WantedDigest();
  if (digest_.empty()) Download(true);
  return digest_;
}

// A file that the server calls unchanged is not sent again; its digest is what
// it was.
void RemoteSource::Download(bool conditional) {
  registry::Validators known;
  std::string known_digest;
  const oci::Digest key = MemoryKey(remote_.url);
  if (conditional) {
    if (const auto record = env_.store.cache().Find(key)) {
      const plan::Recipe memory = plan::Recipe::Parse(record->recipe);
      for (const auto& [tag, value] : memory.fields()) {
        if (tag == "etag") known.etag = value;
        if (tag == "last-modified") known.last_modified = value;
        if (tag == "digest") known_digest = value;
      }
    }
  }
  fs::TempDir dir = env_.store.NewTemp("add-");
  const UniqueFd fd(
      ::openat(dir.fd(), kFile, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) throw ErrnoError("create", remote_.url, errno);
  FdWriter file(fd.get(), "the downloaded file");
  oci::Hasher hasher;
  TeeWriter writer(file, hasher);
  const registry::Download got =
      env_.fetcher->FetchUrl(remote_.url, known, writer, cancel_);
  if (got.not_modified && !known_digest.empty()) {
    digest_ = known_digest;
    return;
  }
  digest_ = hasher.Finish().ToString();
  dir_ = std::move(dir);
  plan::Recipe memory;
  memory.Add("etag", got.validators.etag);
  memory.Add("last-modified", got.validators.last_modified);
  memory.Add("digest", digest_);
  if (!got.validators.empty()) {
    env_.store.cache().Put(key, {std::nullopt, memory.Text()});
  }
}

std::string RemoteSource::Commit() {
  if (commit_.empty()) commit_ = remote_.pin;
  if (commit_.empty()) {
    commit_ = env_.fetcher->ResolveCommit(*remote_.git, cancel_);
  }
  for (const std::string& wanted : {remote_.git->commit, op_.checksum}) {
    if (commit_.starts_with(wanted)) continue;
    throw Error(ErrorCode::kStep,
                fmt::format("commit mismatch: the repository has {}, the "
                            "checksum says {}",
                            commit_, wanted));
  }
  return commit_;
}

void RemoteSource::Checkout() {
  const std::string commit = Commit();
  fs::TempDir dir = env_.store.NewTemp("add-");
  fs::MakeDir(dir.fd(), kRepository, 0755);
  env_.fetcher->Checkout(*remote_.git, commit, dir.path() + "/" + kRepository,
                         cancel_);
  dir_ = std::move(dir);
}

}  // namespace imgbuild::build
