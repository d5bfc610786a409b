#include "store/record_codec.h"

#include <algorithm>
#include <array>
#include <utility>

#include "imgbuild/util/error.h"

namespace imgbuild::store {
namespace {

[[noreturn]] void ThrowDamaged() {
  throw Error(ErrorCode::kHost, "a record of the store's database is damaged");
}

int HexValue(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

class Encoder {
 public:
  void Number(uint64_t value) {
    while (value >= 0x80) {
      bytes_ += static_cast<char>(value | 0x80);
      value >>= 7;
    }
    bytes_ += static_cast<char>(value);
  }
  void Text(std::string_view text) {
    Number(text.size());
    bytes_ += text;
  }
  void Digest(const oci::Digest& digest) { Text(ToRaw(digest)); }
  void Platform(const oci::Platform& platform) {
    Text(platform.os);
    Text(platform.architecture);
    Text(platform.variant);
    Text(platform.os_version);
    Number(platform.os_features.size());
    for (const std::string& feature : platform.os_features) Text(feature);
  }
  void Descriptor(const oci::Descriptor& descriptor);
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Media types that are written as their number. Append only.
constexpr std::array<std::string_view, 5> kKnownTypes = {
    "", oci::media_type::kOciLayerGzip, oci::media_type::kOciLayerZstd,
    oci::media_type::kOciLayerTar, oci::media_type::kDockerLayerGzip};

constexpr uint64_t kHasPlatform = 1;
constexpr uint64_t kHasAnnotations = 2;
constexpr uint64_t kHasUrls = 4;
constexpr uint64_t kHasArtifactType = 8;

void Encoder::Descriptor(const oci::Descriptor& descriptor) {
  const auto known = std::ranges::find(kKnownTypes, descriptor.media_type);
  if (known != kKnownTypes.end() && known != kKnownTypes.begin()) {
    Number(static_cast<uint64_t>(known - kKnownTypes.begin()));
  } else {
    Number(0);
    Text(descriptor.media_type);
  }
  Digest(descriptor.digest);
  Number(descriptor.size);
  Number((descriptor.platform ? kHasPlatform : 0) |
         (descriptor.annotations.empty() ? 0 : kHasAnnotations) |
         (descriptor.urls.empty() ? 0 : kHasUrls) |
         (descriptor.artifact_type.empty() ? 0 : kHasArtifactType));
  if (descriptor.platform) Platform(*descriptor.platform);
  if (!descriptor.annotations.empty()) {
    Number(descriptor.annotations.size());
    for (const auto& [key, value] : descriptor.annotations) {
      Text(key);
      Text(value);
    }
  }
  if (!descriptor.urls.empty()) {
    Number(descriptor.urls.size());
    for (const std::string& url : descriptor.urls) Text(url);
  }
  if (!descriptor.artifact_type.empty()) Text(descriptor.artifact_type);
}

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : bytes_(bytes) {}

  uint64_t Number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) ThrowDamaged();
      const auto byte = static_cast<unsigned char>(bytes_.front());
      bytes_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    ThrowDamaged();
  }
  std::string_view Text() {
    const uint64_t size = Number();
    if (size > bytes_.size()) ThrowDamaged();
    const std::string_view text = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return text;
  }
  // How many items follow, each of at least one byte.
  uint64_t Count() {
    const uint64_t count = Number();
    if (count > bytes_.size()) ThrowDamaged();
    return count;
  }
  oci::Digest Digest() { return FromRaw(Text()); }
  oci::Platform Platform() {
    oci::Platform platform;
    platform.os = Text();
    platform.architecture = Text();
    platform.variant = Text();
    platform.os_version = Text();
    for (uint64_t n = Count(); n > 0; --n) {
      platform.os_features.emplace_back(Text());
    }
    return platform;
  }
  oci::Descriptor Descriptor();
  void Finish() const {
    if (!bytes_.empty()) ThrowDamaged();
  }

 private:
  std::string_view bytes_;
};

oci::Descriptor Decoder::Descriptor() {
  const uint64_t type = Number();
  if (type >= kKnownTypes.size()) ThrowDamaged();
  std::string media_type(type == 0 ? Text() : kKnownTypes[type]);
  oci::Digest digest = Digest();
  oci::Descriptor descriptor{
      std::move(media_type), std::move(digest), 0, std::nullopt, {}, {}, ""};
  descriptor.size = Number();
  const uint64_t flags = Number();
  if ((flags & kHasPlatform) != 0) descriptor.platform = Platform();
  if ((flags & kHasAnnotations) != 0) {
    for (uint64_t n = Count(); n > 0; --n) {
      std::string key(Text());
      descriptor.annotations[std::move(key)] = Text();
    }
  }
  if ((flags & kHasUrls) != 0) {
    for (uint64_t n = Count(); n > 0; --n) descriptor.urls.emplace_back(Text());
  }
  if ((flags & kHasArtifactType) != 0) descriptor.artifact_type = Text();
  return descriptor;
}

}  // namespace

std::string ToRaw(const oci::Digest& digest) {
  const std::string& hex = digest.hex();
  std::string raw(hex.size() / 2, '\0');
  for (size_t i = 0; i < raw.size(); ++i) {
    raw[i] =
        static_cast<char>(HexValue(hex[2 * i]) << 4 | HexValue(hex[2 * i + 1]));
  }
  return raw;
}

oci::Digest FromRaw(std::string_view raw) {
  if (raw.size() == 32) {
    return oci::Digest::FromRaw(oci::DigestAlgorithm::kSha256, raw);
  }
  if (raw.size() == 64) {
    return oci::Digest::FromRaw(oci::DigestAlgorithm::kSha512, raw);
  }
  ThrowDamaged();
}

std::string EncodePlatform(const oci::Platform& platform) {
  Encoder encoder;
  encoder.Platform(platform);
  return encoder.Take();
}

oci::Platform DecodePlatform(std::string_view bytes) {
  Decoder decoder(bytes);
  oci::Platform platform = decoder.Platform();
  decoder.Finish();
  return platform;
}

std::string EncodeLayers(const ImageRecord& record) {
  Encoder encoder;
  encoder.Number(record.diff_ids.size());
  for (const oci::DiffId& id : record.diff_ids) encoder.Digest(id.digest());
  encoder.Number(record.layers.size());
  for (const oci::Descriptor& layer : record.layers) encoder.Descriptor(layer);
  return encoder.Take();
}

void DecodeLayers(std::string_view bytes, ImageRecord* record) {
  Decoder decoder(bytes);
  const uint64_t diff_ids = decoder.Count();
  record->diff_ids.reserve(diff_ids);
  for (uint64_t i = 0; i < diff_ids; ++i) {
    record->diff_ids.emplace_back(decoder.Digest());
  }
  const uint64_t layers = decoder.Count();
  record->layers.reserve(layers);
  for (uint64_t i = 0; i < layers; ++i) {
    record->layers.push_back(decoder.Descriptor());
  }
  decoder.Finish();
}

std::string EncodeLayer(const StoredLayer& layer) {
  Encoder encoder;
  encoder.Descriptor(layer.blob);
  encoder.Number(layer.tar_size);
  return encoder.Take();
}

StoredLayer DecodeLayer(const oci::DiffId& diff_id, std::string_view bytes) {
  Decoder decoder(bytes);
  StoredLayer layer{diff_id, decoder.Descriptor(), 0};
  layer.tar_size = decoder.Number();
  decoder.Finish();
  return layer;
}

}  // namespace imgbuild::store
