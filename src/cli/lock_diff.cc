// `imgbuild lock diff OLD NEW`: what an update brings.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/lock/update.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/image_diff.h"
#include "cli/lock_commands.h"
#include "cli/lock_files.h"
#include "cli/lock_input.h"
#include "cli/lock_report.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Section {
  std::string title;  // "Packages"
  std::vector<std::string> lines;
};

// What became of one image on one platform.
struct ImageChange {
  std::string name;
  std::string platform;
  std::vector<Section> sections;
};

std::map<std::string, std::string> EnvOf(const oci::ImageConfig& config) {
  std::map<std::string, std::string> out;
  for (const std::string& variable : config.env) {
    const size_t equals = variable.find('=');
    out[variable.substr(0, equals)] =
        equals == std::string::npos ? "" : variable.substr(equals + 1);
  }
  return out;
}

uint64_t SizeOf(const plan::ResolvedImage& image) {
  uint64_t size = 0;
  for (const oci::Descriptor& layer : image.layers) size += layer.size;
  return size;
}

std::map<std::string, std::string> Packages(App& app,
                                            const plan::ResolvedImage& image) {
  app.transfer().EnsureUnpacked(transfer::LayersOf(image));
  return PackagesOf(*app.store().snapshots().View(image.config.diff_ids));
}

std::vector<std::string> Facts(const plan::ResolvedImage& before,
                               const plan::ResolvedImage& after) {
  std::vector<std::string> lines;
  const auto changed = [&](const char* what, const std::string& from,
                           const std::string& to) {
    if (from != to) lines.push_back(fmt::format("{} {} → {}", what, from, to));
  };
  changed("created", before.config.created.value_or("-"),
          after.config.created.value_or("-"));
  changed("size", HumanSize(SizeOf(before)), HumanSize(SizeOf(after)));
  size_t shared = 0;
  while (shared < before.layers.size() && shared < after.layers.size() &&
         before.layers[shared].digest == after.layers[shared].digest) {
    ++shared;
  }
  lines.push_back(fmt::format("layers {} → {}, {} shared", before.layers.size(),
                              after.layers.size(), shared));
  return lines;
}

ImageChange Compare(App& app, build::NameTable& table,
                    const lock::Change& change, const std::string& platform) {
  const oci::Reference name = oci::Reference::Parse(change.name);
  const oci::Platform wanted = oci::Platform::Parse(platform);
  const plan::ResolvedImage before =
      table.Image(name.WithDigest(oci::Digest::Parse(change.before)), wanted);
  const plan::ResolvedImage after =
      table.Image(name.WithDigest(oci::Digest::Parse(change.after)), wanted);
  ImageChange out{name.Familiar(), platform, {}};
  out.sections.push_back({"Image", Facts(before, after)});
  out.sections.push_back(
      {"Env", DiffMaps(EnvOf(before.config), EnvOf(after.config))});
  if (before.config.diff_ids != after.config.diff_ids) {
    out.sections.push_back(
        {"Packages", DiffMaps(Packages(app, before), Packages(app, after))});
  }
  return out;
}

lock::Lockfile RequireLockAt(const std::string& path) {
  auto lock = ReadLock(path);
  if (lock) return std::move(*lock);
  throw Error(ErrorCode::kUsage,
              fmt::format("there is no lock at {}", Quoted(path)));
}

void PrintText(const std::vector<ImageChange>& images) {
  for (const ImageChange& image : images) {
    fmt::print("\n{} on {}\n", image.name, image.platform);
    for (const Section& section : image.sections) {
      if (section.lines.empty()) continue;
      fmt::print("  {}:\n", section.title);
      for (const std::string& line : section.lines)
        fmt::print("    {}\n", line);
    }
  }
}

void PrintMarkdown(const std::vector<ImageChange>& images) {
  for (const ImageChange& image : images) {
    fmt::print("#### `{}` on {}\n\n```diff\n", image.name, image.platform);
    for (const Section& section : image.sections) {
      for (const std::string& line : section.lines) fmt::print("{}\n", line);
    }
    fmt::print("```\n\n");
  }
}

void PrintJson(const std::vector<ImageChange>& images) {
  Json out = Json::array();
  for (const ImageChange& image : images) {
    Json one = {{"name", image.name}, {"platform", image.platform}};
    for (const Section& section : image.sections) {
      one[ToLower(section.title)] = section.lines;
    }
    out.push_back(std::move(one));
  }
  fmt::print("{}\n", out.dump(2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

int LockDiff(App& app, const Words& words) {
  std::string from;
  std::string to;
  std::string format = "text";
  Args args("lock diff [OPTIONS] OLD NEW",
            "Tell what is otherwise in the second lock, and for images that "
            "moved: age, size, layers, environment and packages.");
  args.Value("--format", &format, "FORMAT", "text, json or markdown");
  args.Positional("OLD", &from, true, "a lock");
  args.Positional("NEW", &to, true, "the other one");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(format, {"text", "json", "markdown"});
  const lock::Lockfile before = RequireLockAt(from);
  const lock::Lockfile after = RequireLockAt(to);
  FileChanges report;
  report.lock_path = to;
  report.changes = lock::Diff(before, after);
  report.entries = lock::EntriesOf(after).size();
  report.written = true;  // it is what the file says
  std::vector<ImageChange> images;
  const auto table = OpenNameTable(app);
  const auto lease = app.store().Hold();
  for (const lock::Change& change : report.changes) {
    if (change.what != lock::Change::What::kUpdated ||
        change.kind != lock::Kind::kImage) {
      continue;
    }
    for (const std::string& platform : change.changed_platforms) {
      RequireRoot();  // layers are unpacked
      images.push_back(Compare(app, *table, change, platform));
    }
  }
  if (format == "json") {
    PrintJson(images);
    return 0;
  }
  std::fputs(ReportChanges({report}, format).c_str(), stdout);
  if (format == "markdown") {
    PrintMarkdown(images);
  } else {
    PrintText(images);
  }
  return 0;
}

}  // namespace imgbuild::cli
