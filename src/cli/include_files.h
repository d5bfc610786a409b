// The Dockerfile of a build with what it INCLUDEs.
#ifndef IMGBUILD_CLI_INCLUDE_FILES_H_
#define IMGBUILD_CLI_INCLUDE_FILES_H_

#include <map>
#include <memory>
#include <string>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/util/source.h"
#include "imgbuild/util/unique_fd.h"

#include "cli/build_input.h"

namespace imgbuild::cli {

// Finds the files that INCLUDE names: relative to the file that includes
// them, and never outside the build context (for a Dockerfile elsewhere:
// outside its directory), whatever links say.
class IncludeFiles {
 public:
  // `path` is where `dockerfile` lies below `root`; with an empty root there
  // is nothing to include.
  IncludeFiles(UniqueFd root, const SourceFile& dockerfile, std::string path);

  // Throws Error(kDockerfile) without a place: absolute, leads out, absent
  // (with the nearest name), not a regular file, over 16 MiB.
  std::shared_ptr<const SourceFile> Read(const SourceFile& from,
                                         const std::string& name);

 private:
  const UniqueFd root_;
  // Of the files seen so far: where they lie below root_.
  std::map<const SourceFile*, std::string> paths_;
  std::map<std::string, std::shared_ptr<const SourceFile>> files_;
  std::string shown_root_;  // what stands before such a path in messages
};

dockerfile::Dockerfile ParseDockerfile(const BuildInput& input);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_INCLUDE_FILES_H_
