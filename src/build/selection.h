// Which files of a source a COPY takes, and the digest of them that goes into
// the cache key: names, types, modes, owners, link targets, xattrs and
// contents; no times.
#ifndef IMGBUILD_BUILD_SELECTION_H_
#define IMGBUILD_BUILD_SELECTION_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/context/ignore.h"
#include "imgbuild/plan/build_graph.h"

namespace imgbuild::build {

// One path that a source pattern stands for. What lies below is visited when
// it is needed: a list of a million files would not be small.
struct Selected {
  std::string name;    // as matched: what the copy is called
  std::string path;    // links resolved: where it is read from
  FileInfo info;       // of the path
  size_t pattern = 0;  // which of the instruction's it stands for
  bool directory() const { return info.type == FileType::kDirectory; }
  // Of each item, in the order of the visit, once the selection was digested:
  // false saves asking.
  std::vector<bool> has_xattrs;
};

struct Selection {
  std::vector<Selected> matches;
  std::optional<context::PatternList> exclude;

  // Visits what is selected of one match, itself first, in bytewise order.
  using Visitor = std::function<void(const context::ContextSource::Item& item,
                                     bool may_have_xattrs)>;
  void Visit(const context::ContextSource& source, const Selected& match,
             const Visitor& visit) const;
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
