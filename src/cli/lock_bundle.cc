// `imgbuild lock bundle`, and the way back: `build --lock-bundle`.
#include "cli/lock_bundle.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/transfer/bundle.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/output_file.h"
#include "imgbuild/util/strings.h"

#include "cli/lock_commands.h"
#include "cli/lock_files.h"

namespace imgbuild::cli {
namespace {

constexpr char kFileType[] = "application/octet-stream";

struct Blob {
  uint64_t size = 0;
  SourceRange range;  // of the entry of the lock that needs it
};
using Blobs = std::map<oci::Digest, Blob>;

oci::Document StoredDocument(App& app, const oci::Digest& digest) {
  auto bytes = app.store().content().Read(digest, oci::kMaxManifestBytes);
  if (!bytes) {
    throw Error(ErrorCode::kHost,
                fmt::format("{} is gone from the store", digest.ToString()));
  }
  return oci::ParseDocument(std::move(*bytes), "");
}

// A document of the lock: nothing is read to find out that it is no document.
void CheckDocumentSize(uint64_t size, const SourceRange& range) {
  if (size <= oci::kMaxManifestBytes) return;
  throw Error(ErrorCode::kPolicy,
              fmt::format("a document of {} is more than imgbuild reads ({})",
                          HumanSize(size), HumanSize(oci::kMaxManifestBytes)))
      .At(range)
      .WithHint("`imgbuild lock --update` writes the entry anew");
}

// The indexes between an index and the manifest of a platform.
std::vector<oci::Descriptor> IndexesBelow(App& app, const oci::Digest& top,
                                          const oci::Platform& platform,
                                          const oci::Digest& manifest) {
  constexpr size_t kMaxDepth = 4;
  std::vector<oci::Descriptor> out;
  oci::Digest at = top;
  while (at != manifest && app.store().content().Has(at) &&
         out.size() <= kMaxDepth) {
    const oci::Document document = StoredDocument(app, at);
    if (!document.index) break;
    const oci::Descriptor& chosen =
        oci::ChoosePlatform(*document.index, platform, at.ToString());
    at = chosen.digest;
    if (at != manifest) out.push_back(chosen);
  }
  return out;
}

// What can be reached by now: a document that the store lacks hides what it
// names.
Blobs Reachable(App& app, const lock::Lockfile& lock) {
  Blobs blobs;
  const auto add = [&](const oci::Digest& digest, uint64_t size,
                       const SourceRange& range) {
    blobs.emplace(digest, Blob{size, range});
    return app.store().content().Has(digest);
  };
  for (const lock::ImagePin& pin : lock.images) {
    CheckDocumentSize(pin.size, pin.range);
    add(pin.digest, pin.size, pin.range);
    for (const auto& [platform, own] : pin.platforms) {
      CheckDocumentSize(own.size, own.range);
      for (const oci::Descriptor& index : IndexesBelow(
               app, pin.digest, oci::Platform::Parse(platform), own.manifest)) {
        CheckDocumentSize(index.size, own.range);
        add(index.digest, index.size, own.range);
      }
      if (!add(own.manifest, own.size, own.range)) continue;
      const oci::Document document = StoredDocument(app, own.manifest);
      if (!document.manifest ||
          document.manifest->config.digest != own.config) {
        throw Error(ErrorCode::kPolicy,
                    fmt::format("{} is not the manifest of {}",
                                own.manifest.ToString(), own.config.ToString()))
            .At(own.range);
      }
      const oci::Manifest& manifest = *document.manifest;
      add(own.config, manifest.config.size, own.range);
      for (const oci::Descriptor& layer : manifest.layers) {
        add(layer.digest, layer.size, own.range);
      }
    }
  }
  for (const lock::UrlPin& pin : lock.urls) {
    add(pin.checksum, pin.size, pin.range);
  }
  return blobs;
}

// Everything into the store: from there it is written.
void Gather(App& app, const lock::Lockfile& lock, build::NameTable& table) {
  if (!lock.gits.empty()) {
    const lock::GitPin& pin = lock.gits.front();
    throw Error(ErrorCode::kUsage,
                fmt::format("{} is a git repository: a bundle holds images "
                            "and files",
                            pin.name))
        .At(pin.range)
        .WithHint("ADD the archive of that commit by its URL instead");
  }
  for (const lock::ImagePin& pin : lock.images) {
    for (const auto& [text, own] : pin.platforms) {
      app.cancel.Check();
      try {
        const plan::ResolvedImage image = app.transfer().Resolve(
            pin.name.WithDigest(pin.digest), oci::Platform::Parse(text),
            transfer::PullPolicy::kMissing);
        app.transfer().EnsureBlobs(transfer::LayersOf(image));
      } catch (Error& error) {
        error.At(own.range);
        throw;
      }
    }
  }
  FetchLockedUrls(app, lock, table);
}

void CheckComplete(App& app, const Blobs& blobs, const std::string& where) {
  for (const auto& [digest, blob] : blobs) {
    if (app.store().content().Has(digest)) continue;
    throw Error(ErrorCode::kPolicy,
                fmt::format("{} is not in {}", digest.ToString(), where))
        .At(blob.range);
  }
}

void Write(App& app, const transfer::Archive& archive,
           const std::string& file) {
  if (file.ends_with(".tar")) {
    OutputFile out(file);
    transfer::WriteArchiveTar(archive, 0, app.store(), app.pool(), out);
    return out.Commit();
  }
  fs::MakeDirs(AT_FDCWD, file, 0755);
  const UniqueFd directory = fs::OpenDir(AT_FDCWD, file);
  if (!fs::ListDir(directory.get()).empty()) {
    throw Error(ErrorCode::kUsage, fmt::format("{} is not empty", Quoted(file)))
        .WithHint("a bundle is a new directory, or a file that ends in .tar");
  }
  transfer::WriteArchiveDirectory(archive, app.store(), directory.get());
}

}  // namespace

void ImportBundle(App& app, const std::string& path,
                  const lock::Lockfile& lock) {
  for (;;) {
    const Blobs blobs = Reachable(app, lock);
    std::map<oci::Digest, uint64_t> missing;
    for (const auto& [digest, blob] : blobs) {
      if (!app.store().content().Has(digest)) missing[digest] = blob.size;
    }
    if (missing.empty()) return;
    // Documents come first: they tell what else there must be.
    if (transfer::ImportBlobs(app.store(), path, missing, app.cancel) == 0) {
      CheckComplete(app, blobs, "the bundle " + path);
    }
  }
}

int LockBundle(App& app, const Words& words) {
  LockFlags flags;
  Args args("lock bundle [OPTIONS] FILE [PATH…]",
            "Write every image and file that is locked as an OCI layout, with "
            "nothing else in it: `build --lock-bundle FILE` needs no network. "
            "Images are there for the locked platforms only.");
  AddLockFileFlags(args, flags, "");
  args.Positionals("FILE", &flags.words, true,
                   "a file that ends in .tar, or a new directory; then paths "
                   "as for `lock`");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  RequireRoot();
  const std::string file = flags.words.front();
  const std::vector<LockedFile> files = ReadLockedFiles(
      flags, {flags.words.begin() + 1, flags.words.end()}, Hold::kNo);
  const auto table = OpenNameTable(app);
  const auto lease = app.store().Hold();
  std::map<std::string, oci::Descriptor> named;
  std::map<oci::Digest, oci::Descriptor> blobs;
  for (const LockedFile& one : files) {
    const lock::Lockfile& lock = RequireLock(one);
    Gather(app, lock, *table);
    const Blobs all = Reachable(app, lock);
    CheckComplete(app, all, "the store");
    for (const auto& [digest, blob] : all) {
      blobs.insert_or_assign(
          digest,
          oci::Descriptor{kFileType, digest, blob.size, {}, {}, {}, {}});
    }
    // Two locks may pin one name to two digests.
    const auto name = [&](const oci::Descriptor& entry,
                          const std::string& text) {
      named.emplace(text + " " + entry.digest.ToString(), entry);
    };
    for (const lock::ImagePin& pin : lock.images) {
      const std::string text = pin.name.ToString();
      name(transfer::NamedBlob(pin.media_type, pin.digest, pin.size, text),
           text);
    }
    for (const lock::UrlPin& pin : lock.urls) {
      name(transfer::NamedBlob(kFileType, pin.checksum, pin.size, pin.name),
           pin.name);
    }
  }
  std::vector<oci::Descriptor> entries;
  for (const auto& [key, entry] : named) entries.push_back(entry);
  std::vector<oci::Descriptor> rest;
  for (const auto& [digest, blob] : blobs) rest.push_back(blob);
  Write(app, transfer::BundleArchive(entries, rest), file);
  fmt::print("{}: {} name{}, {} blobs\n", file, entries.size(),
             entries.size() == 1 ? "" : "s", rest.size());
  return 0;
}

}  // namespace imgbuild::cli
