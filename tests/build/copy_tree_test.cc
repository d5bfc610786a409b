// What a copy plans, and what its layer then says.
#include "build/copy_tree.h"

#include <gtest/gtest.h>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/thread_pool.h"

#include "support/layer_tree.h"

namespace imgbuild::build {
namespace {

using store::Node;

class CopyTreeTest : public testing::Test {
 protected:
  CopyTreeTest() : dir_(fs::TempDir::InTmp()) {}

  CopyTree Over(const std::vector<Node>& nodes) {
    store::WriteNodes(dir_.fd(), nodes, store::OpaqueXattrHere());
    below_ = std::make_shared<DirTree>(dir_.fd());
    return CopyTree(below_, 5000);
  }

  // "path mode uid:gid mtime content" of each entry.
  std::string Layer(const CopyTree& tree) {
    ThreadPool pool(1);
    StringWriter blob;
    layer::LayerWriter writer(blob, pool);
    tree.Write(writer, pool, CancelToken());
    writer.Finish();
    StringReader raw(blob.text());
    const auto plain = layer::DecompressAny(raw, layer::ArchiveFormat::kGzip);
    layer::TarReader reader(*plain);
    std::string out;
    while (const auto entry = reader.Next()) {
      out += fmt(*entry);
    }
    return out;
  }

  static layer::Entry File(const std::string& path, uint32_t mode = 0644) {
    layer::Entry entry;
    entry.path = path;
    entry.mode = mode;
    entry.mtime_s = 9000;
    return entry;
  }

  static layer::Entry Directory(const std::string& path, uint32_t mode) {
    layer::Entry entry = File(path, mode);
    entry.type = layer::EntryType::kDirectory;
    return entry;
  }

  std::shared_ptr<const FileTree> below_;

 private:
  static std::string fmt(const layer::Entry& entry) {
    char mode[16];
    std::snprintf(mode, sizeof(mode), "%04o", entry.mode);
    std::string out = entry.path;
    out += std::string(" ") + mode + " " + std::to_string(entry.uid) + ":" +
           std::to_string(entry.gid) + " " + std::to_string(entry.mtime_s);
    if (entry.type == layer::EntryType::kHardLink) {
      out += " = " + entry.link_target;
    }
    return out + "\n";
  }

  fs::TempDir dir_;
};

std::string Message(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.message();
  }
  return "no error";
}

TEST_F(CopyTreeTest, ParentsThatExistAreRepeatedAsTheyAre) {
  CopyTree tree = Over({{Node::Kind::kDirectory, "a", {}, 0711},
                        {Node::Kind::kDirectory, "a/b", {}, 0750}});
  tree.PutText(File("a/b/f"), "x");
  EXPECT_EQ(Layer(tree),
            "a/ 0711 0:0 1000\na/b/ 0750 0:0 1000\na/b/f 0644 0:0 5000\n");
}

TEST_F(CopyTreeTest, ParentsThatAreMissingAreMade) {
  CopyTree tree = Over({});
  tree.MakeDirs("a/b", 0701, {3, 4});
  EXPECT_EQ(Layer(tree), "a/ 0701 3:4 5000\na/b/ 0701 3:4 5000\n");
  EXPECT_EQ(tree.TypeAt("a/b"), FileType::kDirectory);
}

TEST_F(CopyTreeTest, MakeDirsLeavesWhatIsThere) {
  CopyTree tree = Over({{Node::Kind::kDirectory, "a", {}, 0700}});
  tree.MakeDirs("a", 0755, {1, 1});
  EXPECT_TRUE(tree.empty());
}

TEST_F(CopyTreeTest, LaterFilesReplaceEarlierOnes) {
  CopyTree tree = Over({{Node::Kind::kFile, "f", "below"}});
  tree.PutText(File("f", 0600), "one");
  tree.PutText(File("f", 0640), "two");
  EXPECT_EQ(Layer(tree), "f 0640 0:0 5000\n");
}

TEST_F(CopyTreeTest, ADirectoryIsNotReplacedByACopy) {
  CopyTree tree = Over(
      {{Node::Kind::kDirectory, "d", {}, 0755}, {Node::Kind::kFile, "f", "x"}});
  EXPECT_EQ(Message([&] { tree.PutText(File("d"), "x"); }),
            "cannot replace to directory /d with file");
  EXPECT_EQ(Message([&] { tree.PutDirectory(Directory("f", 0755), true); }),
            "cannot copy to non-directory: /f");
  EXPECT_EQ(Message([&] { tree.MakeDirs("f/g", 0755, {}); }),
            "\"/f\" is not a directory");
  EXPECT_TRUE(tree.empty());
}

TEST_F(CopyTreeTest, AnArchiveReplacesWhatIsInItsPlace) {
  CopyTree tree = Over({{Node::Kind::kDirectory, "d", {}, 0755},
                        {Node::Kind::kFile, "f", "x"},
                        {Node::Kind::kFile, "source", "s"}});
  tree.PutText(File("d/planned"), "gone");
  layer::Entry file = File("d");
  file.size = 1;
  tree.PutLeaf(file, {below_, "source", std::nullopt}, std::nullopt,
               ReplaceDirectory::kYes);
  tree.PutDirectory(Directory("f", 0711), true, ReplaceFile::kYes);
  EXPECT_EQ(Layer(tree), "d 0644 0:0 5000\nf/ 0711 0:0 5000\n");
}

TEST_F(CopyTreeTest, NamesOfOneFileAreLinks) {
  CopyTree tree = Over({{Node::Kind::kFile, "source", "s"}});
  layer::Entry entry = File("a");
  entry.size = 1;
  for (const char* name : {"c", "a", "b"}) {
    entry.path = name;
    const uint64_t source = std::string(name) == "c" ? 2 : 1;
    tree.PutLeaf(entry, {below_, "source", std::nullopt},
                 InodeKey{7, 7, source});
  }
  EXPECT_EQ(Layer(tree),
            "a 0644 0:0 5000\nb 0644 0:0 5000 = a\nc 0644 0:0 5000\n");
}

TEST_F(CopyTreeTest, TimesAfterTheEpochBecomeIt) {
  CopyTree tree = Over({});
  layer::Entry entry = File("old");
  entry.mtime_s = 10;
  tree.PutText(entry, "");
  tree.PutText(File("new"), "");
  EXPECT_EQ(Layer(tree), "new 0644 0:0 5000\nold 0644 0:0 10\n");
}

}  // namespace
}  // namespace imgbuild::build
