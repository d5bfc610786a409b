#include "build/unpack.h"

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/peek.h"

namespace imgbuild::build {
namespace {

layer::ArchiveFormat Sniff(const FileTree& source, const std::string& path) {
  const UniqueFd file = source.Open(path);
  FdReader reader(file.get(), path);
  return layer::SniffCompression(ReadUpTo(reader, 16));
}

}  // namespace

bool IsArchive(const FileTree& source, const std::string& path) {
  try {
    const layer::ArchiveFormat format = Sniff(source, path);
    const UniqueFd file = source.Open(path);
    FdReader reader(file.get(), path);
    const auto plain = layer::DecompressAny(reader, format);
    return layer::LooksLikeTar(ReadUpTo(*plain, 512));
  } catch (const Error&) {
    return false;  // what does not decompress is a file like any other
  }
}

UnpackedArchive::UnpackedArchive(store::Store& store, const FileTree& source,
                                 const std::string& path,
                                 const CancelToken& cancel)
    : dir_(store.NewTemp("add-")) {
  const layer::ArchiveFormat format = Sniff(source, path);
  const UniqueFd file = source.Open(path);
  FdReader reader(file.get(), path);
  const auto plain = layer::DecompressAny(reader, format);
  layer::ExtractOptions options;
  options.whiteouts = layer::WhiteoutForm::kVerbatim;
  layer::Extract(*plain, dir_.fd(), options, cancel);
  tree_ = std::make_shared<DirTree>(dir_.fd());
  List("");
}

void UnpackedArchive::List(const std::string& path) {
  for (const std::string& name : tree_->List(path)) {
    const std::string child = path.empty() ? name : path + "/" + name;
    const auto info = tree_->Lstat(child);
    if (!info) continue;
    items_.push_back({child, *info});
    if (info->type == FileType::kDirectory) List(child);
  }
}

}  // namespace imgbuild::build
