// A build context in a temporary directory.
#ifndef IMGBUILD_TESTS_CONTEXT_CONTEXT_FIXTURE_H_
#define IMGBUILD_TESTS_CONTEXT_CONTEXT_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::context {

// Keeps what it is given, and counts.
class MemoryStatCache : public StatCacheStorage {
 public:
  std::optional<std::string> Load(const std::string& key) override {
    ++loads;
    const auto at = entries.find(key);
    if (at == entries.end()) return std::nullopt;
    return at->second;
  }
  void Save(const std::string& key,
            const std::function<void(Writer& out)>& write) override {
    ++saves;
    StringWriter out;
    write(out);
    entries[key] = out.Take();
  }

  std::map<std::string, std::string> entries;
  int loads = 0;
  int saves = 0;
};

class ContextFixture : public ::testing::Test {
 protected:
  int fd() const { return tmp_.fd(); }
  std::string root() const { return tmp_.path(); }

  void Dir(const std::string& path) {
    ASSERT_EQ(::mkdirat(fd(), path.c_str(), 0755), 0) << path;
  }
  // Creates or overwrites in place.
  void File(const std::string& path, const std::string& text = "x") {
    const UniqueFd file(::openat(
        fd(), path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644));
    ASSERT_TRUE(file) << path;
    ASSERT_EQ(::write(file.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  void Link(const std::string& target, const std::string& path) {
    ASSERT_EQ(::symlinkat(target.c_str(), fd(), path.c_str()), 0) << path;
  }

  std::unique_ptr<ContextSource> Open(const std::string& ignore = "",
                                      StatCacheStorage* stat_cache = nullptr) {
    LocalContextOptions options;
    options.ignore = PatternList::ParseIgnoreFile(
        std::make_shared<const SourceFile>(".dockerignore", ignore));
    options.stat_cache = stat_cache;
    return OpenLocalContext(fd(), "context", std::move(options), pool_,
                            CancelToken());
  }

  static std::vector<std::string> Paths(
      const std::vector<ContextSource::Item>& items) {
    std::vector<std::string> paths;
    for (const ContextSource::Item& item : items) paths.push_back(item.path);
    return paths;
  }

  // Of the regular files below the root, by path.
  static std::map<std::string, std::string> Digests(
      const ContextSource& source) {
    const auto items = source.Walk("", nullptr);
    std::vector<const ContextSource::Item*> files;
    for (const auto& item : items) {
      if (item.info.type == FileType::kRegular) files.push_back(&item);
    }
    const std::vector<ContextSource::FileDigest> digests =
        source.DigestFiles(files);
    std::map<std::string, std::string> by_path;
    for (size_t i = 0; i < files.size(); ++i) {
      by_path[files[i]->path] = digests.at(i).digest.hex();
    }
    return by_path;
  }

  fs::TempDir tmp_ = fs::TempDir::InTmp();
  ThreadPool pool_{2};
};

}  // namespace imgbuild::context

#endif  // IMGBUILD_TESTS_CONTEXT_CONTEXT_FIXTURE_H_
