#include "imgbuild/transfer/bundle.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "transfer/layout_files.h"

namespace imgbuild::transfer {
namespace {

// Reads `size` bytes, whatever there is.
template <typename Read>
void Ingest(store::ContentStore& content, const oci::Digest& digest,
            uint64_t wanted, uint64_t size, const CancelToken& cancel,
            Read read) {
  if (size != wanted) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("{} has {} bytes in the bundle, it must have {}",
                            digest.ToString(), size, wanted));
  }
  const auto ingest = content.Begin(digest, wanted);
  std::vector<std::byte> buffer(256u << 10);
  while (const size_t n = read(std::span(buffer))) {
    cancel.Check();
    ingest->Write(Bytes(buffer).first(n));
  }
  ingest->Commit();
}

size_t FromDirectory(store::Store& store, int directory,
                     const std::map<oci::Digest, uint64_t>& wanted,
                     const CancelToken& cancel) {
  size_t found = 0;
  for (const auto& [digest, size] : wanted) {
    const UniqueFd fd =
        fs::TryOpenInRoot(directory, BlobFile(digest), O_RDONLY | O_NONBLOCK);
    if (!fd || !S_ISREG(fs::Fstat(fd.get()).st_mode)) continue;
    FdReader reader(fd.get(), digest.ToString());
    Ingest(store.content(), digest, size,
           static_cast<uint64_t>(fs::Fstat(fd.get()).st_size), cancel,
           [&](std::span<std::byte> buffer) { return reader.Read(buffer); });
    ++found;
  }
  return found;
}

}  // namespace

oci::Descriptor NamedBlob(std::string_view media_type, const oci::Digest& blob,
                          uint64_t size, const std::string& name) {
  oci::Descriptor entry{
      std::string(media_type), blob, size, std::nullopt, {}, {}, {}};
  entry.annotations[kRefName] = name;
  return entry;
}

Archive BundleArchive(const std::vector<oci::Descriptor>& named,
                      const std::vector<oci::Descriptor>& blobs) {
  Archive archive;
  for (const oci::Descriptor& blob : blobs) {
    archive[BlobFile(blob.digest)] = {"", blob};
  }
  for (const oci::Descriptor& blob : named) {
    archive[BlobFile(blob.digest)] = {"", blob};
  }
  const oci::Index index{std::string(oci::media_type::kOciIndex), named, {}};
  archive[kIndexFile] = {oci::Serialize(index), {}};
  archive[kLayoutFile] = {kLayoutText, {}};
  return archive;
}

size_t ImportTarBlobs(store::ContentStore& content, Reader& input,
                      const std::map<oci::Digest, uint64_t>& wanted,
                      const CancelToken& cancel) {
  std::map<std::string, oci::Digest> files;
  for (const auto& [digest, size] : wanted) {
    files.emplace(BlobFile(digest), digest);
  }
  layer::TarReader tar(input);
  size_t found = 0;
  while (const auto entry = tar.Next()) {
    cancel.Check();
    std::string_view name = entry->path;
    while (name.starts_with("./")) name.remove_prefix(2);
    const auto match = files.find(std::string(name));
    if (match == files.end() || entry->type != layer::EntryType::kFile) {
      continue;
    }
    const oci::Digest digest = match->second;
    files.erase(match);
    Ingest(content, digest, wanted.at(digest), entry->size, cancel,
           [&](std::span<std::byte> buffer) { return tar.Read(buffer); });
    ++found;
  }
  return found;
}

size_t ImportBlobs(store::Store& store, const std::string& path,
                   const std::map<oci::Digest, uint64_t>& wanted,
                   const CancelToken& cancel) {
  const UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    throw Error(ErrorCode::kUsage,
                fmt::format("there is no bundle at {}", Quoted(path)))
        .WithHint("`imgbuild lock bundle FILE` makes one");
  }
  const mode_t mode = fs::Fstat(fd.get()).st_mode;
  try {
    if (S_ISDIR(mode)) return FromDirectory(store, fd.get(), wanted, cancel);
    if (S_ISREG(mode)) {
      FdReader tar(fd.get(), path);
      return ImportTarBlobs(store.content(), tar, wanted, cancel);
    }
  } catch (Error& error) {
    throw error.While("while reading the bundle " + path);
  }
  throw Error(ErrorCode::kUsage,
              fmt::format("the bundle {} is neither a file nor a directory",
                          Quoted(path)));
}

}  // namespace imgbuild::transfer
