// Hand-made archives and the trees they become.
#ifndef IMGBUILD_TESTS_LAYER_LAYER_TEST_UTIL_H_
#define IMGBUILD_TESTS_LAYER_LAYER_TEST_UTIL_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/layer/entry.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::layer {

// A tar archive, header by header, with whatever names and links a test wants.
// Not the product's encoder: what one of them gets wrong the other must not.
class TarBuilder {
 public:
  TarBuilder& File(const std::string& name, const std::string& data,
                   uint32_t mode = 0644);
  TarBuilder& Dir(const std::string& name, uint32_t mode = 0755);
  TarBuilder& Symlink(const std::string& name, const std::string& target);
  TarBuilder& HardLink(const std::string& name, const std::string& target,
                       const std::string& data = "");
  TarBuilder& Node(char type, const std::string& name, uint32_t major,
                   uint32_t minor, uint32_t mode = 0600);
  // A PAX header for the next entry. The record lengths are computed.
  TarBuilder& Pax(const std::vector<std::pair<std::string, std::string>>&);
  // Any type flag, link name, data and declared size.
  TarBuilder& Raw(char type, const std::string& name, const std::string& link,
                  const std::string& data, uint64_t declared_size,
                  uint32_t mode);
  TarBuilder& Owner(uint32_t uid, uint32_t gid);  // of what follows
  TarBuilder& Time(int64_t mtime);                // of what follows
  // With the end-of-archive marker.
  std::string Finish() const;
  // Without.
  const std::string& bytes() const { return out_; }

 private:
  std::string out_;
  uint32_t uid_ = 0;
  uint32_t gid_ = 0;
  int64_t mtime_ = 1'000'000'000;
};

// A directory "root" to extract into, and beside it "outside", which nothing
// may touch: it is described before and compared after.
class Sandbox {
 public:
  Sandbox();
  ExtractResult Extract(const std::string& tar,
                        const ExtractOptions& options = {});
  // The text of the Error that Extract throws; fails the test if none.
  std::string ExtractError(const std::string& tar,
                           const ExtractOptions& options = {});
  // Of `root`, one line an entry: see DescribeTree.
  std::vector<std::string> Tree() const;
  // Fails the test if anything beside the root has changed.
  void ExpectOutsideUntouched() const;

  int root() const { return root_.get(); }
  // Absolute path of the directory outside, for hostile link targets.
  std::string outside_path() const { return dir_.path() + "/outside"; }
  std::string root_path() const { return dir_.path() + "/root"; }
  // Contents of a file below the root, links resolved inside it.
  std::string Read(const std::string& path) const;
  struct ::stat Lstat(const std::string& path) const;
  bool Exists(const std::string& path) const;
  std::map<std::string, std::string> Xattrs(const std::string& path) const;

 private:
  fs::TempDir dir_;
  UniqueFd root_;
};

// One line an entry, sorted by path, without times:
//   "d 755 0:0 a", "f 644 0:0 a/b =data", "l a/c -> x", "c 600 0:0 a/d 1,3",
//   "p 600 0:0 a/e". Whiteouts of overlayfs: "w a/x". Opaque: "d 755 0:0 a !".
// Files that share an inode have " #2" (the link count). Data over 40 bytes is
// "=N bytes".
std::vector<std::string> DescribeTree(int dirfd);

// Whether this process may make device nodes and set trusted attributes.
bool IsPrivileged();

}  // namespace imgbuild::layer

#endif  // IMGBUILD_TESTS_LAYER_LAYER_TEST_UTIL_H_
