// Files of testdata/ and their expected texts. IMGBUILD_UPDATE_GOLDENS=1 writes
// them anew (and fails, so that nobody takes that for a pass): read the diff.
#ifndef IMGBUILD_TESTS_LOCK_GOLDEN_H_
#define IMGBUILD_TESTS_LOCK_GOLDEN_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace imgbuild::lock::testing {

inline std::optional<std::string> ReadText(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// Below testdata/FOLDER, those whose names end so; sorted.
inline std::vector<std::filesystem::path> Files(const std::string& folder,
                                                const std::string& ending) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           std::filesystem::path(IMGBUILD_TESTDATA) / folder)) {
    if (entry.path().filename().string().ends_with(ending)) {
      out.push_back(entry.path());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

inline std::filesystem::path Beside(std::filesystem::path path,
                                    const std::string& extension) {
  return path.replace_extension(extension);
}

inline void Compare(const std::filesystem::path& golden,
                    const std::string& actual) {
  if (std::getenv("IMGBUILD_UPDATE_GOLDENS") != nullptr) {
    if (ReadText(golden).value_or("") != actual) {
      std::ofstream(golden, std::ios::binary) << actual;
      ADD_FAILURE() << "wrote " << golden;
    }
    return;
  }
  EXPECT_EQ(actual, ReadText(golden).value_or("")) << golden;
}

}  // namespace imgbuild::lock::testing

#endif  // IMGBUILD_TESTS_LOCK_GOLDEN_H_
