// The state of one Extract().
#ifndef IMGBUILD_SRC_LAYER_EXTRACTOR_H_
#define IMGBUILD_SRC_LAYER_EXTRACTOR_H_

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "imgbuild/layer/extract.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/unique_fd.h"

#include "layer/parent_cache.h"

namespace imgbuild::layer {

class Extractor {
 public:
  Extractor(TarReader& reader, int root_fd, const ExtractOptions& options,
            const CancelToken& cancel);
  ExtractResult Run();

 private:
  // Where an entry goes: a name in an open directory, and for messages and
  // records its clean path.
  struct Place {
    ParentCache::Dir dir;
    std::string name;
    std::string path;
    int at() const { return dir->get(); }
    const char* c_name() const { return name.c_str(); }
  };

  // extract.cc: what kinds of entry there are.
  void PlaceEntry(const Entry& entry);
  void CheckKind(const Entry& entry, const Place& place) const;
  void PlaceRoot(const Entry& entry);
  void PlaceFile(const Entry& entry, const Place& place);
  void PlaceDirectory(const Entry& entry, const Place& place);
  void PlaceSymlink(const Entry& entry, const Place& place);
  void PlaceNode(const Entry& entry, const Place& place);
  void PlaceHardLink(const Entry& entry, const Place& place);
  void CopyData(const Entry& entry, const Place& place, int fd);
  // False when the target is not there.
  bool TryLink(const std::string& target, const Place& place);
  // Runs `create` until it does not fail with EEXIST, removing what stands at
  // `place` each time. Returns the last error number, 0 for none.
  int CreateOver(const Place& place, const std::function<int()>& create);
  // Removes what is there and says what it was.
  std::optional<struct ::stat> MakeRoom(const Place& place);

  // extract_whiteouts.cc
  // False when the entry is not a whiteout.
  bool PlaceWhiteout(const std::string& parent, const std::string& name);
  void HideBelow(const std::string& parent, const std::string& victim);
  void RemoveBelow(const std::string& parent, const std::string& victim);
  void MakeOpaque(const std::string& path);
  void SetOpaqueAttribute(int fd, const std::string& path);
  // Removes from a directory what this archive did not put there.
  void RemoveOthers(int dirfd);
  bool IsOverlayWhiteout(const struct ::stat& st) const;
  void Remember(int fd);
  void RememberParents(const std::string& parent);
  bool IsOurs(const struct ::stat& st) const;

  // extract_metadata.cc
  void SetMetadata(const Entry& entry, int fd);
  void SetMetadataOfLink(const Entry& entry, const Place& place);
  void SetMetadataOfNode(const Entry& entry, const Place& place);
  ExtractOptions::Owner OwnerOf(const Entry& entry) const;
  void CheckOwner(int result, const std::string& path) const;
  using SetAttribute =
      std::function<bool(const std::string& key, const std::string& value)>;
  void SetXattrs(const Entry& entry, const SetAttribute& set) const;

  // extract.cc: what is done when every entry is in its place.
  void FinishLinks();
  void FinishTimes();
  void FinishImplied();

  TarReader& reader_;
  const int root_fd_;
  const ExtractOptions& options_;
  const CancelToken& cancel_;
  ParentCache parents_;
  ExtractResult result_;

  // Times of directories are set at the end: filling one changes its own. The
  // inode tells whether the path still leads to the same one.
  struct DirTime {
    std::string path;
    ino_t inode;
    int64_t seconds;
    uint32_t nanoseconds;
  };
  std::vector<DirTime> dir_times_;
  std::map<ino_t, std::string> implied_;
  std::set<std::string> opaque_;
  // Hard links without a target so far: name -> target.
  std::map<std::string, std::string> pending_links_;
  // kApply only: what came from this archive, or holds something that did.
  std::unordered_set<ino_t> ours_;
  std::string remembered_parent_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_EXTRACTOR_H_
