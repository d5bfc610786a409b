// What of a directory is in the build context and what is not, each with the
// rule that decided: `imgbuild context ls`.
#ifndef IMGBUILD_CONTEXT_LISTING_H_
#define IMGBUILD_CONTEXT_LISTING_H_

#include <string>
#include <vector>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"

namespace imgbuild::context {

struct ListedFile {
  std::string path;
  FileInfo info;
  // Its last rule that matched; of a file that no rule names, empty.
  PatternList::Decision decision;
};

struct ContextListing {
  // Both in bytewise order of paths.
  std::vector<ListedFile> files;
  // An ignored directory with nothing in the context stands for all of it; it
  // is not read, unless an exception could match in there.
  std::vector<ListedFile> ignored;
};

// Decides as OpenLocalContext() does. Throws Error(kHost) for what cannot be
// read and for a tree deeper than 2000.
ContextListing ListContext(const FileTree& tree, const PatternList& ignore,
                           const CancelToken& cancel);

}  // namespace imgbuild::context

#endif  // IMGBUILD_CONTEXT_LISTING_H_
