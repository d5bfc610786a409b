// What is different between two images.
#ifndef IMGBUILD_CLI_IMAGE_DIFF_H_
#define IMGBUILD_CLI_IMAGE_DIFF_H_

#include <map>
#include <string>
#include <vector>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"

namespace imgbuild::cli {

// "+ x 1", "- x 1", "~ x 1 -> 2", by name. `from` and `to` map names to values.
std::vector<std::string> DiffMaps(
    const std::map<std::string, std::string>& from,
    const std::map<std::string, std::string>& to);

// Name to version, of dpkg's and apk's databases; both may be absent. A name
// of a foreign architecture has it behind a colon. Text that is no database
// gives nothing, and names and versions are printable words: an image's files
// are data.
std::map<std::string, std::string> PackagesOf(const FileTree& tree);
std::map<std::string, std::string> ParseDpkgStatus(const std::string& text);
std::map<std::string, std::string> ParseApkInstalled(const std::string& text);

// "A path", "D path", "C path" in the order of paths; below a directory that
// came or went only the directory. Times do not count.
std::vector<std::string> DiffFiles(const FileTree& from, const FileTree& to,
                                   const CancelToken& cancel);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_DIFF_H_
