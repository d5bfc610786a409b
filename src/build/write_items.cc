#include <thread>

#include "imgbuild/layer/extract.h"

#include "build/copy_tree.h"
#include "build/run_mounts.h"

namespace imgbuild::build {

void WriteItems(const std::shared_ptr<const FileTree>& source,
                const std::vector<context::ContextSource::Item>& items,
                const std::string& strip, int64_t epoch, int dir_fd,
                ThreadPool& pool, const CancelToken& cancel) {
  CopyTree tree(std::make_shared<const EmptyTree>(), epoch);
  for (const context::ContextSource::Item& item : items) {
    if (item.info.type == FileType::kSocket) continue;
    std::string path = item.path.substr(strip.size());
    if (path.starts_with('/')) path.erase(0, 1);
    if (path.empty()) continue;
    layer::Entry entry = ToEntry(item.info, std::move(path));
    if (item.info.type == FileType::kDirectory) {
      tree.PutDirectory(std::move(entry), true);
      continue;
    }
    if (item.info.type == FileType::kSymlink) {
      entry.link_target = source->ReadLink(item.path);
    } else {
      entry.xattrs = source->Xattrs(item.path);
    }
    std::optional<InodeKey> inode;
    if (item.info.nlink > 1) inode = {item.info.device, item.info.inode};
    tree.PutLeaf(std::move(entry), {source, item.path, std::nullopt}, inode);
  }
  BoundedPipe pipe(1u << 20);
  std::exception_ptr write_error;
  std::thread writer([&] {
    try {
      layer::LayerWriter layer(pipe, pool, oci::Compression::kNone);
      tree.Write(layer, pool, cancel);
      layer.Finish();
      pipe.CloseWrite();
    } catch (...) {
      write_error = std::current_exception();
      pipe.CloseWrite(write_error);
    }
  });
  std::exception_ptr error;
  try {
    layer::ExtractOptions options;
    options.whiteouts = layer::WhiteoutForm::kVerbatim;
    layer::Extract(pipe, dir_fd, options, cancel);
    std::byte rest[4096];
    while (pipe.Read(rest) > 0) {
    }
  } catch (...) {
    error = std::current_exception();
    pipe.CloseRead();
  }
  writer.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace imgbuild::build
