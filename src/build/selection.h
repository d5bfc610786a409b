// Which files of a source a COPY takes, and the digest of them that goes into
// the cache key: names, types, modes, owners, link targets, xattrs and
// contents; no times.
#ifndef IMGBUILD_BUILD_SELECTION_H_
#define IMGBUILD_BUILD_SELECTION_H_

#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/plan/build_graph.h"

namespace imgbuild::build {

// One path that a source pattern stands for.
struct Selected {
  std::string name;  // as matched: what the copy is called
  std::string path;  // links resolved: where it is read from
  bool directory = false;
  // Below `path`, itself first, in bytewise order.
  std::vector<context::ContextSource::Item> items;
  // Of each item, once the selection was digested: false saves asking.
  std::vector<bool> has_xattrs;
  bool MayHaveXattrs(size_t i) const {
    return has_xattrs.empty() || has_xattrs[i];
  }
};

struct Selection {
  std::vector<Selected> matches;
};

// Throws Error(kStep) at the pattern: no such file, with the ignore rule that
// hides it or the nearest name.
Selection Select(const context::ContextSource& source, const plan::CopyOp& op);

// The digest of everything selected. Fills in has_xattrs.
std::string DigestSelection(const context::ContextSource& source,
                            Selection& selection);

// A bind mount's: one path and everything below.
Selection SelectPath(const context::ContextSource& source,
                     const std::string& path, const SourceRange& range);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_SELECTION_H_
