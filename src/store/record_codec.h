// Values as bytes in meta.db. The formats belong to the schema version of
// meta_db.h: numbers are LEB128, strings and digests carry their length first.
//
//   digest      32 (sha256) or 64 (sha512) raw bytes
//   platform    os architecture variant os_version n os_feature…
//   descriptor  type [media_type] digest size flags [platform] [n (key value)…]
//               [n url…] [artifact_type]
//   layers      n diff_id… n descriptor…
//   layer       descriptor tar_size
#ifndef IMGBUILD_SRC_STORE_RECORD_CODEC_H_
#define IMGBUILD_SRC_STORE_RECORD_CODEC_H_

#include <string>
#include <string_view>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/platform.h"
#include "imgbuild/store/build_cache.h"
#include "imgbuild/store/image_store.h"

namespace imgbuild::store {

std::string ToRaw(const oci::Digest& digest);
// All of these throw Error(kHost) "… is damaged" on bytes that they did not
// write.
oci::Digest FromRaw(std::string_view raw);

std::string EncodePlatform(const oci::Platform& platform);
oci::Platform DecodePlatform(std::string_view bytes);

// Of record.diff_ids and record.layers.
std::string EncodeLayers(const ImageRecord& record);
void DecodeLayers(std::string_view bytes, ImageRecord* record);

// All of a StoredLayer but its DiffId.
std::string EncodeLayer(const StoredLayer& layer);
StoredLayer DecodeLayer(const oci::DiffId& diff_id, std::string_view bytes);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_RECORD_CODEC_H_
