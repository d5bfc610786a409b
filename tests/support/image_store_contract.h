// What every ImageStore does; above all, what a word of the command line
// means.
#ifndef IMGBUILD_TESTS_SUPPORT_IMAGE_STORE_CONTRACT_H_
#define IMGBUILD_TESTS_SUPPORT_IMAGE_STORE_CONTRACT_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "imgbuild/store/image_store.h"
#include "imgbuild/util/error.h"

#include "support/store_fixture.h"

namespace imgbuild::store {

class ImageStoreContract : public testing::TestWithParam<StoreFactory> {
 protected:
  void SetUp() override { fixture_ = GetParam().make(); }
  ImageStore& images() { return fixture_->store().images(); }

  static oci::Digest D(const std::string& text) {
    return oci::Digest::OfBytes(text);
  }
  // A digest that begins with `hex`.
  static oci::Digest Starting(const std::string& hex, char fill = '0') {
    return oci::Digest::Parse("sha256:" + hex +
                              std::string(64 - hex.size(), fill));
  }
  // An image made of `seed`, stored at `stored`.
  static ImageRecord Image(const std::string& seed, int64_t stored = 100) {
    oci::Descriptor layer{std::string(oci::media_type::kOciLayerGzip),
                          D("layer " + seed),
                          7,
                          std::nullopt,
                          {},
                          {},
                          ""};
    return {D("manifest " + seed),
            oci::ImageId(D("config " + seed)),
            oci::Platform{"linux", "amd64", "", "", {}},
            50,
            stored,
            1234,
            {oci::DiffId(D("diff " + seed))},
            {layer}};
  }
  static NameRecord Tag(const std::string& repository, const std::string& tag,
                        const ImageRecord& image) {
    return {oci::Repository::Parse(repository),
            tag,
            image.manifest,
            image.manifest,
            std::nullopt,
            false};
  }
  static NameRecord Link(const std::string& repository,
                         const oci::Digest& target, const ImageRecord& image) {
    return {oci::Repository::Parse(repository),
            std::nullopt,
            target,
            image.manifest,
            std::nullopt,
            true};
  }
  static std::vector<std::string> Show(const std::vector<NameRecord>& names) {
    std::vector<std::string> shown;
    for (const NameRecord& name : names) {
      shown.push_back(
          name.repository.Familiar() +
          (name.tag ? ":" + *name.tag : "@" + name.target.ToString()) +
          (name.tag_hint ? " as " + *name.tag_hint : "") +
          (name.pulled ? " pulled" : ""));
    }
    return shown;
  }
  // What Find() gives, in one word: "MANIFEST-SEED HOW", "nothing", or the
  // first words of the error.
  std::string FindText(const std::string& text) {
    try {
      const auto match = images().Find(text);
      if (!match) return "nothing";
      const std::string how = match->how == Match::How::kDigest ? "digest"
                              : match->how == Match::How::kTag  ? "tag"
                                                                : "id";
      for (const char* seed : {"a", "b", "c", "d"}) {
        if (match->image.manifest == Image(seed).manifest) {
          return std::string(seed) + " " + how;
        }
      }
      return match->image.manifest.Short() + " " + how;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage) << error.message();
      return error.message().substr(0, error.message().find(' '));
    }
  }
  std::unique_ptr<StoreFixture> fixture_;
};

TEST_P(ImageStoreContract, KeepsWhatWasPut) {
  ImageRecord image = Image("a");
  image.platform.variant = "v3";
  image.platform.os_version = "10.0";
  image.platform.os_features = {"win32k", "x"};
  image.layers[0].annotations = {{"k", "v"}};
  image.layers[0].urls = {"https://example.com/"};
  images().PutImage(image);
  const auto found = images().FindManifest(image.manifest);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->manifest, image.manifest);
  EXPECT_EQ(found->id, image.id);
  EXPECT_EQ(found->platform, image.platform);
  EXPECT_EQ(found->created_s, 50);
  EXPECT_EQ(found->stored_s, 100);
  EXPECT_EQ(found->size, 1234u);
  EXPECT_EQ(found->diff_ids, image.diff_ids);
  EXPECT_EQ(found->layers, image.layers);
  EXPECT_FALSE(images().FindManifest(D("other")).has_value());
}

TEST_P(ImageStoreContract, ACreationTimeMayBeUnknown) {
  ImageRecord image = Image("a");
  image.created_s.reset();
  images().PutImage(image);
  EXPECT_EQ(images().FindManifest(image.manifest)->created_s, std::nullopt);
}

TEST_P(ImageStoreContract, PutAgainUpdatesTheSizeAndKeepsTheTime) {
  images().PutImage(Image("a", 100));
  ImageRecord again = Image("a", 200);
  again.size = 99;
  images().PutImage(again);
  const auto found = images().FindManifest(again.manifest);
  EXPECT_EQ(found->stored_s, 100);
  EXPECT_EQ(found->size, 99u);
  EXPECT_EQ(images().List().size(), 1u);
}

TEST_P(ImageStoreContract, ATagBringsADigestLink) {
  images().PutImage(Image("a"));
  EXPECT_EQ(images().SetName(Tag("app", "1", Image("a"))), std::nullopt);
  const std::string digest = Image("a").manifest.ToString();
  EXPECT_EQ(Show(images().NamesOf(Image("a").manifest)),
            (std::vector<std::string>{"app:1", "app@" + digest}));
}

TEST_P(ImageStoreContract, AMovedTagLeavesItsDigestLinkBehind) {
  images().PutImage(Image("a"));
  images().PutImage(Image("b"));
  images().SetName(Tag("app", "1", Image("a")));
  EXPECT_EQ(images().SetName(Tag("app", "1", Image("b"))), Image("a").manifest);
  EXPECT_EQ(images().SetName(Tag("app", "1", Image("b"))), std::nullopt);
  EXPECT_EQ(
      Show(images().NamesOf(Image("a").manifest)),
      (std::vector<std::string>{"app@" + Image("a").manifest.ToString()}));
  EXPECT_EQ(Show(images().NamesOf(Image("b").manifest)),
            (std::vector<std::string>{
                "app:1", "app@" + Image("b").manifest.ToString()}));
  EXPECT_EQ(FindText("app:1"), "b tag");
}

TEST_P(ImageStoreContract, PulledByDigestKeepsRepositoryAndHintWithoutTag) {
  images().PutImage(Image("a"));
  NameRecord name = Link("alpine", D("index"), Image("a"));
  name.tag_hint = "3.20";
  images().SetName(name);
  const std::vector<std::string> expected = {"alpine@" + D("index").ToString() +
                                             " as 3.20 pulled"};
  EXPECT_EQ(Show(images().NamesOf(Image("a").manifest)), expected);
  // The same pull without the tag beside it forgets nothing.
  images().SetName(Link("alpine", D("index"), Image("a")));
  EXPECT_EQ(Show(images().NamesOf(Image("a").manifest)), expected);
  EXPECT_EQ(FindText("alpine:3.20"), "nothing");
  EXPECT_EQ(FindText("alpine"), "nothing");
}

TEST_P(ImageStoreContract, ANameNeedsItsImage) {
  try {
    images().SetName(Tag("app", "1", Image("a")));
    FAIL() << "named";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "name app:1: there is no image " +
                                   Image("a").manifest.ToString() +
                                   " in the store");
  }
}

TEST_P(ImageStoreContract, OneIndexForTwoPlatforms) {
  ImageRecord other = Image("b", 900);
  other.platform = {"plan9", "mips", "", "", {}};
  images().PutImage(Image("a"));
  images().PutImage(other);
  for (const ImageRecord& image : {Image("a"), other}) {
    NameRecord name = Tag("alpine", "3", image);
    name.target = D("index");
    images().SetName(name);
    images().LinkIndex(D("index"), image.manifest);
  }
  // The tag is where it went last; the digest means what runs here.
  EXPECT_EQ(FindText("alpine:3"), "b tag");
  EXPECT_EQ(images().NamesOf(Image("a").manifest).size(), 1u);
  const oci::Platform host = oci::Platform::Host();
  if (host.os == "linux" && host.architecture == "amd64") {
    EXPECT_EQ(FindText("alpine@" + D("index").ToString()), "a digest");
    EXPECT_EQ(FindText(D("index").ToString()), "a digest");
  }
  EXPECT_EQ(FindText("alpine@" + other.manifest.ToString()), "b digest");
}

// cli.md B.8.
TEST_P(ImageStoreContract, FindKnowsEveryFormOfReference) {
  images().PutImage(Image("a"));
  images().PutImage(Image("b"));
  images().PutImage(Image("c"));
  NameRecord index_name = Tag("alpine", "3.20", Image("a"));
  index_name.target = D("index");
  images().SetName(index_name);
  images().SetName(Tag("alpine", "latest", Image("b")));
  images().SetName(Tag("registry.example:5000/team/app", "v1", Image("b")));
  images().LinkIndex(D("other index"), Image("c").manifest);
  const std::string a = Image("a").manifest.ToString();
  const std::string b = Image("b").manifest.ToString();
  const std::string c = Image("c").manifest.ToString();
  const std::string index = D("index").ToString();
  const std::string id_a = Image("a").id.hex();
  const struct {
    std::string text;
    std::string expected;
  } kCases[] = {
      {"alpine:3.20", "a tag"},
      {"alpine", "b tag"},
      {"alpine:latest", "b tag"},
      {"docker.io/library/alpine:3.20", "a tag"},
      {"library/alpine", "b tag"},
      {"index.docker.io/library/alpine", "b tag"},
      {"registry.example:5000/team/app:v1", "b tag"},
      {"registry.example:5000/team/app", "nothing"},
      {"team/app:v1", "nothing"},
      {"alpine:3.19", "nothing"},
      {"debian", "nothing"},
      // By digest: what was pulled, and the image behind it.
      {"alpine@" + index, "a digest"},
      {"alpine@" + a, "a digest"},
      {"alpine@" + b, "b digest"},
      {"registry.example:5000/team/app@" + b, "b digest"},
      // Known, but not under this repository.
      {"debian@" + a, "nothing"},
      {"registry.example:5000/team/app@" + a, "nothing"},
      {"alpine@" + c, "nothing"},
      // The tag beside a digest is not looked at.
      {"alpine:3.20@" + b, "b digest"},
      {"alpine:no-such-tag@" + index, "a digest"},
      // Without a repository.
      {a, "a digest"},
      {index, "a digest"},
      {D("other index").ToString(), "c digest"},
      {"sha256:" + id_a, "a digest"},
      {D("nobody").ToString(), "nothing"},
      // By id.
      {id_a, "a id"},
      {id_a.substr(0, 12), "a id"},
      {id_a.substr(0, 7), "a id"},
      {"sha256:" + id_a.substr(0, 12), "a id"},
      {D("nobody").hex(), "nothing"},
      // 64 digits are an id, never a name, and never a manifest's digest.
      {Image("a").manifest.hex(), "nothing"},
      // The beginning of a digest of that repository.
      {"alpine@sha256:" + Image("b").manifest.hex().substr(0, 8), "b digest"},
      {"alpine@sha256:" + D("index").hex().substr(0, 8), "a digest"},
      {"alpine@sha256:" + Image("c").manifest.hex().substr(0, 8), "nothing"},
      // No reference at all.
      {"UPPER", "invalid"},
      {"alpine:", "invalid"},
      {"", "invalid"},
      {"alpine@md5:abc", "invalid"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(FindText(test.text), test.expected) << test.text;
  }
}

TEST_P(ImageStoreContract, FindTellsWhichNameMatched) {
  images().PutImage(Image("a"));
  images().SetName(Tag("app", "1", Image("a")));
  const std::string digest = Image("a").manifest.ToString();
  EXPECT_EQ(Show({*images().Find("app:1")->name})[0], "app:1");
  EXPECT_EQ(Show({*images().Find("app@" + digest)->name})[0], "app@" + digest);
  EXPECT_FALSE(images().Find(Image("a").id.hex())->name.has_value());
  EXPECT_FALSE(images().Find(digest)->name.has_value());
}

TEST_P(ImageStoreContract, ANameIsTriedBeforeAnId) {
  ImageRecord one = Image("a");
  one.id = oci::ImageId(Starting("cafe"));
  images().PutImage(one);
  images().PutImage(Image("b"));
  EXPECT_EQ(FindText("cafe"), "a id");
  images().SetName(Tag("cafe", "latest", Image("b")));
  EXPECT_EQ(FindText("cafe"), "b tag");
  EXPECT_EQ(FindText("cafe0"), "a id");
}

TEST_P(ImageStoreContract, AnAmbiguousPrefixListsTheCandidates) {
  ImageRecord one = Image("a");
  one.id = oci::ImageId(Starting("abc1"));
  ImageRecord two = Image("b");
  two.id = oci::ImageId(Starting("abc2"));
  images().PutImage(one);
  images().PutImage(two);
  images().SetName(Tag("app", "1", one));
  EXPECT_EQ(FindText("abc1"), "a id");
  EXPECT_EQ(FindText("abc2"), "b id");
  EXPECT_EQ(FindText("abc3"), "nothing");
  try {
    images().Find("abc");
    FAIL() << "not ambiguous";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(error.message(),
              "ambiguous reference \"abc\": it is the beginning of 2 digests");
    EXPECT_EQ(error.notes(),
              (std::vector<std::string>{
                  one.id.ToString() + "  app:1, app@" + one.manifest.ToString(),
                  two.id.ToString() + "  <none>"}));
  }
}

TEST_P(ImageStoreContract, OddPrefixesAndTheEndsOfTheRange) {
  ImageRecord low = Image("a");
  low.id = oci::ImageId(Starting("", '0'));
  ImageRecord high = Image("b");
  high.id = oci::ImageId(Starting("", 'f'));
  images().PutImage(low);
  images().PutImage(high);
  EXPECT_EQ(FindText("0"), "a id");
  EXPECT_EQ(FindText("000"), "a id");
  EXPECT_EQ(FindText("f"), "b id");
  EXPECT_EQ(FindText("fffff"), "b id");
  EXPECT_EQ(FindText("e"), "nothing");
}

TEST_P(ImageStoreContract, TwoManifestsOfOneConfigAreNotAmbiguous) {
  ImageRecord gzip = Image("a", 100);
  ImageRecord zstd = Image("b", 200);
  zstd.id = gzip.id;
  images().PutImage(gzip);
  images().PutImage(zstd);
  EXPECT_EQ(FindText(gzip.id.hex().substr(0, 12)), "b id");
  images().SetName(Tag("app", "gzip", gzip));
  images().SetName(Tag("app", "zstd", zstd));
  EXPECT_EQ(images().NamesOfId(gzip.id).size(), 4u);
}

TEST_P(ImageStoreContract, ListHasTheNewestFirstAndNamesInOrder) {
  images().PutImage(Image("a", 100));
  images().PutImage(Image("b", 300));
  images().PutImage(Image("c", 200));
  images().SetName(Tag("zebra", "2", Image("b")));
  images().SetName(Tag("zebra", "1", Image("b")));
  images().SetName(Tag("app", "9", Image("b")));
  const auto list = images().List();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0].image.manifest, Image("b").manifest);
  EXPECT_EQ(list[1].image.manifest, Image("c").manifest);
  EXPECT_EQ(list[2].image.manifest, Image("a").manifest);
  const std::string digest = Image("b").manifest.ToString();
  EXPECT_EQ(Show(list[0].names),
            (std::vector<std::string>{"app:9", "app@" + digest, "zebra:1",
                                      "zebra:2", "zebra@" + digest}));
  EXPECT_TRUE(list[1].names.empty());
  EXPECT_EQ(list[0].image.diff_ids, Image("b").diff_ids);
  const auto brief = images().List(ListDetail::kWithoutLayers);
  ASSERT_EQ(brief.size(), 3u);
  EXPECT_EQ(brief[0].image.platform, Image("b").platform);
  EXPECT_EQ(brief[0].names.size(), 5u);
  EXPECT_TRUE(brief[0].image.layers.empty());
}

TEST_P(ImageStoreContract, RemoveNameTakesExactlyThatTriple) {
  images().PutImage(Image("a"));
  images().SetName(Tag("app", "1", Image("a")));
  images().SetName(Tag("app", "2", Image("a")));
  const std::string digest = Image("a").manifest.ToString();
  images().RemoveName(Tag("app", "1", Image("a")));
  images().RemoveName(Tag("app", "1", Image("a")));
  images().RemoveName(Tag("app", "2", Image("b")));
  EXPECT_EQ(Show(images().NamesOf(Image("a").manifest)),
            (std::vector<std::string>{"app:2", "app@" + digest}));
  images().RemoveName(Link("app", Image("a").manifest, Image("a")));
  EXPECT_EQ(Show(images().NamesOf(Image("a").manifest)),
            std::vector<std::string>{"app:2"});
  // The tag still makes the digest known under this repository.
  EXPECT_EQ(FindText("app@" + digest), "a digest");
  images().RemoveName(Tag("app", "2", Image("a")));
  EXPECT_EQ(FindText("app@" + digest), "nothing");
  EXPECT_TRUE(images().FindManifest(Image("a").manifest).has_value());
}

TEST_P(ImageStoreContract, RemoveImageTakesItsNamesToo) {
  images().PutImage(Image("a"));
  images().PutImage(Image("b"));
  images().SetName(Tag("app", "1", Image("a")));
  images().SetName(Tag("app", "2", Image("b")));
  images().LinkIndex(D("index"), Image("a").manifest);
  images().RemoveImage(Image("a").manifest);
  images().RemoveImage(Image("a").manifest);
  EXPECT_FALSE(images().FindManifest(Image("a").manifest).has_value());
  EXPECT_EQ(FindText("app:1"), "nothing");
  EXPECT_EQ(FindText(Image("a").id.hex()), "nothing");
  EXPECT_EQ(FindText(D("index").ToString()), "nothing");
  EXPECT_EQ(FindText("app:2"), "b tag");
  EXPECT_EQ(images().List().size(), 1u);
}

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_IMAGE_STORE_CONTRACT_H_
