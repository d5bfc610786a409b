// One URL or repository of an ADD: what it is now, for the cache key, and its
// files, for the copy. Nothing is fetched twice in one step.
#ifndef IMGBUILD_BUILD_REMOTE_SOURCE_H_
#define IMGBUILD_BUILD_REMOTE_SOURCE_H_

#include <memory>
#include <optional>
#include <string>

#include "imgbuild/build/builder.h"
#include "imgbuild/plan/build_graph.h"
#include "imgbuild/util/file_tree.h"

namespace imgbuild::build {

// The last element of the URL's path: what its file is called.
std::string FileNameOfUrl(const std::string& url);

class RemoteSource {
 public:
  RemoteSource(BuildEnvironment& env, const plan::CopyOp& op,
               const plan::CopyOp::Remote& remote, CancelToken cancel);
  ~RemoteSource();

  // The digest of the file, or the commit. Asks the network, unless the text
  // of the instruction (--checksum, a full commit) or the lock already says it.
  // Throws Error at the source.
  std::string ContentDigest();

  // The files, fetched and verified when they are not there yet.
  struct Files {
    std::shared_ptr<const FileTree> tree;
    std::string path;        // of the file, or of the directory, in `tree`
    std::string name;        // what a file is called
    bool directory = false;  // copy what is in it
  };
  Files Open();

 private:
  std::string UrlDigest();
  std::string Commit();
  // What the bytes must be: --checksum, else the lock's; "" for anything.
  const std::string& WantedDigest() const;
  bool OpenStored();
  void CheckDigest() const;
  void Download(bool conditional);
  void Checkout();

  BuildEnvironment& env_;
  const plan::CopyOp& op_;
  const plan::CopyOp::Remote& remote_;
  CancelToken cancel_;
  std::string digest_;  // of the URL's bytes, "sha256:…"
  std::string commit_;
  std::optional<fs::TempDir> dir_;  // set when the files are there
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_REMOTE_SOURCE_H_
