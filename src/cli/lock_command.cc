// `imgbuild lock`: makes and renews locks; and which word after it leads where.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "imgbuild/lock/update.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/build_options.h"
#include "cli/lock_commands.h"
#include "cli/lock_files.h"
#include "cli/lock_report.h"
#include "cli/policed_plan.h"

namespace imgbuild::cli {
namespace {

struct MakeFlags {
  LockFlags common;
  std::string variant;
  std::vector<std::string> build_args;
  std::vector<std::string> build_contexts;
  std::string source_date_epoch;
  bool update = false;
  bool dry_run = false;
  bool check = false;
  bool schema = false;
  std::string min_age;
};

// "36h", "7d", "2w", "90m": seconds.
int64_t ParseAge(const std::string& text) {
  if (text.empty()) return 0;
  const char unit = text.back();
  const int64_t factor = unit == 'm'   ? 60
                         : unit == 'h' ? 3600
                         : unit == 'd' ? 86400
                         : unit == 'w' ? 7 * 86400
                                       : 0;
  const auto number = ParseUint(text.substr(0, text.size() - 1));
  if (factor == 0 || !number || *number > 100'000) {
    throw Error(ErrorCode::kUsage,
                fmt::format("invalid --min-age {}", Quoted(text)))
        .WithHint("it is a number and a unit: 90m, 36h, 7d, 2w");
  }
  return static_cast<int64_t>(*number) * factor;
}

// With --update words are names; what looks like a path is one.
bool LooksLikePath(const std::string& word) {
  return word == "." || word == ".." || word.starts_with("./") ||
         word.starts_with("../") || word.starts_with("/");
}

build::LockOptions ToOptions(const MakeFlags& flags) {
  BuildFlags typed;
  typed.build_args = flags.build_args;
  typed.build_contexts = flags.build_contexts;
  typed.source_date_epoch = flags.source_date_epoch;
  const plan::PlanOptions plan = ToPlanOptions(typed);
  build::LockOptions options;
  options.platforms = ParsePlatforms(flags.common.platforms);
  // The environment's epoch is this run's; the lock's is for everybody.
  if (!flags.source_date_epoch.empty()) {
    options.source_date_epoch = plan.source_date_epoch;
  }
  for (const auto& [name, value] : plan.named_contexts) {
    if (!value.starts_with("docker-image://")) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("--build-context {}={}: only images are locked",
                              name, value))
          .WithHint("the form is NAME=docker-image://REF");
    }
    options.contexts[name] = value;
  }
  if (flags.variant.empty() && !flags.build_args.empty()) {
    throw Error(ErrorCode::kUsage, "--build-arg needs --variant NAME")
        .WithHint(
            "the lock records the arguments under that name, and resolves "
            "the names for them from then on");
  }
  if (flags.variant == lock::kDefaultVariant) {
    throw Error(ErrorCode::kUsage, "a variant cannot be called default")
        .WithHint("that is the one without build arguments");
  }
  if (!flags.variant.empty()) {
    options.variant = lock::Variant{flags.variant, plan.build_args, {}, {}};
  }
  options.min_age_s = ParseAge(flags.min_age);
  options.now_s = SystemClock().NowSeconds();
  return options;
}

// A name that nothing matches is a typing error.
void CheckNames(const std::vector<std::string>& names,
                const std::vector<LockedFile>& files) {
  for (const std::string& name : names) {
    std::vector<std::string> known;
    bool found = false;
    for (const LockedFile& file : files) {
      if (!file.lock) continue;
      for (const lock::NamedEntry& entry : lock::EntriesOf(*file.lock)) {
        found = found || lock::MatchesName(name, entry.kind, entry.name);
        known.push_back(ShownName(entry.kind, entry.name));
      }
    }
    if (found) continue;
    Error error(ErrorCode::kUsage,
                fmt::format("{} is in no lock here", Quoted(name)));
    if (const auto near = Suggest(name, known)) {
      error.WithHint(fmt::format("did you mean {}?", *near));
    } else {
      error.WithHint("`imgbuild lock` adds names that the Dockerfile has");
    }
    throw error;
  }
}

void Warn(const LockedFile& file, const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    fmt::print(stderr, "warning: {}: {}\n", file.lock_path, warning);
  }
}

std::vector<lock::Finding> Unused(const build::LockResult& made) {
  std::vector<lock::Finding> out = lock::CompareOffline(made.used, made.lock);
  std::erase_if(out, [](const lock::Finding& finding) {
    return finding.state != lock::State::kUnused;
  });
  return out;
}

// Of the names that `lock add` was given, those that no Dockerfile here has:
// images that are run or pulled with the lock. What cannot be one is a typing
// error.
std::vector<oci::Reference> NotNamed(
    const std::vector<std::string>& names,
    const std::vector<build::LockResult>& made) {
  std::vector<oci::Reference> out;
  for (const std::string& name : names) {
    std::vector<std::string> known;
    bool found = false;
    for (const build::LockResult& result : made) {
      for (const lock::UsedName& used : result.used) {
        found = found || lock::MatchesName(name, used.kind, used.name);
        known.push_back(ShownName(used.kind, used.name));
      }
    }
    if (found) continue;
    const auto image = oci::Reference::TryParse(name);
    if (image) {
      out.push_back(*image);
      continue;
    }
    Error error(ErrorCode::kUsage,
                fmt::format("no Dockerfile here names {}", Quoted(name)));
    const auto near = Suggest(name, known);
    throw error.WithHint(
        near ? fmt::format("did you mean {}?", *near)
             : "a name that a --build-arg makes is locked with `imgbuild lock "
               "--variant NAME --build-arg …`");
  }
  return out;
}

// `lock add` writes some names: the policy says nothing of the others yet.
std::vector<lock::UsedName> WantedBy(const build::LockOptions& options,
                                     std::vector<lock::UsedName> used) {
  if (options.only.empty()) return used;
  std::erase_if(used, [&](const lock::UsedName& name) {
    return std::ranges::none_of(options.only, [&](const std::string& typed) {
      return lock::MatchesName(typed, name.kind, name.name);
    });
  });
  return used;
}

// All are resolved before the first is written: one that fails leaves all of
// them as they were.
int MakeLocks(App& app, const std::vector<LockedFile>& files,
              build::LockOptions options, bool dry_run,
              const std::string& format) {
  const auto table = OpenNameTable(app);
  const auto lease = app.store().Hold();
  for (const LockedFile& file : files) {
    build::PrefetchLock(file.parsed, file.LockOrEmpty(), options, *table);
  }
  std::vector<build::LockResult> made;
  for (const LockedFile& file : files) {
    app.cancel.Check();
    made.push_back(
        build::MakeLock(file.parsed, file.LockOrEmpty(), options, *table));
  }
  options.add = NotNamed(options.only, made);
  for (size_t i = 0; i < files.size() && !options.add.empty(); ++i) {
    made[i] = build::MakeLock(files[i].parsed, files[i].LockOrEmpty(), options,
                              *table);
  }
  for (size_t i = 0; i < files.size(); ++i) {
    EnforcePoliciesOnLock(files[i].path,
                          options.only.empty() ? &files[i].parsed : nullptr,
                          WantedBy(options, made[i].used), made[i].lock);
  }
  std::vector<FileChanges> report;
  for (size_t i = 0; i < files.size(); ++i) {
    Warn(files[i], made[i].warnings);
    for (const oci::Reference& name : options.add) {
      fmt::print(
          stderr,
          "{}: no Dockerfile here names {}: it is locked for run, create "
          "and pull\n",
          files[i].lock_path, name.Familiar());
    }
    FileChanges changes;
    changes.lock_path = files[i].lock_path;
    changes.changes = lock::Diff(files[i].LockOrEmpty(), made[i].lock);
    changes.unused = Unused(made[i]);
    changes.entries = lock::EntriesOf(made[i].lock).size();
    changes.written = !dry_run && WriteLock(files[i], made[i].lock);
    report.push_back(std::move(changes));
  }
  std::fputs(ReportChanges(report, format).c_str(), stdout);
  return 0;
}

void AddMakeFlags(Args& args, MakeFlags& flags) {
  AddLockFileFlags(args, flags.common,
                   "text, json or markdown; of --check also sarif");
  args.List("--platform", &flags.common.platforms, "P[,P…]",
            "platforms to lock, remembered (default: this host's)");
  args.Value("--variant", &flags.variant, "NAME",
             "lock for these --build-args too, from now on");
  args.List("--build-arg", &flags.build_args, "NAME=VALUE", "of the variant");
  args.List("--build-context", &flags.build_contexts, "NAME=docker-image://REF",
            "a named context, remembered");
  args.Value("--source-date-epoch", &flags.source_date_epoch, "SECONDS",
             "the epoch of builds with this lock");
  args.Flag("--update", &flags.update,
            "ask again: for the names given (* and ? match), else for all");
  args.Value("--min-age", &flags.min_age, "AGE",
             "take no new digest that is younger: 36h, 7d, 2w");
  args.Flag("--dry-run", &flags.dry_run, "tell what would change, no more");
  args.Flag("--check", &flags.check,
            "tell what moved since; exit status 6 if anything did");
  args.Flag("--schema", &flags.schema, "print the JSON schema of the file");
}

int Make(App& app, const Words& words) {
  MakeFlags flags;
  Args args("lock [OPTIONS] [PATH…] | lock --update [NAME…] | lock COMMAND …",
            "Write down what the names in Dockerfiles stand for, in "
            "Dockerfile.lock beside each. Builds apply it.\n\nCommands: add, "
            "bundle, diff, export, fetch, import, prune, rollback, verify. "
            "Exit status of "
            "--check and "
            "verify: 0 "
            "fresh or unused; 6 moved, stale, conflict or drift; 4 gone; 3 the "
            "lock is broken.");
  AddMakeFlags(args, flags);
  args.Positionals("PATH", &flags.common.words, false,
                   "Dockerfiles, or directories with them (default: .)");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (flags.schema) {
    std::fputs(lock::JsonSchema().c_str(), stdout);
    return 0;
  }
  if (flags.check) return LockCheck(app, words);
  CheckFormat(flags.common.format, {"text", "json", "markdown"});
  build::LockOptions options = ToOptions(flags);
  std::vector<std::string> paths;
  for (const std::string& word : flags.common.words) {
    if (flags.update && !LooksLikePath(word)) {
      options.update.push_back(word);
    } else {
      paths.push_back(word);
    }
  }
  options.update_all = flags.update && options.update.empty();
  if (flags.update && flags.variant.empty() && !flags.min_age.empty()) {
    // Fine: --min-age is about updates.
  } else if (!flags.min_age.empty()) {
    throw Error(ErrorCode::kUsage, "--min-age goes with --update");
  }
  const std::vector<LockedFile> files = ReadLockedFiles(
      flags.common, paths, flags.dry_run ? Hold::kNo : Hold::kYes);
  CheckNames(options.update, files);
  return MakeLocks(app, files, options, flags.dry_run, flags.common.format);
}

const std::vector<Command>& LockCommands() {
  static const std::vector<Command> commands = {
      {"", "add", LockAdd, "lock a name that is missing"},
      {"", "bundle", LockBundle, "write all of it as an OCI layout"},
      {"", "prune", LockPrune, "drop entries that nothing names"},
      {"", "diff", LockDiff, "tell what an update brings"},
      {"", "export", LockExportCommand, "write it for other builders"},
      {"", "import", LockImport, "take over other tools' pins"},
      {"", "fetch", LockFetch, "bring all of it into the store"},
      {"", "rollback", LockRollback, "go back to the digest before"},
      {"", "verify", LockVerify, "prove every digest at its registry"},
  };
  return commands;
}

}  // namespace

int LockAdd(App& app, const Words& words) {
  MakeFlags flags;
  Args args(
      "lock add [OPTIONS] NAME…",
      "Lock names that the Dockerfile has and its lock has not; or images "
      "that it does not have, for `run`, `create` and `pull --locked`: "
      "these stay until `lock prune --added`.");
  AddLockFileFlags(args, flags.common, kChangeFormats);
  args.List("--platform", &flags.common.platforms, "P[,P…]",
            "platforms to lock, remembered");
  args.Positionals("NAME", &flags.common.words, true, "what to lock");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(flags.common.format, {"text", "json", "markdown"});
  build::LockOptions options = ToOptions(flags);
  options.only = flags.common.words;
  const std::vector<LockedFile> files =
      ReadLockedFiles(flags.common, {}, Hold::kYes);
  return MakeLocks(app, files, options, false, flags.common.format);
}

int LockPrune(App& app, const Words& words) {
  LockFlags flags;
  bool dry_run = false;
  bool added = false;
  Args args("lock prune [OPTIONS] [PATH…]",
            "Drop the entries of locks that nothing in their Dockerfile names, "
            "for no variant.");
  AddLockFileFlags(args, flags, kChangeFormats);
  args.Flag("--dry-run", &dry_run, "tell what would go, no more");
  args.Flag("--added", &added,
            "also what `lock add` put there for no Dockerfile");
  args.Positionals("PATH", &flags.words, false, "as for `lock`");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(flags.format, {"text", "json", "markdown"});
  const std::vector<LockedFile> files =
      ReadLockedFiles(flags, flags.words, Hold::kYes);
  const auto table = OpenNameTable(app);
  std::vector<FileChanges> report;
  for (const LockedFile& file : files) {
    lock::Lockfile lock = RequireLock(file);
    std::vector<std::string> warnings;
    lock::Prune(lock, build::UsedNames(file.parsed, lock, *table, &warnings),
                added);
    Warn(file, warnings);
    FileChanges changes;
    changes.lock_path = file.lock_path;
    changes.changes = lock::Diff(*file.lock, lock);
    changes.entries = lock::EntriesOf(lock).size();
    changes.written = !dry_run && WriteLock(file, lock);
    report.push_back(std::move(changes));
  }
  std::fputs(ReportChanges(report, flags.format).c_str(), stdout);
  return 0;
}

int LockCommand(App& app, const Words& words) {
  if (!words.empty()) {
    for (const Command& command : LockCommands()) {
      if (words[0] == command.name) {
        return command.run(app, Words(words.begin() + 1, words.end()));
      }
    }
  }
  return Make(app, words);
}

}  // namespace imgbuild::cli
