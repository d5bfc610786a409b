#include "cli/image_tree.h"

#include <algorithm>
#include <map>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/strings.h"

#include "cli/table.h"

namespace imgbuild::cli {
namespace {

// The names of one digest and the images behind it, in the order of the rows.
struct Group {
  std::vector<std::string> names;
  std::vector<const store::ImageRecord*> images;
};

uint64_t BlobBytes(App& app, const oci::Digest& manifest) {
  const auto record = app.store().images().FindManifest(manifest);
  uint64_t bytes = 0;
  if (!record) return 0;
  for (const oci::Descriptor& layer : record->layers) bytes += layer.size;
  return bytes;
}

std::string InUse(App& app, const store::ImageRecord& image) {
  return app.store().containers().UsersOf(image.id).empty() ? "" : "U";
}

void AddImage(App& app, Table& table, const std::string& label,
              const std::string& digest, const store::ImageRecord* image) {
  table.Add({label, digest, image ? HumanSize(image->size) : "-",
             image ? HumanSize(BlobBytes(app, image->manifest)) : "-",
             image ? InUse(app, *image) : ""});
}

// The platforms of an index, in its own order, without attestations.
void AddPlatforms(App& app, Table& table, const oci::Index& index,
                  bool no_trunc) {
  std::vector<const oci::Descriptor*> entries;
  for (const oci::Descriptor& entry : index.manifests) {
    if (entry.platform && entry.platform->os != "unknown") {
      entries.push_back(&entry);
    }
  }
  for (const oci::Descriptor* entry : entries) {
    const bool last = entry == entries.back();
    const auto image = app.store().images().FindManifest(entry->digest);
    AddImage(app, table, (last ? "└─ " : "├─ ") + entry->platform->ToString(),
             no_trunc ? entry->digest.ToString() : entry->digest.Short(),
             image ? &*image : nullptr);
  }
}

}  // namespace

std::string ImageTree(App& app, const std::vector<ImageRow>& rows,
                      bool no_trunc) {
  std::vector<std::string> order;
  std::map<std::string, Group> groups;
  for (const ImageRow& row : rows) {
    const auto [it, first] = groups.try_emplace(row.digest);
    if (first) order.push_back(row.digest);
    Group& group = it->second;
    const std::string name =
        row.dangling() ? "<none>"
        : row.tag == "<none>"
            ? row.repository + "@" + row.digest.substr(0, 7 + 12)
            : row.repository + ":" + row.tag;
    group.names.push_back(name);
    group.images.push_back(row.image);
  }
  Table table({"IMAGE", "DIGEST", "DISK USAGE", "CONTENT SIZE", "IN USE"});
  for (const std::string& text : order) {
    const Group& group = groups.at(text);
    for (size_t i = 0; i + 1 < group.names.size(); ++i) {
      table.Add({group.names[i]});
    }
    const oci::Digest digest = oci::Digest::Parse(text);
    AddImage(app, table, group.names.back(),
             no_trunc ? digest.ToString() : digest.Short(),
             group.images.front());
    auto bytes = app.store().content().Read(digest, oci::kMaxManifestBytes);
    if (!bytes) continue;
    const oci::Document document = oci::ParseDocument(std::move(*bytes), "");
    if (document.index) {
      AddPlatforms(app, table, *document.index, no_trunc);
    }
  }
  return table.ToString();
}

}  // namespace imgbuild::cli
