// A user's text file that a command changes in place.
#ifndef IMGBUILD_CLI_TEXT_FILE_H_
#define IMGBUILD_CLI_TEXT_FILE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "imgbuild/util/source.h"

namespace imgbuild::cli {

// Throws Error(kUsage) when there is no regular file. `what` is for the
// message: "Dockerfile".
std::shared_ptr<const SourceFile> ReadTextFile(const std::string& path,
                                               size_t cap,
                                               std::string_view what);

// Puts `text` in the place of the file: all of it or nothing, the mode bits
// and the owner kept. A symbolic link stays one; what it leads to is replaced.
// Throws Error(kHost), also when the file is not `before` any more.
void ReplaceTextFile(const std::string& path, std::string_view before,
                     std::string_view text);

// What a patch calls the file: relative to the top of its git work tree, else
// to the current directory. Links are followed.
std::string PatchPath(const std::string& path);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_TEXT_FILE_H_
