// Where `cp` puts things: Docker's rules, without any file system.
#ifndef IMGBUILD_SRC_CONTAINER_PLACEMENT_H_
#define IMGBUILD_SRC_CONTAINER_PLACEMENT_H_

#include <string>
#include <string_view>

namespace imgbuild::container {

// The end of a path says something: "x/" and "x/." are directories, "x/." is
// what is in it.
bool AssertsDirectory(std::string_view path);
bool MeansContent(std::string_view path);
// The last component of a path as it was typed; "." for the content of a
// directory and for the root.
std::string NameOfSource(std::string_view path);

struct CopySource {
  std::string name;  // NameOfSource()
  bool is_directory = false;
};

struct CopyTarget {
  std::string path;  // clean, after links
  bool exists = false;
  bool is_directory = false;
  bool asserts_directory = false;  // as it was typed
};

// The directory to extract in, and what the source is called there.
struct Placement {
  std::string directory;
  std::string name;
};
// Throws Error(kFailed): "cannot copy directory", "no such directory".
Placement Place(const CopySource& source, const CopyTarget& target);

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_PLACEMENT_H_
