// `imgbuild lock import`: pins of other tools become entries of the lock.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "imgbuild/lock/interchange.h"
#include "imgbuild/lock/update.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/build_options.h"
#include "cli/lock_commands.h"
#include "cli/lock_files.h"
#include "cli/lock_report.h"
#include "cli/text_file.h"
#include "cli/used_names.h"

namespace imgbuild::cli {
namespace {

struct ImportFlags {
  LockFlags common;
  std::string dockerfile;  // in docker-lock's file
  bool inline_pins = false;
  bool dry_run = false;
};

class Importer {
 public:
  Importer(const LockedFile& file, const build::LockOptions& options,
           build::NameTable& table)
      : file_(file), options_(options), table_(table) {}

  build::LockResult Import(const lock::ForeignPins& foreign) {
    lock::Lockfile seeded = file_.LockOrEmpty();
    // What stands in the text decides which of the names are wanted.
    for (const lock::ForeignPin& pin : foreign.pins) {
      if (pin.kind == lock::Kind::kImage) PutImage(pin, seeded);
    }
    std::vector<std::string> warnings;
    const std::vector<lock::UsedName> used =
        build::UsedNames(file_.parsed, seeded, table_, &warnings);
    for (const lock::ForeignPin& pin : foreign.pins) {
      if (pin.kind == lock::Kind::kUrl) PutUrl(pin, used, seeded);
      if (pin.kind == lock::Kind::kGit) PutGit(pin, used, seeded);
    }
    build::LockResult made =
        build::MakeLock(file_.parsed, seeded, options_, table_);
    Drop(foreign, made);
    return made;
  }

 private:
  void PutImage(const lock::ForeignPin& foreign, lock::Lockfile& seeded) {
    if (!Names(*foreign.image)) return;
    build::NamedDocument document{*foreign.digest, "", 0};
    try {
      document = table_.Ask(foreign.image->WithDigest(*foreign.digest));
    } catch (Error& error) {
      throw error.At(foreign.range);
    }
    lock::ImagePin pin{*foreign.image,
                       {},
                       document.digest,
                       document.media_type,
                       document.size,
                       {},
                       {},
                       {},
                       {},
                       {},
                       {}};
    lock::Put(seeded, std::move(pin));
  }

  // A name that the Dockerfile has not is not worth a request.
  bool Names(const oci::Reference& image) {
    if (names_.empty()) {
      for (const lock::UsedName& used :
           UsedImages(file_.parsed, ToPlanOptions(BuildFlags()))) {
        names_.insert(lock::KeyOf(*used.image).ToString());
      }
      names_.insert("");
    }
    return names_.contains(lock::KeyOf(image).ToString()) ||
           file_.LockOrEmpty().FindImage(image) != nullptr;
  }

  void PutUrl(const lock::ForeignPin& foreign,
              const std::vector<lock::UsedName>& used, lock::Lockfile& seeded) {
    if (!IsUsed(foreign.kind, foreign.name, used)) return;
    const build::UrlContent content = table_.AskUrl(foreign.name);
    if (content.checksum != *foreign.digest) {
      Error error(
          ErrorCode::kPolicy,
          fmt::format("{} is {} now, not {}", foreign.name,
                      content.checksum.ToString(), foreign.digest->ToString()));
      throw error.At(foreign.range);
    }
    lock::UrlPin pin{
        foreign.name, content.checksum, content.size, {}, {}, {}, {}, {}};
    lock::Put(seeded, std::move(pin));
  }

  void PutGit(const lock::ForeignPin& foreign,
              const std::vector<lock::UsedName>& used, lock::Lockfile& seeded) {
    for (const lock::UsedName& name : used) {
      // A source policy has the name in BuildKit's spelling.
      if (name.kind != lock::Kind::kGit ||
          (name.name != foreign.name &&
           lock::GitIdentifier(name.name) !=
               lock::GitIdentifier(foreign.name))) {
        continue;
      }
      lock::GitPin pin;
      pin.name = name.name;
      pin.commit = foreign.commit;
      lock::Put(seeded, std::move(pin));
    }
  }

  static bool IsUsed(lock::Kind kind, const std::string& name,
                     const std::vector<lock::UsedName>& used) {
    return std::ranges::any_of(used, [&](const lock::UsedName& found) {
      return found.kind == kind && found.name == name;
    });
  }

  // Names that the other tool had and this Dockerfile has not.
  void Drop(const lock::ForeignPins& foreign, build::LockResult& made) const {
    const lock::Lockfile before = file_.LockOrEmpty();
    std::erase_if(made.lock.images, [&](const lock::ImagePin& pin) {
      return before.FindImage(pin.name) == nullptr &&
             !IsUsed(lock::Kind::kImage, pin.name.ToString(), made.used);
    });
    for (const lock::ForeignPin& pin : foreign.pins) {
      const bool found =
          pin.kind == lock::Kind::kGit || IsUsed(pin.kind, pin.name, made.used);
      if (!found) {
        made.warnings.push_back(
            fmt::format("{}: the Dockerfile does not name it", pin.name));
      }
    }
  }

  const LockedFile& file_;
  const build::LockOptions& options_;
  build::NameTable& table_;
  std::set<std::string> names_;
};

lock::ForeignPins ReadForeign(const ImportFlags& flags, const std::string& path,
                              const LockedFile& file) {
  if (flags.inline_pins) {
    return lock::ImportInline(
        UsedImages(file.parsed, ToPlanOptions(BuildFlags())));
  }
  lock::ForeignFormat format = lock::ForeignFormat::kDockerLock;
  lock::ForeignPins pins =
      lock::Import(ReadTextFile(path, lock::kMaxImportBytes, "file to import"),
                   flags.dockerfile, &format);
  fmt::print(stderr, "{}: read as {}, {} names\n", path, lock::ToString(format),
             pins.pins.size());
  return pins;
}

}  // namespace

int LockImport(App& app, const Words& words) {
  ImportFlags flags;
  std::string path;
  Args args("lock import [OPTIONS] FILE | lock import --inline",
            "Take over the digests of docker-lock's docker-lock.json, of a "
            "source policy of BuildKit, of a SLSA provenance, or of the "
            "Dockerfile itself.");
  args.List("-f,--file", &flags.common.files, "FILE",
            "the Dockerfile whose lock it goes to (default: ./Dockerfile)");
  args.List("--platform", &flags.common.platforms, "P[,P…]",
            "platforms to lock, remembered (default: this host's)");
  args.Value("--dockerfile", &flags.dockerfile, "PATH",
             "docker-lock: only the images of this path");
  args.Flag("--inline", &flags.inline_pins,
            "the digests that stand in the Dockerfile");
  args.Flag("--dry-run", &flags.dry_run, "tell what would change, no more");
  args.Value("--format", &flags.common.format, "text|json|markdown",
             "how to report");
  args.Positional("FILE", &path, false, "what to read");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(flags.common.format, {"text", "json", "markdown"});
  if (flags.inline_pins == !path.empty()) {
    throw Error(ErrorCode::kUsage, "lock import takes a FILE or --inline");
  }
  const std::vector<LockedFile> files =
      ReadLockedFiles(flags.common, {}, flags.dry_run ? Hold::kNo : Hold::kYes);
  if (files.size() != 1) {
    throw Error(ErrorCode::kUsage, "lock import is about one Dockerfile")
        .WithHint("-f FILE names it");
  }
  const LockedFile& file = files.front();
  const lock::ForeignPins foreign = ReadForeign(flags, path, file);
  for (const std::string& why : foreign.skipped) {
    fmt::print(stderr, "warning: passed over {}\n", why);
  }
  build::LockOptions options;
  options.platforms = ParsePlatforms(flags.common.platforms);
  const auto table = OpenNameTable(app);
  const auto lease = app.store().Hold();
  const build::LockResult made =
      Importer(file, options, *table).Import(foreign);
  for (const std::string& warning : made.warnings) {
    fmt::print(stderr, "warning: {}: {}\n", file.lock_path, warning);
  }
  FileChanges changes;
  changes.lock_path = file.lock_path;
  changes.changes = lock::Diff(file.LockOrEmpty(), made.lock);
  changes.entries = lock::EntriesOf(made.lock).size();
  changes.written = !flags.dry_run && WriteLock(file, made.lock);
  std::fputs(ReportChanges({changes}, flags.common.format).c_str(), stdout);
  return 0;
}

}  // namespace imgbuild::cli
