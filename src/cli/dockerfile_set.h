// Which Dockerfiles a command is about, when it takes several.
#ifndef IMGBUILD_CLI_DOCKERFILE_SET_H_
#define IMGBUILD_CLI_DOCKERFILE_SET_H_

#include <string>
#include <vector>

namespace imgbuild::cli {

// `files` (-f), as given, when there are any. Else each of `paths` ("." when
// empty): a file is itself, a directory its Dockerfile or dockerfile or, when
// `recursive`, every Dockerfile below it: Dockerfile, Containerfile,
// X.Dockerfile, Dockerfile.X in any case, without locks and ignore files;
// hidden directories and links are
// not entered. Sorted within a directory; none twice. Throws Error(kUsage) when
// there is none.
std::vector<std::string> FindDockerfiles(const std::vector<std::string>& files,
                                         const std::vector<std::string>& paths,
                                         bool recursive);

// By its name alone.
bool IsDockerfileName(const std::string& name);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_DOCKERFILE_SET_H_
