// The Dockerfile of a build with what it INCLUDEs.
#ifndef IMGBUILD_CLI_INCLUDE_FILES_H_
#define IMGBUILD_CLI_INCLUDE_FILES_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

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
  // Where those that were read lie below the root.
  std::vector<std::string> included() const;
  // "" or the root in front of such a path, as messages show it.
  const std::string& shown_root() const { return shown_root_; }

 private:
  const UniqueFd root_;
  // Of the files seen so far: where they lie below root_.
  std::map<const SourceFile*, std::string> paths_;
  std::map<std::string, std::shared_ptr<const SourceFile>> files_;
  std::string shown_root_;  // what stands before such a path in messages
};

dockerfile::Dockerfile ParseDockerfile(const BuildInput& input);

// A Dockerfile without a build. What it includes is named by paths that can be
// opened from here.
struct DockerfileAt {
  std::string path;
  dockerfile::Dockerfile parsed;
};

// For commands on Dockerfiles. INCLUDE works as in a build whose context is the
// current directory, or the Dockerfile's own where that is not below it. "-" is
// standard input. `found`: they were looked for, so what is no Dockerfile by
// itself and is included by one of the others is left out. Throws as Parse().
std::vector<DockerfileAt> ParseDockerfilesAt(
    const std::vector<std::string>& paths, bool found);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_INCLUDE_FILES_H_
