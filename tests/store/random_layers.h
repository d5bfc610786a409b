// Layers that could have come out of an archive, in overlay form.
#ifndef IMGBUILD_TESTS_STORE_RANDOM_LAYERS_H_
#define IMGBUILD_TESTS_STORE_RANDOM_LAYERS_H_

#include <random>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/layer/extract.h"

#include "support/layer_tree.h"

namespace imgbuild::store {

class RandomLayers {
 public:
  explicit RandomLayers(unsigned seed) : random_(seed) {}

  std::string Path() {
    constexpr int kMaxDepth = 3;
    std::string path;
    for (int depth = 1 + Number(kMaxDepth); depth > 0; --depth) {
      if (!path.empty()) path += '/';
      path += static_cast<char>('a' + Number(4));
    }
    return path;
  }

  // A layer that could have come out of an archive: whatever a path says
  // first is what it is.
  std::vector<Node> Layer(layer::ExtractResult* result) {
    std::vector<Node> nodes;
    std::set<std::string> taken;
    std::set<std::string> directories;
    for (int i = 2 + Number(8); i > 0; --i) {
      Node node;
      node.path = Path();
      if (taken.contains(node.path) ||
          BlockedBy(node.path, taken, directories)) {
        continue;
      }
      node.mtime = 1000 + Number(1000);
      node.uid = static_cast<uint32_t>(Number(3));
      static constexpr uint32_t kModes[] = {0644, 0700, 01777, 04755, 0000};
      node.mode = kModes[Number(5)];
      switch (Number(8)) {
        case 0:
        case 1:
          node.kind = Node::Kind::kFile;
          node.text = "content " + std::to_string(Number(1000));
          break;
        case 2:
        case 3:
          node.kind = Node::Kind::kDirectory;
          break;
        case 4:
          node.kind = Node::Kind::kSymlink;
          node.text = Path();
          break;
        case 5:
          node.kind = Node::Kind::kFifo;
          break;
        default:
          node.kind = Node::Kind::kWhiteout;
          break;
      }
      for (size_t slash = node.path.find('/'); slash != std::string::npos;
           slash = node.path.find('/', slash + 1)) {
        directories.insert(node.path.substr(0, slash));
      }
      taken.insert(node.path);
      if (node.kind == Node::Kind::kDirectory) {
        directories.insert(node.path);
        explicit_.insert(node.path);
        if (Number(3) == 0) opaque_.push_back(node.path);
      }
      nodes.push_back(std::move(node));
    }
    for (const std::string& path : opaque_) {
      nodes.push_back({Node::Kind::kOpaque, path});
    }
    for (const std::string& path : directories) {
      if (!explicit_.contains(path)) {
        result->implied_directories.push_back(path);
      }
    }
    opaque_.clear();
    explicit_.clear();
    return nodes;
  }

  int Number(int below) {
    return static_cast<int>(random_() % static_cast<unsigned>(below));
  }

 private:
  // Something that is not a directory stands on the way, or things are below.
  static bool BlockedBy(const std::string& path,
                        const std::set<std::string>& taken,
                        const std::set<std::string>& directories) {
    if (directories.contains(path)) return true;
    for (size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      const std::string parent = path.substr(0, slash);
      if (taken.contains(parent) && !directories.contains(parent)) return true;
    }
    return false;
  }

  std::mt19937 random_;
  std::set<std::string> explicit_;
  std::vector<std::string> opaque_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_STORE_RANDOM_LAYERS_H_
