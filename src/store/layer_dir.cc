#include "store/layer_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "store/tree_size.h"

namespace imgbuild::store {
namespace {

using Json = nlohmann::json;

constexpr int kMetaVersion = 1;
constexpr int kMetaVersionWithBase = 2;
// A directory a line of 4 KiB, in the millions of directories of the largest
// images, would be more; an honest one is far below.
constexpr size_t kMaxMetaBytes = 256u << 20;

// File names are bytes, JSON strings are UTF-8: everything that is not
// printable ASCII, and "%", becomes %XX.
std::string Escape(std::string_view path) {
  std::string text;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F || c == '%') {
      text += fmt::format("%{:02X}", byte);
    } else {
      text += c;
    }
  }
  return text;
}

std::string Unescape(const std::string& text) {
  std::string path;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      path += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      path += text[i];
    }
  }
  return path;
}

}  // namespace

std::string EncodeMeta(const LayerMeta& meta) {
  Json implied = Json::array();
  for (const std::string& path : meta.implied) implied.push_back(Escape(path));
  Json links = Json::array();
  for (const auto& link : meta.links) {
    links.push_back(Json::array({Escape(link.path), Escape(link.target)}));
  }
  Json json = {{"version", meta.base ? kMetaVersionWithBase : kMetaVersion},
               {"opaque", meta.opaque_xattr}};
  json["implied"] = std::move(implied);
  json["links"] = std::move(links);
  json["chain"] = meta.chain;
  json["opaque_root"] = meta.opaque_root;
  if (meta.base) json["base"] = meta.base->ToString();
  return json.dump() + "\n";
}

LayerMeta DecodeMeta(std::string_view bytes, const std::string& name) {
  try {
    const Json json = Json::parse(bytes);
    const int version = json.at("version").get<int>();
    if (version != kMetaVersion && version != kMetaVersionWithBase) {
      throw Error(ErrorCode::kHost,
                  fmt::format("layer {}: its description has version {}, this "
                              "program knows version {}",
                              name, version, kMetaVersionWithBase));
    }
    LayerMeta meta;
    meta.opaque_xattr = json.at("opaque").get<std::string>();
    meta.chain = json.at("chain").get<std::string>();
    meta.opaque_root = json.at("opaque_root").get<bool>();
    for (const Json& path : json.at("implied")) {
      meta.implied.push_back(Unescape(path.get<std::string>()));
    }
    for (const Json& link : json.at("links")) {
      meta.links.push_back({Unescape(link.at(0).get<std::string>()),
                            Unescape(link.at(1).get<std::string>())});
    }
    if (version == kMetaVersionWithBase) {
      meta.base = oci::DiffId::Parse(json.at("base").get<std::string>());
    }
    return meta;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(ErrorCode::kHost,
                fmt::format("layer {}: its description is damaged: {}", name,
                            error.what()))
        .WithHint("`imgbuild store check --repair` drops what is damaged");
  }
}

std::optional<LayerMeta> ReadMeta(const Layout& layout,
                                  const oci::DiffId& diff_id,
                                  const std::string& opaque_xattr) {
  const auto bytes = fs::ReadFileIfExists(
      layout.layers_fd(), diff_id.hex() + "/" + kMetaName, kMaxMetaBytes);
  if (!bytes) return std::nullopt;
  LayerMeta meta = DecodeMeta(*bytes, diff_id.ToString());
  if (meta.opaque_xattr != opaque_xattr) return std::nullopt;
  if (meta.base) {
    const auto base = ReadMeta(layout, *meta.base, opaque_xattr);
    if (!base || base->base) return std::nullopt;
  }
  return meta;
}

void PublishLayer(Layout& layout, Unsynced& unsynced, fs::TempDir dir,
                  const oci::DiffId& diff_id, const LayerMeta& meta) {
  {
    const UniqueFd file = fs::Open(
        dir.fd(), kMetaName, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    fs::WriteAll(file.get(), AsBytes(EncodeMeta(meta)), kMetaName);
  }
  unsynced.MarkLayer(diff_id);
  for (;;) {
    if (::renameat2(layout.own_tmp(), dir.name().c_str(), layout.layers_fd(),
                    diff_id.hex().c_str(), RENAME_NOREPLACE) == 0) {
      dir.Release();
      return;
    }
    if (errno != EEXIST) {
      throw ErrnoError("rename", "layer " + diff_id.ToString(), errno);
    }
    if (ReadMeta(layout, diff_id, meta.opaque_xattr)) return;
    // There, but of no use here: its whiteouts have the other form.
    DiscardLayer(layout, diff_id);
  }
}

uint64_t DiscardLayer(Layout& layout, const oci::DiffId& diff_id) {
  const std::string trash = layout.NextName("trash-");
  if (::renameat(layout.layers_fd(), diff_id.hex().c_str(), layout.own_tmp(),
                 trash.c_str()) != 0) {
    if (errno == ENOENT) return 0;
    throw ErrnoError("rename", "layer " + diff_id.ToString(), errno);
  }
  const uint64_t bytes = TreeSize(layout.own_tmp(), trash);
  fs::RemoveTree(layout.own_tmp(), trash);
  return bytes;
}

}  // namespace imgbuild::store
