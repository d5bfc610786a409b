// Layers as registries really have them: every format that a client of gzip,
// zstd or plain tar can read, pulled and unpacked.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "imgbuild/layer/compress.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/error.h"

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/memory_store.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"
#include "transfer/layer_fetch.h"

namespace imgbuild::transfer {
namespace {

constexpr char kGzip[] = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr char kZstd[] = "application/vnd.oci.image.layer.v1.tar+zstd";

std::string Packed(const std::string& plain, oci::Compression compression) {
  ThreadPool pool(1);
  StringReader in(plain);
  StringWriter out;
  layer::Compress(in, out, pool, compression);
  return out.Take();
}
// Each piece a gzip member or zstd frame of its own.
std::string InPieces(const std::string& plain, oci::Compression compression) {
  std::string out;
  for (size_t at = 0; at < plain.size(); at += 700) {
    out += Packed(plain.substr(at, 700), compression);
  }
  return out;
}

std::string LittleEndian(uint32_t value) {
  std::string out;
  for (int i = 0; i < 4; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}
// What a zstd decoder must pass over (RFC 8878 3.1.2).
std::string SkippableFrame(const std::string& data) {
  return LittleEndian(0x184D2A50) +
         LittleEndian(static_cast<uint32_t>(data.size())) + data;
}
// A frame whose decoder must keep 32 MiB, as zstd -20 makes them.
std::string WideFrame(const std::string& data) {
  constexpr char kWindow = (25 - 10) << 3;
  const uint32_t header = static_cast<uint32_t>(data.size()) << 3 | 1;
  return LittleEndian(0xFD2FB528) + std::string(1, '\0') + kWindow +
         LittleEndian(header).substr(0, 3) + data;
}
// The empty member that ends an eStargz: an extra field says where the table
// of contents begins.
std::string StargzFooter() {
  const std::string field = "00000000000004d2STARGZ";
  std::string out("\x1f\x8b\x08\x04\0\0\0\0\0\xff", 10);
  out += std::string("\x1a\0", 2) + "SG" + std::string("\x16\0", 2) + field;
  out += std::string("\x01\0\0\xff\xff", 5) + std::string(8, '\0');
  return out;
}

class LayerFormats : public ::testing::Test {
 protected:
  void SetUp() override {
    tar_ = Tar({{"hello", "world"}, {"stargz.index.json", "{\"version\":1}"}});
    transport_.Serve("https://r.example", registry_.Handler());
  }
  static std::string Tar(
      const std::vector<std::pair<std::string, std::string>>& files) {
    StringWriter out;
    ThreadPool pool(1);
    layer::LayerWriter writer(out, pool, oci::Compression::kNone);
    for (const auto& [path, text] : files) {
      layer::Entry entry;
      entry.path = path;
      entry.mode = 0644;
      entry.size = text.size();
      StringReader reader(text);
      writer.Add(entry, &reader);
    }
    writer.Finish();
    return out.Take();
  }
  // An image whose layer is `blob`.
  void AddImage(const std::string& blob, const std::string& type,
                const std::string& more = "") {
    const std::string config =
        R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers",)"
        R"("diff_ids":[")" +
        oci::Digest::OfBytes(tar_).ToString() + R"("]}})";
    const std::string config_digest = registry_.AddBlob("a", config);
    const std::string layer_digest = registry_.AddBlob("a", blob);
    registry_.AddManifest(
        "a", "t",
        R"({"schemaVersion":2,"config":{"mediaType":)"
        R"("application/vnd.oci.image.config.v1+json","digest":")" +
            config_digest + R"(","size":)" + std::to_string(config.size()) +
            R"(},"layers":[{"mediaType":")" + type + R"(","digest":")" +
            layer_digest + R"(","size":)" + std::to_string(blob.size()) + more +
            "}]}",
        "application/vnd.oci.image.manifest.v1+json");
  }
  // Pulls it, and reads a file of it.
  std::string Pulled(const std::string& blob, const std::string& type,
                     const std::string& more = "") {
    AddImage(blob, type, more);
    const auto image =
        transfer_.Pull(name_, platform_, PullPolicy::kAlways).image;
    const auto tree = store_->snapshots().View(image.config.diff_ids);
    return ReadFromTree(*tree, "hello", 100).value_or("");
  }

  const oci::Reference name_ = oci::Reference::Parse("r.example/a:t");
  const oci::Platform platform_ = oci::Platform::Parse("linux/amd64");
  std::string tar_;
  testing::FakeRegistry registry_;
  testing::ScriptedTransport transport_;
  testing::FakeClock clock_;
  testing::ClientUnderTest under_test_{transport_, clock_};
  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  CancelToken cancel_;
  Transfer transfer_{*store_, *under_test_.client, {}, cancel_};
};

TEST_F(LayerFormats, Uncompressed) {
  EXPECT_EQ(Pulled(tar_, "application/vnd.oci.image.layer.v1.tar"), "world");
}

TEST_F(LayerFormats, GzipOfManyMembers) {
  EXPECT_EQ(Pulled(InPieces(tar_, oci::Compression::kGzip), kGzip), "world");
}

TEST_F(LayerFormats, DockersGzip) {
  EXPECT_EQ(Pulled(Packed(tar_, oci::Compression::kGzip),
                   "application/vnd.docker.image.rootfs.diff.tar.gzip"),
            "world");
}

TEST_F(LayerFormats, EstargzIsGzip) {
  EXPECT_EQ(
      Pulled(InPieces(tar_, oci::Compression::kGzip) + StargzFooter(), kGzip,
             R"(,"annotations":{"containerd.io/snapshot/stargz/toc.digest":")" +
                 oci::Digest::OfBytes("x").ToString() + "\"}"),
      "world");
}

TEST_F(LayerFormats, ZstdOfManyFrames) {
  EXPECT_EQ(Pulled(InPieces(tar_, oci::Compression::kZstd), kZstd), "world");
}

TEST_F(LayerFormats, ZstdChunkedIsZstd) {
  const std::string table = Packed("{\"entries\":[]}", oci::Compression::kZstd);
  EXPECT_EQ(
      Pulled(InPieces(tar_, oci::Compression::kZstd) + SkippableFrame(table) +
                 SkippableFrame(std::string(64, 'x')),
             kZstd,
             R"(,"annotations":{"io.github.containers.zstd-chunked.)"
             R"(manifest-position":"1:2:3:1"})"),
      "world");
}

// Decoders of many layers at once must not take 128 MiB each: what finds no
// room is stored, and unpacked when there is some.
TEST_F(LayerFormats, WideZstdWindowsTakeTurns) {
  AddImage(WideFrame(tar_), kZstd);
  const auto image = transfer_.Resolve(name_, platform_, PullPolicy::kAlways);
  const LayerName layer = LayersOf(image).front();
  WindowBudget windows;
  std::optional<WindowBudget::Grant> other(windows.Try(1u << 20));
  bool from_the_store = false;
  TransferOptions options;
  options.on_layer = [&](const auto&, LayerState state, uint64_t) {
    if (state != LayerState::kUnpacking) return;
    from_the_store = store_->content().Has(layer.blob.digest);
    other.reset();
  };
  FetchAndUnpack({*store_, *under_test_.client, options, cancel_, windows},
                 layer);
  EXPECT_TRUE(from_the_store);
  EXPECT_TRUE(windows.Try(32u << 20)) << "a grant was kept";
  const auto tree = store_->snapshots().View(image.config.diff_ids);
  EXPECT_EQ(ReadFromTree(*tree, "hello", 100), "world");
  size_t fetched = 0;
  for (const std::string& line : transport_.Log()) {
    fetched += line.find(layer.blob.digest.ToString()) != std::string::npos;
  }
  EXPECT_EQ(fetched, 1u);
}

TEST_F(LayerFormats, AWideZstdWindowAloneIsUnpackedAsItComes) {
  AddImage(WideFrame(tar_), kZstd);
  const auto image = transfer_.Resolve(name_, platform_, PullPolicy::kAlways);
  WindowBudget windows(8u << 20);  // less than it asks for
  bool from_the_store = false;
  TransferOptions options;
  options.on_layer = [&](const auto&, LayerState state, uint64_t) {
    from_the_store |= state == LayerState::kUnpacking;
  };
  FetchAndUnpack({*store_, *under_test_.client, options, cancel_, windows},
                 LayersOf(image).front());
  EXPECT_FALSE(from_the_store);
  EXPECT_TRUE(store_->snapshots().Has(image.config.diff_ids.front()));
}

// What the media type says and what the bytes are must agree.
TEST_F(LayerFormats, TheWrongCompressionIsAnError) {
  EXPECT_THROW(Pulled(Packed(tar_, oci::Compression::kGzip), kZstd), Error);
  EXPECT_THROW(Pulled(tar_, kGzip), Error);
}

// CVE-2020-15157 and its like: a manifest may not send a client anywhere.
TEST_F(LayerFormats, AForeignLayerComesFromTheRegistryAlone) {
  EXPECT_EQ(Pulled(Packed(tar_, oci::Compression::kGzip),
                   "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                   R"(,"urls":["https://elsewhere.example/layer"])"),
            "world");
  for (const std::string& line : transport_.Log()) {
    EXPECT_EQ(line.find("elsewhere"), std::string::npos) << line;
  }
}

TEST_F(LayerFormats, AnUnknownTypeIsNamed) {
  try {
    Pulled(tar_, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("tar+gzip+encrypted, which is not the type "
                                   "of a layer that can be unpacked"),
              std::string::npos)
        << error.message();
  }
}

}  // namespace
}  // namespace imgbuild::transfer
