// The directory of a layer that a step makes, beside its blob: without going
// through the blob.
#ifndef IMGBUILD_BUILD_COPY_FILES_H_
#define IMGBUILD_BUILD_COPY_FILES_H_

#include <exception>
#include <memory>
#include <optional>
#include <thread>

#include "imgbuild/layer/member_index.h"
#include "imgbuild/store/store.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

#include "build/copy_tree.h"

namespace imgbuild::build {

// Takes a layer's tar and unpacks it in a thread of its own. Destroyed without
// Commit(): nothing remains.
class FilesFromTar : public Writer {
 public:
  // `snapshots` and `cancel` must outlive it.
  FilesFromTar(store::Snapshotter& snapshots,
               std::unique_ptr<store::PendingLayer> pending,
               const CancelToken& cancel);
  ~FilesFromTar() override;
  // Throws what went wrong in the other thread.
  void Write(Bytes bytes) override;
  // REQUIRES: the whole tar was written, and this is its DiffId.
  void Commit(const oci::DiffId& diff_id);

 private:
  void Unpack(const std::string& opaque_xattr, const CancelToken& cancel);

  const std::unique_ptr<store::PendingLayer> pending_;
  BoundedPipe pipe_;
  layer::ExtractResult result_;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses the others
};

// A layer that this step made before.
struct EarlierLayer {
  oci::DiffId diff_id;
  const layer::ReusableBlob& blob;
};

// Makes the directory of the layer `diff_id`, which is `tree` and was written
// with the members of `index`: what differs from the earlier layer where that
// is little and its directory is there (decision 8), else all files.
void MakeFiles(store::Snapshotter& snapshots, const CopyTree& tree,
               const oci::DiffId& diff_id, const layer::MemberIndex& index,
               const EarlierLayer& earlier, ThreadPool& pool,
               const CancelToken& cancel);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_COPY_FILES_H_
