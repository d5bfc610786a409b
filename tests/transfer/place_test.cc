#include "imgbuild/transfer/place.h"

#include <fcntl.h>

#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/util/fs.h"

#include "transfer/copy_fixture.h"

namespace imgbuild::transfer {
namespace {

class PlaceTest : public CopyFixture {
 protected:
  std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  std::string ReadFile(const std::string& name) const {
    return fs::ReadFile(dir_.fd(), name, 1u << 20);
  }
  // Into the layout, from the registry.
  std::string ToLayout(const std::string& from, const std::string& tag) {
    return CopyTo(*From(from), *LayoutTarget(Path("l"), tag, cancel_));
  }
  // From the layout, to the other registry.
  std::string FromLayout(const std::string& which) {
    return CopyTo(*LayoutSource(ParseLayoutName(Path("l") + which)),
                  *To("other.example/x/y:1"));
  }
  std::string Entries(const std::string& file) {
    const UniqueFd fd = fs::Open(dir_.fd(), file, O_RDONLY);
    FdReader reader(fd.get(), file);
    layer::TarReader tar(reader);
    std::string out;
    while (const auto entry = tar.Next()) out += entry->path + "\n";
    return out;
  }
  fs::TempDir dir_ = fs::TempDir::InTmp();
  ThreadPool pool_{1};
};

TEST_F(PlaceTest, ThereAndBackThroughALayout) {
  const std::string index = AddIndex();
  EXPECT_EQ(ToLayout("r.example/a/b:multi", "m"), index);
  EXPECT_EQ(FromLayout(":m"), index);
  EXPECT_EQ(FromLayout("@" + index), index);
  EXPECT_EQ(FromLayout(""), index);
  EXPECT_EQ(other_.Manifest("x/y", "1"), home_.Manifest("a/b", "multi"));
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), layer_);
  EXPECT_EQ(fs::ListDir(dir_.fd()), std::vector<std::string>{"l"});
}

TEST_F(PlaceTest, ALayoutKeepsItsOtherImages) {
  AddIndex();
  ToLayout("r.example/a/b:t", "t");
  ToLayout("r.example/a/b:arm", "arm");
  ToLayout("r.example/a/b:t", "");
  ToLayout("r.example/a/b:t", "");
  EXPECT_EQ(FromLayout(":t"), image_);
  EXPECT_NE(FromLayout(":arm"), image_);
  // A tag that moves, and the bytes that were there.
  ToLayout("r.example/a/b:arm", "t");
  EXPECT_EQ(outcomes_, std::vector<registry::PushOutcome>(
                           2, registry::PushOutcome::kExists));
  EXPECT_NE(FromLayout(":t"), image_);
  EXPECT_EQ(Message(ErrorCode::kUsage, [&] { FromLayout(""); }),
            "the OCI layout \"" + Path("l") + "\" has no image \"latest\"");
  EXPECT_EQ(Message(ErrorCode::kUsage, [&] { FromLayout(":zz"); }),
            "the OCI layout \"" + Path("l") + "\" has no image \"zz\"");
}

TEST_F(PlaceTest, UnknownMembersOfTheIndexStay) {
  ToLayout("r.example/a/b:t", "t");
  std::string index = ReadFile("l/index.json");
  index.replace(0, 1, R"({"x-mine":{"a":[1]},)");
  fs::WriteFileAtomic(dir_.fd(), "l/index.json", index);
  ToLayout("r.example/a/b:t", "u");
  EXPECT_TRUE(ReadFile("l/index.json").starts_with(R"({"x-mine":{"a":[1]},)"));
}

TEST_F(PlaceTest, WhatIsNoLayout) {
  EXPECT_EQ(Message(ErrorCode::kUsage,
                    [&] { LayoutSource(ParseLayoutName(dir_.path())); }),
            "\"" + dir_.path() + "\" is no OCI layout");
  fs::WriteFileAtomic(dir_.fd(), "mine", "");
  EXPECT_EQ(Message(ErrorCode::kUsage,
                    [&] { LayoutTarget(dir_.path(), "", cancel_); }),
            "\"" + dir_.path() + "\" is no OCI layout, and not empty");
  fs::WriteFileAtomic(dir_.fd(), "oci-layout",
                      R"({"imageLayoutVersion":"2.0.0"})");
  EXPECT_EQ(Message(ErrorCode::kUsage,
                    [&] { LayoutSource(ParseLayoutName(dir_.path())); }),
            "\"" + dir_.path() + "\" is an OCI layout of an unknown version");
}

TEST_F(PlaceTest, DamageInALayoutIsFound) {
  ToLayout("r.example/a/b:t", "t");
  const std::string blob =
      "l/blobs/sha256/" + LayerDigest().substr(sizeof("sha256:") - 1);
  std::string bytes = ReadFile(blob);
  bytes[5] ^= 1;
  fs::WriteFileAtomic(dir_.fd(), blob, bytes);
  Message(ErrorCode::kRegistry, [&] { FromLayout(":t"); });
  fs::WriteFileAtomic(dir_.fd(), blob, bytes.substr(1));
  EXPECT_EQ(Message(ErrorCode::kRegistry, [&] { FromLayout(":t"); }),
            "the OCI layout \"" + Path("l") + "\" is damaged: " +
                LayerDigest() + " has " + std::to_string(layer_.size() - 1) +
                " bytes, its descriptor says " + std::to_string(layer_.size()));
  ::unlinkat(dir_.fd(), blob.c_str(), 0);
  EXPECT_EQ(Message(ErrorCode::kRegistry, [&] { FromLayout(":t"); }),
            "the OCI layout \"" + Path("l") + "\" is damaged: it lacks " +
                LayerDigest());
  EXPECT_EQ(other_.Manifest("x/y", "1"), "");
}

// As build tools make them: every file is a link into a cache.
TEST_F(PlaceTest, ALayoutOfLinks) {
  ToLayout("r.example/a/b:t", "t");
  const std::string blob =
      "l/blobs/sha256/" + LayerDigest().substr(sizeof("sha256:") - 1);
  fs::Rename(dir_.fd(), blob, dir_.fd(), "elsewhere");
  ASSERT_EQ(::symlinkat(Path("elsewhere").c_str(), dir_.fd(), blob.c_str()), 0);
  EXPECT_EQ(FromLayout(":t"), image_);
}

TEST_F(PlaceTest, WrongBytesGetNoNameInALayout) {
  proxy_.Add({"GET", LayerDigest(), 0, -1, testing::FlipByte(5)});
  Message(ErrorCode::kRegistry, [&] { ToLayout("r.example/a/b:t", "t"); });
  for (const std::string& name :
       fs::ListDir(fs::OpenDir(dir_.fd(), "l/blobs/sha256").get())) {
    const std::string bytes = ReadFile("l/blobs/sha256/" + name);
    EXPECT_EQ(oci::Digest::OfBytes(bytes).hex(), name);
  }
  EXPECT_FALSE(fs::LstatIfExists(dir_.fd(), "l/index.json"));
  EXPECT_EQ(fs::ListDir(fs::OpenDir(dir_.fd(), "l").get()),
            (std::vector<std::string>{"blobs", "oci-layout"}));
}

TEST_F(PlaceTest, ADockerArchiveIsALayoutToo) {
  const auto name = oci::Reference::Parse("app:1");
  for (const char* file : {"one.tar", "two.tar"}) {
    CopyTo(
        *From("r.example/a/b:t"),
        *ArchiveTarget(Path(file), ArchiveKind::kDocker, name, pool_, cancel_));
  }
  EXPECT_EQ(ReadFile("one.tar"), ReadFile("two.tar"));
  const std::string entries = Entries("one.tar");
  for (const char* file : {"index.json", "manifest.json", "oci-layout"}) {
    EXPECT_NE(entries.find(file), std::string::npos) << entries;
  }
  EXPECT_NE(ReadFile("one.tar").find(R"("RepoTags":["app:1"])"),
            std::string::npos);
  EXPECT_EQ(fs::ListDir(dir_.fd()),
            (std::vector<std::string>{"one.tar", "two.tar"}));
}

TEST_F(PlaceTest, ThereAndBackThroughAnArchive) {
  const std::string index = AddIndex();
  const auto name = oci::Reference::Parse("app:1");
  CopyTo(
      *From("r.example/a/b:multi"),
      *ArchiveTarget(Path("a.tar"), ArchiveKind::kOci, name, pool_, cancel_));
  for (const ArchiveName& which :
       {ArchiveName{Path("a.tar"), "", {}},
        ArchiveName{Path("a.tar"), "app:1", {}},
        ArchiveName{Path("a.tar"), "1", {}},
        ArchiveName{Path("a.tar"), "", oci::Digest::Parse(index)}}) {
    const auto source = ArchiveSource(which, cancel_);
    EXPECT_EQ(CopyTo(*source, *To("other.example/x/y:1")), index);
    if (!which.digest) {
      EXPECT_EQ(source->reference(), name);
    }
  }
  EXPECT_EQ(other_.Manifest("x/y", "1"), home_.Manifest("a/b", "multi"));
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), layer_);
  EXPECT_EQ(Message(ErrorCode::kUsage,
                    [&] {
                      ArchiveSource({Path("a.tar"), "app:2", {}}, cancel_);
                    }),
            "the archive \"" + Path("a.tar") + "\" has no image \"app:2\"");
}

// The blob is read from where a retry of the upload wants it.
TEST_F(PlaceTest, ABlobOfAnArchiveIsReadFromAnyOffset) {
  CopyTo(*From("r.example/a/b:t"),
         *ArchiveTarget(Path("a.tar"), ArchiveKind::kOci, std::nullopt, pool_,
                        cancel_));
  const auto source = ArchiveSource({Path("a.tar"), "", {}}, cancel_);
  const auto blob = source->Blob(source->Root().manifest->layers[0]);
  for (const size_t at : {size_t{0}, size_t{1}, layer_.size() - 1,
                          layer_.size(), layer_.size() + 1}) {
    EXPECT_EQ(ReadAll(*blob->ReadFrom(at), layer_.size(), "blob"),
              layer_.substr(std::min(at, layer_.size())))
        << at;
  }
}

TEST_F(PlaceTest, ABrokenArchiveDoesNotAppear) {
  AddIndex();
  EXPECT_EQ(Message(ErrorCode::kUsage,
                    [&] {
                      CopyTo(*From("r.example/a/b:multi"),
                             *ArchiveTarget(Path("a.tar"), ArchiveKind::kDocker,
                                            std::nullopt, pool_, cancel_));
                    }),
            "a docker archive has one image, not an index");
  proxy_.Add({"GET", LayerDigest(), 0, -1, testing::FlipByte(5)});
  Message(ErrorCode::kRegistry, [&] {
    CopyTo(*From("r.example/a/b:t"),
           *ArchiveTarget(Path("a.tar"), ArchiveKind::kOci, std::nullopt, pool_,
                          cancel_));
  });
  EXPECT_EQ(fs::ListDir(dir_.fd()), std::vector<std::string>{});
}

TEST_F(PlaceTest, TheStoreGetsAllOfAnIndex) {
  const std::string index = AddIndex();
  const auto store = store::NewMemoryStore();
  CopyTo(*From("r.example/a/b:multi"),
         *StoreTarget(*store, oci::Reference::Parse("mine:1"),
                      oci::Platform::Parse("linux/amd64"), cancel_));
  const auto match = store->images().Find("mine:1");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->name->target.ToString(), index);
  EXPECT_EQ(match->image.manifest.ToString(), image_);
  EXPECT_TRUE(store->images().Find("mine@" + image_));
  EXPECT_TRUE(store->content().Has(oci::Digest::OfBytes(layer_)));
  // And out again, all of it.
  Transfer transfer(*store, *under_test_.client, {}, cancel_);
  const auto source =
      StoreSource(*store, transfer, oci::Digest::Parse(index), std::nullopt);
  EXPECT_EQ(CopyTo(*source, *To("other.example/x/y:1")), index);
  EXPECT_EQ(other_.Manifest("x/y", "1"), home_.Manifest("a/b", "multi"));
}

TEST_F(PlaceTest, AnArtifactHasNoNameInTheStore) {
  const std::string config = home_.AddBlob("a/b", "{}");
  const std::string digest = home_.AddManifest(
      "a/b", "art",
      R"({"schemaVersion":2,"mediaType":)"
      R"("application/vnd.oci.image.manifest.v1+json","artifactType":"x/y",)"
      R"("config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":")" +
          config + R"(","size":2},"layers":[]})",
      "application/vnd.oci.image.manifest.v1+json");
  const auto store = store::NewMemoryStore();
  EXPECT_EQ(Message(ErrorCode::kRegistry,
                    [&] {
                      CopyTo(
                          *From("r.example/a/b:art"),
                          *StoreTarget(*store, oci::Reference::Parse("mine:1"),
                                       oci::Platform::Host(), cancel_));
                    }),
            digest + " is no image: the store cannot name it");
  EXPECT_EQ(Copied("r.example/a/b:art", "other.example/x/y:1"), digest);
}

}  // namespace
}  // namespace imgbuild::transfer
