// `imgbuild df` (Docker's `system df`): where the space of the store goes.
#include <fmt/format.h>

#include <map>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/list_format.h"

namespace imgbuild::cli {
namespace {

struct Line {
  uint64_t total = 0;
  uint64_t active = 0;
  uint64_t bytes = 0;
  uint64_t reclaimable = 0;
};

// What images need is theirs; the rest of the blobs is the build cache's.
struct Usage {
  Line images;
  Line containers;
  Line cache;
};

uint64_t BlobSize(App& app, const oci::Digest& digest) {
  return app.store().content().Size(digest).value_or(0);
}

// A layer that is unpacked takes about what its tar has.
uint64_t UnpackedSize(App& app, const oci::DiffId& diff_id) {
  if (!app.store().snapshots().Has(diff_id)) return 0;
  const auto layer = app.store().cache().FindLayer(diff_id);
  return layer ? layer->tar_size : 0;
}

Usage Measure(App& app) {
  Usage usage;
  std::set<oci::Digest> needed;           // blobs of images
  std::map<oci::Digest, uint64_t> sizes;  // of blobs and unpacked layers
  std::set<oci::Digest> used;             // by images in containers
  uint64_t in_use = 0;
  for (const store::NamedImage& named : app.store().images().List()) {
    const bool active =
        !app.store().containers().UsersOf(named.image.id).empty();
    ++usage.images.total;
    usage.images.active += active ? 1 : 0;
    const auto add = [&](const oci::Digest& digest, uint64_t bytes) {
      const uint64_t& size = sizes.try_emplace(digest, bytes).first->second;
      if (active && used.insert(digest).second) in_use += size;
    };
    const auto add_blob = [&](const oci::Digest& digest) {
      needed.insert(digest);
      add(digest, BlobSize(app, digest));
    };
    add_blob(named.image.manifest);
    add_blob(named.image.id.digest());
    for (const oci::Descriptor& layer : named.image.layers) {
      add_blob(layer.digest);
    }
    for (const store::NameRecord& name : named.names) add_blob(name.target);
    for (const oci::DiffId& diff_id : named.image.diff_ids) {
      add(diff_id.digest(), UnpackedSize(app, diff_id));
    }
  }
  for (const auto& [digest, size] : sizes) usage.images.bytes += size;
  usage.images.reclaimable = usage.images.bytes - in_use;
  for (const oci::Digest& digest : app.store().content().List()) {
    if (needed.contains(digest)) continue;
    ++usage.cache.total;
    usage.cache.bytes += BlobSize(app, digest);
  }
  for (const oci::DiffId& diff_id : app.store().snapshots().List()) {
    if (sizes.contains(diff_id.digest())) continue;
    usage.cache.bytes += UnpackedSize(app, diff_id);
  }
  usage.cache.reclaimable = usage.cache.bytes;
  for (const auto& container : app.store().containers().List()) {
    ++usage.containers.total;
    if (app.store().containers().IsLocked(container.id)) {
      ++usage.containers.active;
    }
  }
  return usage;
}

Json Row(const std::string& type, const Line& line, bool share) {
  std::string reclaimable = HumanSize(line.reclaimable);
  if (share && line.bytes > 0) {
    reclaimable += fmt::format(" ({}%)", line.reclaimable * 100 / line.bytes);
  }
  return {{"Active", std::to_string(line.active)},
          {"Reclaimable", reclaimable},
          {"Size", HumanSize(line.bytes)},
          {"TotalCount", std::to_string(line.total)},
          {"Type", type}};
}

}  // namespace

int DfCommand(App& app, const Words& words) {
  std::string format_text;
  Args args("df [OPTIONS]", "Show where the space of the store goes.");
  args.Value("--format", &format_text, "FORMAT",
             "table, table TEMPLATE, json, or a Go template with .Type "
             ".TotalCount .Active .Size .Reclaimable");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  const ListFormat format(
      format_text,
      "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t"
      "{{.Reclaimable}}",
      {{"Type", "TYPE"},
       {"TotalCount", "TOTAL"},
       {"Active", "ACTIVE"},
       {"Size", "SIZE"},
       {"Reclaimable", "RECLAIMABLE"}});
  const Usage usage = Measure(app);
  fmt::print("{}", format.Render({Row("Images", usage.images, true),
                                  Row("Containers", usage.containers, false),
                                  Row("Local Volumes", {}, false),
                                  Row("Build Cache", usage.cache, false)}));
  return 0;
}

}  // namespace imgbuild::cli
