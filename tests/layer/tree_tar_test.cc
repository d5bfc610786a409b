#include "imgbuild/layer/tree_tar.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "imgbuild/layer/extract.h"
#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::layer {
namespace {

class TreeTarTest : public ::testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text) {
    const UniqueFd fd = fs::Open(dir_.fd(), path, O_WRONLY | O_CREAT, 0640);
    fs::WriteAll(fd.get(), AsBytes(text), path);
  }

  std::string Tar(const std::string& path, const std::string& name) {
    const DirTree tree(dir_.fd());
    StringWriter out;
    const uint64_t written = WriteTreeTar(tree, path, name, out);
    EXPECT_EQ(written, out.text().size());
    return out.Take();
  }

  // "NAME", "NAME -> TARGET", "NAME = TARGET", "NAME: CONTENT".
  static std::vector<std::string> Entries(const std::string& tar) {
    StringReader input(tar);
    TarReader reader(input);
    std::vector<std::string> out;
    while (const auto entry = reader.Next()) {
      std::string line = entry->path;
      if (entry->type == EntryType::kSymlink) line += " -> ";
      if (entry->type == EntryType::kHardLink) line += " = ";
      line += entry->link_target;
      if (entry->type == EntryType::kFile) {
        std::array<std::byte, 64> buffer;
        const size_t n = reader.Read(buffer);
        line += ": ";
        line += AsText(Bytes(buffer).first(n));
      }
      out.push_back(line);
    }
    return out;
  }

  fs::TempDir dir_ = fs::TempDir::InTmp();
};

TEST_F(TreeTarTest, WritesAPartUnderAnotherName) {
  fs::MakeDirs(dir_.fd(), "a/b", 0755);
  Write("a/b/f", "text");
  Write("a/z", "");
  ASSERT_EQ(::symlinkat("/etc", dir_.fd(), "a/l"), 0);
  ASSERT_EQ(::linkat(dir_.fd(), "a/b/f", dir_.fd(), "a/c", 0), 0);
  ASSERT_EQ(::mkfifoat(dir_.fd(), "a/p", 0600), 0);
  using Lines = std::vector<std::string>;
  EXPECT_EQ(Entries(Tar("a", "x")),
            (Lines{"x/", "x/b/", "x/b/f: text", "x/c = x/b/f", "x/l -> /etc",
                   "x/p", "x/z: "}));
  EXPECT_EQ(Entries(Tar("a/b", ".")), (Lines{"./", "./f: text"}));
  EXPECT_EQ(Entries(Tar("a/b", "")), (Lines{"f: text"}));
  EXPECT_EQ(Entries(Tar("a/l", "l")), (Lines{"l -> /etc"}));
}

TEST_F(TreeTarTest, LeavesSocketsOut) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = dir_.path() + "/s";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof address),
            0);
  EXPECT_EQ(Entries(Tar("", "")), std::vector<std::string>());
}

TEST_F(TreeTarTest, SaysWhatIsNotThere) {
  const DirTree tree(dir_.fd());
  StringWriter out;
  EXPECT_THROW(WriteTreeTar(tree, "nosuch", "x", out), Error);
}

// A file that vanishes between the listing and its turn.
class VanishingTree : public DirTree {
 public:
  VanishingTree(int fd, std::string victim)
      : DirTree(fd), fd_(fd), victim_(std::move(victim)) {}
  std::optional<FileInfo> Lstat(const std::string& path) const override {
    auto info = DirTree::Lstat(path);
    if (path == victim_) fs::RemoveTree(fd_, victim_);
    return info;
  }

 private:
  int fd_;
  std::string victim_;
};

TEST_F(TreeTarTest, LeavesOutWhatVanishes) {
  fs::MakeDirs(dir_.fd(), "d", 0755);
  Write("a", "1");
  Write("b", "2");
  for (const char* victim : {"a", "d"}) {
    const VanishingTree tree(dir_.fd(), victim);
    StringWriter out;
    WriteTreeTar(tree, "", "", out);
    for (const std::string& line : Entries(out.text())) {
      EXPECT_FALSE(line.starts_with(victim)) << line;
    }
  }
}

TEST_F(TreeTarTest, ExtractsAsTheCallersOrSomebodyElses) {
  Write("f", "text");
  const std::string tar = Tar("f", "g");
  fs::TempDir out = fs::TempDir::InTmp();
  ExtractOptions options;
  options.whiteouts = WhiteoutForm::kVerbatim;
  options.set_owner = false;
  StringReader first(tar);
  Extract(first, out.fd(), options);
  EXPECT_EQ(fs::LstatIfExists(out.fd(), "g")->st_uid, ::geteuid());
  if (::geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
  options.set_owner = true;
  options.owner = ExtractOptions::Owner{123, 456};
  StringReader second(tar);
  Extract(second, out.fd(), options);
  EXPECT_EQ(fs::LstatIfExists(out.fd(), "g")->st_uid, 123u);
  EXPECT_EQ(fs::LstatIfExists(out.fd(), "g")->st_gid, 456u);
}

TEST_F(TreeTarTest, KeepsKindsWhenAsked) {
  fs::MakeDirs(dir_.fd(), "d", 0755);
  Write("d/inner", "");
  Write("f", "text");
  ExtractOptions options;
  options.whiteouts = WhiteoutForm::kVerbatim;
  options.set_owner = false;
  options.keep_kinds = true;
  const auto refusal = [&](const std::string& path, const std::string& name) {
    StringReader input(Tar(path, name));
    try {
      Extract(input, dir_.fd(), options);
    } catch (const Error& error) {
      return error.message();
    }
    return std::string("done");
  };
  EXPECT_EQ(refusal("f", "d"),
            "cannot overwrite directory \"d\" with non-directory \"d\"");
  EXPECT_EQ(refusal("d", "f"),
            "cannot overwrite non-directory \"f\" with directory \"f/\"");
  EXPECT_EQ(refusal("f", "d/inner"), "done");
  EXPECT_EQ(refusal("d", "d"), "done");
  EXPECT_EQ(fs::ReadFile(dir_.fd(), "d/inner", 100), "text");
}

}  // namespace
}  // namespace imgbuild::layer
