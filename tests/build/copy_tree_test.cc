// What a copy plans, and what its layer then says.
#include "build/copy_tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>

#include "imgbuild/context/context.h"
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

// Counts what is opened.
class CountingTree : public DirTree {
 public:
  using DirTree::DirTree;
  UniqueFd Open(const std::string& path) const override {
    ++opened;
    return DirTree::Open(path);
  }
  mutable std::atomic<int> opened{0};
};

// All of a directory.
class AllOf : public CopyContents {
 public:
  AllOf(int dir_fd, std::string top)
      : dir_fd_(dir_fd),
        tree_(std::make_shared<CountingTree>(dir_fd)),
        source_(
            context::OpenTreeContext(tree_, "source", pool_, CancelToken())),
        prefix_(top.empty() ? "" : top + "/") {}

  void Visit(const Visitor& visit) const override {
    source_->Visit("", nullptr, [&](const auto& item) {
      if (!item.path.empty()) visit(prefix_ + item.path, item, false);
    });
  }
  Leaf Make(const std::string& path, const context::ContextSource::Item& item,
            bool) const override {
    layer::Entry entry = ToEntry(item.info, path);
    if (item.info.type == FileType::kSymlink) {
      entry.link_target = tree_->ReadLink(item.path);
    }
    std::optional<InodeKey> inode;
    if (item.info.nlink > 1 && item.info.type == FileType::kRegular) {
      inode = {item.info.device, item.info.inode};
    }
    FileBytes from{tree_, item.path, std::nullopt};
    if (entry.size > 0 && digests_known_) {
      from.digest =
          oci::Digest::OfBytes(fs::ReadFile(dir_fd_, item.path, 1u << 30));
    }
    return {entry, std::move(from), inode};
  }
  std::optional<FileInfo> Find(const std::string& path) const override {
    return tree_->Lstat(path.substr(prefix_.size()));
  }
  std::optional<Leaf> MakeAt(const std::string& path) const override {
    const auto info = Find(path);
    if (!info) return std::nullopt;
    return Make(path, {path.substr(prefix_.size()), *info}, false);
  }

  void SayDigests() { digests_known_ = true; }
  std::shared_ptr<const CountingTree> tree() const { return tree_; }

  // The slow way to the same.
  void PutOneByOne(CopyTree& tree) const {
    Visit([&](const std::string& path, const auto& item, bool) {
      Leaf leaf = Make(path, item, false);
      if (item.info.type == FileType::kDirectory) {
        tree.PutDirectory(leaf.entry, true);
      } else {
        tree.PutLeaf(leaf.entry, leaf.from, leaf.inode);
      }
    });
  }

 private:
  ThreadPool pool_{1};
  const int dir_fd_;
  bool digests_known_ = false;
  std::shared_ptr<const CountingTree> tree_;
  std::unique_ptr<context::ContextSource> source_;
  std::string prefix_;
};

class CopyContentsTest : public CopyTreeTest {
 protected:
  CopyContentsTest() {
    store::WriteNodes(source_.fd(),
                      {{Node::Kind::kDirectory, "a", {}, 0711},
                       {Node::Kind::kFile, "a-b", "sorts before what is in a"},
                       {Node::Kind::kFile, "a/big", std::string(300'000, 'x')},
                       {Node::Kind::kHardLink, "a/link", "a-b"},
                       {Node::Kind::kFile, "a/one", "1"},
                       {Node::Kind::kDirectory, "empty", {}, 0700},
                       {Node::Kind::kFile, "none", ""},
                       {Node::Kind::kSymlink, "to", "a/one"}},
                      store::OpaqueXattrHere());
    for (int i = 0; i < 300; ++i) {
      store::WriteNodes(source_.fd(),
                        {{Node::Kind::kFile, "many/f" + std::to_string(i),
                          std::to_string(i)}},
                        store::OpaqueXattrHere());
    }
  }

  // `rest` is done after the contents were put at `top`; both ways must come
  // to the same.
  void ExpectTheSame(const std::vector<Node>& below, const std::string& top,
                     const std::function<void(CopyTree&)>& first,
                     const std::function<void(CopyTree&)>& rest) {
    const fs::TempDir dir = fs::TempDir::InTmp();
    store::WriteNodes(dir.fd(), below, store::OpaqueXattrHere());
    below_ = std::make_shared<DirTree>(dir.fd());
    CopyTree streamed(below_, 5000);
    first(streamed);
    streamed.MakeDirs(top, 0755, {});
    streamed.PutContents(top, std::make_unique<AllOf>(source_.fd(), top));
    const AllOf contents(source_.fd(), top);
    CopyTree listed(below_, 5000);
    first(listed);
    listed.MakeDirs(top, 0755, {});
    contents.PutOneByOne(listed);
    rest(streamed);
    rest(listed);
    EXPECT_EQ(Layer(streamed), Layer(listed));
    EXPECT_EQ(streamed.size(), listed.size());
    EXPECT_EQ(streamed.HasLinks(), listed.HasLinks());
    for (const char* path : {"a", "a/one", "a-b", "to", "absent", "many/f7"}) {
      const std::string place = top.empty() ? path : top + "/" + path;
      const auto one = streamed.Find(place);
      const auto two = listed.Find(place);
      ASSERT_EQ(one.has_value(), two.has_value()) << place;
      EXPECT_EQ(streamed.TypeAt(place), listed.TypeAt(place)) << place;
      if (!one) continue;
      EXPECT_EQ(one->type, two->type);
      EXPECT_EQ(one->mtime_s, two->mtime_s);
      EXPECT_EQ(one->link_target, two->link_target);
      if (one->type == layer::EntryType::kFile) {
        const DirTree files(source_.fd());
        const FileInfo info = *files.Lstat(path);
        // Else something was put there that is not comparable.
        if (info.type != FileType::kRegular || info.size != one->size) continue;
        const UniqueFd fd = files.Open(path);
        EXPECT_TRUE(streamed.HasBytes(place, fd.get())) << place;
      }
    }
  }

  fs::TempDir source_ = fs::TempDir::InTmp();
};

TEST_F(CopyContentsTest, GiveTheLayerThatTheirFilesGive) {
  const auto nothing = [](CopyTree&) {};
  ExpectTheSame({}, "", nothing, nothing);
  ExpectTheSame({}, "x/y", nothing, nothing);
  ExpectTheSame({{Node::Kind::kDirectory, "old", {}, 0750}}, "old", nothing,
                nothing);
}

TEST_F(CopyContentsTest, MeetWhatIsPutBeforeAndAfter) {
  const auto put = [](const std::string& path) {
    return [path](CopyTree& tree) { tree.PutText(File(path), "mine"); };
  };
  for (const char* path : {"s/a/one", "s/a/zero", "s/new/f", "s-", "r", "t",
                           "s/to", "s/many/f2990"}) {
    SCOPED_TRACE(path);
    ExpectTheSame({}, "s", put(path), [](CopyTree&) {});
    ExpectTheSame(
        {}, "s", [](CopyTree&) {}, put(path));
    ExpectTheSame({{Node::Kind::kFile, "s/a/one", "below"}}, "s", put(path),
                  put("s/a/one"));
  }
  const auto again = [&](CopyTree& tree) {
    tree.PutContents("s", std::make_unique<AllOf>(source_.fd(), "s"));
    tree.PutContents("u", std::make_unique<AllOf>(source_.fd(), "u"));
  };
  ExpectTheSame({}, "s", again, again);
}

TEST_F(CopyContentsTest, ADirectoryIsNotReplacedByAFile) {
  CopyTree tree = Over({{Node::Kind::kDirectory, "s/to", {}, 0755}});
  EXPECT_EQ(Message([&] {
              tree.PutContents("s", std::make_unique<AllOf>(source_.fd(), "s"));
            }),
            "cannot replace to directory /s/to with file");
}

TEST_F(CopyContentsTest, AFileIsNotReplacedByADirectory) {
  CopyTree tree = Over({{Node::Kind::kFile, "s/many", "x"}});
  EXPECT_EQ(Message([&] {
              tree.PutContents("s", std::make_unique<AllOf>(source_.fd(), "s"));
            }),
            "cannot copy to non-directory: /s/many");
}

// Members whose files have the digests that they had before are taken from the
// earlier layer.
TEST_F(CopyContentsTest, FilesOfKnownDigestsAreNotRead) {
  for (int i = 0; i < 100; ++i) {
    store::WriteNodes(source_.fd(),
                      {{Node::Kind::kFile, "z/f" + std::to_string(i),
                        std::string(50'000 + i, static_cast<char>(i))}},
                      store::OpaqueXattrHere());
  }
  struct Result {
    std::string blob;
    layer::MemberIndex index;
    int opened = 0;
  };
  const auto write = [&](std::shared_ptr<const layer::ReusableBlob> previous,
                         bool fast) {
    auto contents = std::make_unique<AllOf>(source_.fd(), "s");
    if (fast) contents->SayDigests();
    const auto files = contents->tree();
    CopyTree tree(std::make_shared<EmptyTree>(), 5000);
    tree.MakeDirs("s", 0755, {});
    tree.PutContents("s", std::move(contents));
    ThreadPool pool(2);
    StringWriter blob;
    layer::LayerWriter writer(
        blob, pool,
        {oci::Compression::kGzip, std::move(previous), fast, true, nullptr});
    tree.Write(writer, pool, CancelToken());
    EXPECT_EQ(writer.entries(), tree.size());
    writer.Finish();
    return Result{blob.Take(), fast ? writer.index() : layer::MemberIndex{},
                  files->opened};
  };
  const Result first = write(nullptr, true);
  EXPECT_GT(first.opened, 400);
  ASSERT_GT(first.index.members.size(), 3u);
  store::WriteNodes(source_.fd(), {{Node::Kind::kFile, "z/f50", "new"}},
                    store::OpaqueXattrHere());
  const fs::TempDir dir = fs::TempDir::InTmp();
  fs::WriteFileAtomic(dir.fd(), "blob", first.blob, 0600);
  const auto earlier = std::make_shared<const layer::ReusableBlob>(
      first.index, fs::Open(dir.fd(), "blob", O_RDONLY));
  const Result second = write(earlier, true);
  EXPECT_EQ(second.blob, write(nullptr, false).blob);
  EXPECT_GT(second.opened, 0);
  EXPECT_LT(second.opened, first.opened / 2);
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
