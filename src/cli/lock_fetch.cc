// `imgbuild lock fetch`: everything that the lock names, in the store.
// `imgbuild lock rollback`: the digest before the present one.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/lock/update.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/lock_commands.h"
#include "cli/lock_files.h"
#include "cli/lock_report.h"

namespace imgbuild::cli {
namespace {

size_t FetchImages(App& app, const lock::Lockfile& lock) {
  size_t fetched = 0;
  for (const lock::ImagePin& pin : lock.images) {
    for (const auto& [text, own] : pin.platforms) {
      app.cancel.Check();
      try {
        // By digest, and recorded: `prune` keeps it.
        app.transfer().Pull(pin.name.WithDigest(pin.digest),
                            oci::Platform::Parse(text),
                            transfer::PullPolicy::kMissing);
      } catch (Error& error) {
        error.At(own.range);
        throw;
      }
      ++fetched;
    }
  }
  return fetched;
}

// The digests to go back to, by name; empty when nothing matches.
std::map<std::string, std::string> Previous(
    const lock::Lockfile& lock, const std::vector<std::string>& names) {
  std::map<std::string, std::string> out;
  for (const lock::ImagePin& pin : lock.images) {
    const std::string name = pin.name.ToString();
    for (const std::string& typed : names) {
      if (!lock::MatchesName(typed, lock::Kind::kImage, name)) continue;
      if (pin.previous.empty()) {
        throw Error(ErrorCode::kUsage,
                    fmt::format("{} has no digest before this one",
                                pin.name.Familiar()));
      }
      out[name] = pin.previous.front().ToString();
    }
  }
  return out;
}

}  // namespace

size_t FetchLockedUrls(App& app, const lock::Lockfile& lock,
                       build::NameTable& table) {
  size_t fetched = 0;
  for (const lock::UrlPin& pin : lock.urls) {
    ++fetched;
    if (app.store().content().Has(pin.checksum)) continue;
    const build::UrlContent now = table.AskUrl(pin.name);
    if (now.checksum == pin.checksum) continue;
    Error error(ErrorCode::kPolicy,
                fmt::format("{} is {} now, the lock has {}", pin.name,
                            now.checksum.ToString(), pin.checksum.ToString()));
    throw error.At(pin.range).WithHint(fmt::format(
        "if the new file is right: imgbuild lock --update {}", pin.name));
  }
  return fetched;
}

int LockFetch(App& app, const Words& words) {
  LockFlags flags;
  Args args("lock fetch [OPTIONS] [PATH…]",
            "Bring every image and file that is locked into the store: builds "
            "with --frozen then make no request. (Git repositories are not "
            "kept: ADD of one is served by the cache.)");
  AddLockFileFlags(args, flags, "");
  args.Positionals("PATH", &flags.words, false, "as for `lock`");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  RequireRoot();
  const std::vector<LockedFile> files =
      ReadLockedFiles(flags, flags.words, Hold::kNo);
  const auto table = OpenNameTable(app);
  const auto lease = app.store().Hold();
  for (const LockedFile& file : files) {
    const lock::Lockfile& lock = RequireLock(file);
    const size_t images = FetchImages(app, lock);
    const size_t urls = FetchLockedUrls(app, lock, *table);
    fmt::print("{}: {} image{} and {} file{} in the store\n", file.lock_path,
               images, images == 1 ? "" : "s", urls, urls == 1 ? "" : "s");
    if (urls > 0) {
      fmt::print(
          "`imgbuild prune` leaves the images; the files only with "
          "--keep-locked {}\n",
          file.lock_path);
    }
  }
  return 0;
}

int LockRollback(App& app, const Words& words) {
  LockFlags flags;
  Args args("lock rollback [OPTIONS] NAME…",
            "Lock the digest that an image had before the present one; the "
            "present one becomes the one before.");
  AddLockFileFlags(args, flags, kChangeFormats);
  args.Positionals("NAME", &flags.words, true, "images; * and ? match");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(flags.format, {"text", "json", "markdown"});
  const std::vector<LockedFile> files = ReadLockedFiles(flags, {}, Hold::kYes);
  const auto table = OpenNameTable(app);
  const auto lease = app.store().Hold();
  std::vector<FileChanges> report;
  for (const LockedFile& file : files) {
    build::LockOptions options;
    options.choose = Previous(RequireLock(file), flags.words);
    if (options.choose.empty()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} has no image {}", file.lock_path,
                              Join(flags.words, ", ")));
    }
    const build::LockResult made =
        build::MakeLock(file.parsed, *file.lock, options, *table);
    FileChanges changes;
    changes.lock_path = file.lock_path;
    changes.changes = lock::Diff(*file.lock, made.lock);
    changes.entries = lock::EntriesOf(made.lock).size();
    changes.written = WriteLock(file, made.lock);
    report.push_back(std::move(changes));
  }
  std::fputs(ReportChanges(report, flags.format).c_str(), stdout);
  return 0;
}

}  // namespace imgbuild::cli
