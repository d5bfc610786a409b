// The build context: the files that COPY and ADD may see, read in place. One
// parallel walk makes an index; contents are digested once and remembered
// across builds by (device, inode, size, mtime, ctime).
#ifndef IMGBUILD_CONTEXT_CONTEXT_H_
#define IMGBUILD_CONTEXT_CONTEXT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/context/ignore.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::context {

// Where digests of unchanged files are kept between builds. Implemented by
// store; one opaque byte string per key.
class StatCacheStorage {
 public:
  virtual ~StatCacheStorage() = default;
  virtual std::optional<std::string> Load(const std::string& key) = 0;
  // `write` hands over the bytes in pieces, so that they need not lie in
  // memory twice. When it throws nothing is kept.
  virtual void Save(const std::string& key,
                    const std::function<void(Writer& out)>& write) = 0;
};

// A file tree together with a cheap way to digest parts of it. FileTree's
// functions see only what is not ignored. Thread-safe.
class ContextSource : public FileTree {
 public:
  // What people call it: "context", the directory, the stage's name.
  virtual std::string Describe() const = 0;

  // One file below a selected path.
  struct Item {
    std::string path;  // in this tree
    FileInfo info;
  };
  // Calls `visit` with the item at `path` and everything below it, in bytewise
  // order of paths (parents before children). `exclude` is relative to `path`
  // (COPY --exclude) and may be null; it never leaves out `path` itself.
  // Sockets are left out: no layer can hold one. Absent path: nothing. The
  // item is good until `visit` returns: a million of them are never in memory
  // at once.
  using Visitor = std::function<void(const Item& item)>;
  virtual void Visit(const std::string& path, const PatternList* exclude,
                     const Visitor& visit) const = 0;
  // The same as a list, for trees that are known to be small.
  std::vector<Item> Walk(const std::string& path,
                         const PatternList* exclude) const;
  struct FileDigest {
    oci::Digest digest;
    // Whether Xattrs() is worth asking: hardly any file has one, and a system
    // call a file is what an unchanged tree must not cost.
    bool has_xattrs = false;
  };
  // Digests of the contents of regular files, in the order given; from the
  // stat cache where it can, else read on all threads. Error(kHost) that names
  // a file which is not what Walk() saw any more.
  virtual std::vector<FileDigest> DigestFiles(
      const std::vector<const Item*>& files) const = 0;

  // The digest of a regular file, if the stat cache has it.
  virtual std::optional<FileDigest> KnownDigest(const FileInfo&) const {
    return std::nullopt;
  }
  // Takes the digest of a file that somebody else has read: `info` is of the
  // open file and was the same before and after; `hashed_at` (nanoseconds
  // since 1970) is from before it was opened.
  virtual void Learn(const FileInfo&, const FileDigest&,
                     int64_t /*hashed_at*/) const {}

  // Which rule hides `path`, when it exists but is ignored: for error texts.
  virtual std::optional<PatternList::Decision> WhyHidden(
      const std::string& path) const = 0;

  // Hands what was learnt to the stat cache's storage. The destructor does it
  // too, but swallows errors.
  virtual void Flush() const {}
};

struct LocalContextOptions {
  PatternList ignore;
  // Key in the storage and the storage itself; null: nothing is remembered.
  StatCacheStorage* stat_cache = nullptr;
};

// A directory. Context files belong to 0:0 whatever the disk says (that is
// what BuildKit's client sends); modes, times and xattrs other than
// security.capability… are as on disk. Nothing below `dir` is ever written.
// Walks lazily: only directories that a Walk() or a path names are read.
// `pool` and `stat_cache` must outlive the source.
std::unique_ptr<ContextSource> OpenLocalContext(int dir_fd,
                                                const std::string& name,
                                                LocalContextOptions options,
                                                ThreadPool& pool,
                                                const CancelToken& cancel);

// Any tree (a stage's root file system) as a source: ownership is kept, and
// all xattrs. `pool` must outlive the source.
std::unique_ptr<ContextSource> OpenTreeContext(
    std::shared_ptr<const FileTree> tree, const std::string& name,
    ThreadPool& pool, const CancelToken& cancel);

// The ignore file that goes with a Dockerfile: `<dockerfile>.dockerignore`
// beside it, else `.dockerignore` in the context's root. `dockerfile_path` is
// as open(2) takes it (relative to the working directory); "" or "-": none. A
// link may not lead out of the context (for a Dockerfile elsewhere: out of its
// directory), 1 MiB at most: Error(kDockerfile). nullptr when there is none.
std::shared_ptr<const SourceFile> FindIgnoreFile(
    int context_fd, const std::string& context_name,
    const std::string& dockerfile_path);

// Expands one COPY/ADD source pattern against a tree, as BuildKit does: a
// leading "/" and ".." stay in the root; `*`, `?`, `[…]` by component; links
// are followed in front of the first wildcard only; the matches in bytewise
// order. A pattern without wildcards is returned as it is, cleaned, whether it
// exists or not.
std::vector<std::string> ExpandGlob(const FileTree& tree,
                                    std::string_view pattern);

}  // namespace imgbuild::context

#endif  // IMGBUILD_CONTEXT_CONTEXT_H_
