#include "store/checker.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"

#include "store/layer_dir.h"
#include "store/lookup.h"

namespace imgbuild::store {
namespace {

// What is wrong with the blob; nullopt when it is as its name says, or gone.
std::optional<std::string> BlobProblem(const LocalContent& content,
                                       const oci::Digest& digest,
                                       const CancelToken& cancel) {
  constexpr size_t kChunk = 1u << 20;
  try {
    const auto file = content.Open(digest);
    if (!file) return std::nullopt;
    FdReader reader(file->get(), "blob " + digest.ToString());
    oci::Hasher hasher(digest.algorithm());
    std::vector<std::byte> buffer(kChunk);
    while (const size_t n = reader.Read(buffer)) {
      cancel.Check();
      hasher.Write(Bytes(buffer).first(n));
    }
    if (hasher.Finish() == digest) return std::nullopt;
    return "the content has another digest";
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInterrupted) throw;
    return error.message();  // a disk that cannot be read
  }
}

std::optional<std::string> LayerProblem(const Layout& layout,
                                        const oci::DiffId& id,
                                        const std::string& opaque_xattr) {
  try {
    const auto meta =
        fs::LstatIfExists(layout.layers_fd(), id.hex() + "/" + kMetaName);
    if (!meta) return "its description is missing";
    ReadMeta(layout, id, opaque_xattr);
    const auto files =
        fs::LstatIfExists(layout.layers_fd(), id.hex() + "/" + kFilesName);
    if (!files || !S_ISDIR(files->st_mode)) return "its files are missing";
    return std::nullopt;
  } catch (const Error& error) {
    return error.message();
  }
}

}  // namespace

std::vector<Damage> Checker::Run() {
  CheckDatabase();
  CheckBlobs();
  CheckLayers();
  CheckImages();
  return std::move(found_);
}

// Nothing of it is repaired: half a database would lose names in silence.
void Checker::CheckDatabase() {
  const auto db = db_.Open();
  Query query = db->Prepare("PRAGMA quick_check");
  while (query.Step()) {
    if (query.GetText(0) == "ok") return;
    found_.push_back({"meta.db", std::string(query.GetText(0)), false});
  }
}

void Checker::CheckBlobs() {
  for (const oci::Digest& digest : content_.List()) {
    cancel_.Check();
    auto problem = BlobProblem(content_, digest, cancel_);
    if (!problem) continue;
    if (repair_) content_.Remove(digest);
    found_.push_back(
        {"blob " + digest.ToString(), std::move(*problem), repair_});
  }
}

void Checker::CheckLayers() {
  const std::string opaque_xattr = snapshots_.opaque_xattr();
  for (const oci::DiffId& id : snapshots_.List()) {
    auto problem = LayerProblem(layout_, id, opaque_xattr);
    if (!problem) continue;
    const bool dropped = repair_ && snapshots_.Remove(id);
    found_.push_back({"layer " + id.ToString(), std::move(*problem), dropped});
  }
}

// Blobs of layers may be absent (they can be fetched); without manifest and
// config there is no image.
void Checker::CheckImages() {
  for (const NamedImage& image : images_.List(ListDetail::kWithoutLayers)) {
    std::string problem;
    if (!content_.Has(image.image.manifest)) {
      problem = "its manifest is missing";
    } else if (!content_.Has(image.image.id.digest())) {
      problem = "its config is missing";
    } else {
      continue;
    }
    if (repair_) images_.RemoveImage(image.image.manifest);
    const std::string name = image.names.empty()
                                 ? image.image.manifest.ToString()
                                 : Familiar(image.names.front());
    found_.push_back({"image " + name, std::move(problem), repair_});
  }
}

}  // namespace imgbuild::store
