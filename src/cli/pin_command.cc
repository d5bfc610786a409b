// `imgbuild pin` and `imgbuild unpin`: digests written into Dockerfiles.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "imgbuild/lock/pin.h"
#include "imgbuild/lock/update.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/build_options.h"
#include "cli/commands.h"
#include "cli/dockerfile_set.h"
#include "cli/include_files.h"
#include "cli/pin_digests.h"
#include "cli/text_file.h"
#include "cli/used_names.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;
using lock::PinChange;
using lock::PinMode;

constexpr char kStdin[] = "-";

struct PinFlags {
  std::vector<std::string> files;
  std::vector<std::string> paths;
  std::vector<std::string> excludes;
  bool recursive = false;
  bool update = false;
  bool dry_run = false;
  bool check = false;
  bool no_lock = false;
  std::string format = "plain";

  bool FromStdin() const {
    return files.size() == 1 && files.front() == kStdin;
  }
};

struct OneFile {
  std::string path;
  dockerfile::Dockerfile parsed;
  std::vector<lock::UsedName> used;
  size_t excluded = 0;
  lock::PinPlan plan;
};

// What becomes of each text: the Dockerfiles and what they include, by path.
struct TextEdits {
  std::shared_ptr<const SourceFile> source;
  std::map<std::pair<size_t, size_t>, lock::TextEdit> edits;
};
using EditsByPath = std::map<std::string, TextEdits>;

void AddFileFlags(Args& args, PinFlags& flags) {
  args.List("-f,--file", &flags.files, "FILE",
            "a Dockerfile (may repeat); PATH is not looked at then; -: "
            "standard input, and the result goes to standard output");
  args.List("--exclude", &flags.excludes, "NAME",
            "leave these names as they are; * and ? match (may repeat)");
  args.Flag("-r,--recursive", &flags.recursive,
            "every Dockerfile below the directories");
  args.Flag("--dry-run", &flags.dry_run,
            "write nothing; print a patch for `git apply`");
  args.Value("--format", &flags.format, "plain|json", "how to report");
  args.Positionals("PATH", &flags.paths, false,
                   "directories or Dockerfiles; the current directory");
}

// --exclude that matches nothing is a typing error.
void Exclude(const PinFlags& flags, std::vector<OneFile>& files) {
  for (const std::string& typed : flags.excludes) {
    bool found = false;
    std::vector<std::string> known;
    for (OneFile& file : files) {
      file.excluded +=
          std::erase_if(file.used, [&](const lock::UsedName& used) {
            known.push_back(used.image->WithoutDigest().Familiar());
            const bool matches = lock::MatchesName(
                typed, lock::Kind::kImage,
                used.image->WithoutDigest().WithDefaultTag().ToString());
            found = found || matches;
            return matches;
          });
    }
    if (found) continue;
    Error error(
        ErrorCode::kUsage,
        fmt::format("--exclude {}: no Dockerfile here names it", typed));
    if (const auto near = Suggest(typed, known)) {
      error.WithHint(fmt::format("did you mean {}?", *near));
    }
    throw error;
  }
}

std::vector<OneFile> ReadFiles(const PinFlags& flags) {
  const plan::PlanOptions options = ToPlanOptions(BuildFlags());
  const std::vector<std::string> paths =
      FindDockerfiles(flags.files, flags.paths, flags.recursive);
  std::vector<OneFile> out;
  for (DockerfileAt& one : ParseDockerfilesAt(paths, flags.files.empty())) {
    OneFile file;
    file.path = one.path;
    file.parsed = std::move(one.parsed);
    file.used = PinnableNames(file.parsed, options);
    out.push_back(std::move(file));
  }
  Exclude(flags, out);
  return out;
}

// One word of an included file may be told two things: then the first holds,
// and the other is refused.
EditsByPath CollectEdits(std::vector<OneFile>& files) {
  EditsByPath out;
  for (OneFile& file : files) {
    std::erase_if(file.plan.changes, [&](const PinChange& change) {
      TextEdits& text = out[fs::CleanPath(change.at.file()->name())];
      text.source = change.at.file();
      const auto [it, first] = text.edits.try_emplace(
          {change.edit.begin, change.edit.end}, change.edit);
      if (it->second == change.edit) return false;
      Error error(ErrorCode::kPolicy,
                  fmt::format("{} cannot be pinned here: for another "
                              "Dockerfile that includes this it is {}",
                              change.name, it->second.text.substr(1)));
      file.plan.refused.push_back(std::move(error.At(change.at)));
      return true;
    });
  }
  return out;
}

// "Dockerfile:3: golang:1.22@sha256:… (ARG GO, line 1)"
std::string Describe(const PinChange& change, PinMode mode) {
  std::string text = fmt::format("{}:{}: ", change.range.file()->name(),
                                 change.range.begin().line);
  if (mode == PinMode::kUnpin) {
    text += fmt::format("{}{} (was {})", change.name,
                        change.no_tag ? ":latest" : "", change.before);
  } else if (change.before.empty()) {
    text += change.name + "@" + change.after;
  } else {
    text += fmt::format("{} {} → {}", change.name, change.before, change.after);
  }
  if (!change.arg.empty()) {
    text +=
        fmt::format(" (ARG {}, line {})", change.arg, change.at.begin().line);
  }
  return text + "\n";
}

Json ToJson(const PinChange& change, const char* what) {
  return {{"file", change.range.file()->name()},
          {"line", change.range.begin().line},
          {"column", change.range.begin().column},
          {"site", change.site},
          {"name", change.name},
          {"what", what},
          {"before", change.before},
          {"after", change.after},
          {"arg", change.arg}};
}

Json ToJson(const Error& error, const OneFile& file) {
  const bool placed = static_cast<bool>(error.range());
  return {{"file", file.path},
          {"line", placed ? error.range().begin().line : 0},
          {"column", placed ? error.range().begin().column : 0},
          {"what", "refused"},
          {"message", error.message()},
          {"hint", error.hint()}};
}

const char* Past(PinMode mode) {
  return mode == PinMode::kPin      ? "pinned"
         : mode == PinMode::kUpdate ? "updated"
                                    : "unpinned";
}

// `checked`: nothing was done, it is only what would be.
void PrintJson(const std::vector<OneFile>& files, PinMode mode, bool checked) {
  Json out = Json::array();
  for (const OneFile& file : files) {
    for (const PinChange& change : file.plan.changes) {
      out.push_back(ToJson(change, !checked                ? Past(mode)
                                   : change.before.empty() ? "not pinned"
                                                           : "outdated"));
    }
    for (const PinChange& change : file.plan.kept) {
      out.push_back(ToJson(change, "kept"));
    }
    for (const Error& error : file.plan.refused) {
      out.push_back(ToJson(error, file));
    }
  }
  fmt::print("{}\n", out.dump(2, ' ', false, Json::error_handler_t::replace));
}

void PrintPlain(const std::vector<OneFile>& files, PinMode mode,
                std::FILE* out) {
  size_t changed = 0;
  size_t kept = 0;
  size_t refused = 0;
  size_t excluded = 0;
  for (const OneFile& file : files) {
    for (const PinChange& change : file.plan.changes) {
      fmt::print(out, "{}", Describe(change, mode));
    }
    changed += file.plan.changes.size();
    kept += file.plan.kept.size();
    refused += file.plan.refused.size();
    excluded += file.excluded;
  }
  std::string text = fmt::format(
      "{} {} of {} {} in {} {}", Past(mode), changed, changed + kept + refused,
      changed + kept + refused == 1 ? "name" : "names", files.size(),
      files.size() == 1 ? "file" : "files");
  if (kept > 0) {
    text += fmt::format("; {} {} already", kept,
                        mode == PinMode::kUpdate ? "up to date" : "pinned");
  }
  if (refused > 0) text += fmt::format("; {} refused", refused);
  if (excluded > 0) text += fmt::format("; {} excluded", excluded);
  fmt::print(out, "{}\n", text);
}

// Renders what was refused; the exit status.
int Refusals(const std::vector<OneFile>& files) {
  int status = 0;
  for (const OneFile& file : files) {
    for (const Error& error : file.plan.refused) {
      std::fflush(stdout);
      std::fputs(error.Render().c_str(), stderr);
      // A registry that does not answer says more than a name that stays.
      if (status == 0 || error.code() == ErrorCode::kRegistry) {
        status = static_cast<int>(error.code());
      }
    }
  }
  return status;
}

std::vector<lock::TextEdit> ToEdits(const TextEdits& text) {
  std::vector<lock::TextEdit> out;
  for (const auto& [place, edit] : text.edits) out.push_back(edit);
  return out;
}

// Standard input, with its edits, on standard output.
int Filter(const std::vector<OneFile>& files, const EditsByPath& edits,
           PinMode mode) {
  const SourceFile& source = *files.front().parsed.source;
  std::string text = source.text();
  const auto it = edits.find(source.name());
  if (it != edits.end()) text = lock::ApplyEdits(text, ToEdits(it->second));
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  PrintPlain(files, mode, stderr);
  return Refusals(files);
}

int Perform(const PinFlags& flags, std::vector<OneFile>& files, PinMode mode) {
  const EditsByPath edits = CollectEdits(files);
  if (flags.FromStdin()) return Filter(files, edits, mode);
  for (const auto& [path, text] : edits) {
    const std::string& before = text.source->text();
    const std::string after = lock::ApplyEdits(before, ToEdits(text));
    if (flags.dry_run) {
      const std::string patch =
          lock::UnifiedPatch(PatchPath(path), before, after);
      std::fwrite(patch.data(), 1, patch.size(), stdout);
    } else {
      ReplaceTextFile(path, before, after);
    }
  }
  if (!flags.dry_run) {
    flags.format == "json" ? PrintJson(files, mode, false)
                           : PrintPlain(files, mode, stdout);
  }
  return Refusals(files);
}

// --check: what pinning would change is an error, and nothing is written.
int Check(const PinFlags& flags, const std::vector<OneFile>& files,
          PinMode mode) {
  size_t wrong = 0;
  for (const OneFile& file : files) {
    wrong += file.plan.changes.size();
    for (const PinChange& change : file.plan.changes) {
      if (flags.format == "json") continue;
      Error error(ErrorCode::kPolicy,
                  change.before.empty()
                      ? fmt::format("{} is not pinned", change.name)
                      : fmt::format("{} is pinned to {}, and stands for {} now",
                                    change.name, change.before, change.after));
      error.At(change.range)
          .WithHint(fmt::format("imgbuild pin{} -f {}",
                                change.before.empty() ? "" : " --update",
                                file.path));
      std::fputs(error.Render().c_str(), stderr);
    }
  }
  if (flags.format == "json") PrintJson(files, mode, true);
  const int status = Refusals(files);
  return status != 0 ? status
                     : (wrong > 0 ? static_cast<int>(ErrorCode::kPolicy) : 0);
}

void CheckFlags(const PinFlags& flags) {
  CheckFormat(flags.format);
  if (flags.dry_run && flags.format == "json") {
    throw Error(ErrorCode::kUsage, "--dry-run prints a patch, not JSON");
  }
  if (flags.dry_run && flags.check) {
    throw Error(ErrorCode::kUsage, "--check writes nothing: --dry-run is idle");
  }
  if (flags.FromStdin() && flags.dry_run) {
    throw Error(ErrorCode::kUsage,
                "-f - writes no file: --dry-run has nothing to spare");
  }
  if (flags.FromStdin() && !flags.check && flags.format == "json") {
    throw Error(ErrorCode::kUsage,
                "-f - prints the Dockerfile, not JSON: only --check does");
  }
  if (!flags.FromStdin() &&
      std::ranges::find(flags.files, kStdin) != flags.files.end()) {
    throw Error(ErrorCode::kUsage, "-f - goes with no other file");
  }
}

}  // namespace

int PinCommand(App& app, const Words& words) {
  PinFlags flags;
  Args args("pin [OPTIONS] [PATH…]",
            "Write digests into Dockerfiles: name:tag becomes "
            "name:tag@sha256:…, and nothing else changes. They come from the "
            "Dockerfile.lock beside the file, else from the registry.");
  AddFileFlags(args, flags);
  args.Flag("--update", &flags.update,
            "also give pinned names the present digest of their tag");
  args.Flag("--check", &flags.check,
            "write nothing; exit with 6 when a name is not pinned (with "
            "--update: or not up to date)");
  args.Flag("--no-lock", &flags.no_lock, "ask the registry, lock or not");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFlags(flags);

  const PinMode mode = flags.update ? PinMode::kUpdate : PinMode::kPin;
  std::vector<OneFile> files = ReadFiles(flags);
  // Whether a name is pinned stands in the file: nobody is asked for it.
  const bool ask = flags.update || !flags.check;
  PinDigests digests(app, flags.no_lock);
  if (ask) {
    for (OneFile& file : files) {
      digests.Expect(file.parsed, file.path, file.used, mode);
    }
    digests.Fetch();
  }
  for (OneFile& file : files) {
    file.plan = lock::PlanPins(
        file.parsed, file.used, mode,
        ask ? digests.For(file.path) : [](const oci::Reference&) {
          return std::optional<oci::Digest>(oci::Digest::OfBytes(""));
        });
  }
  return flags.check ? Check(flags, files, mode) : Perform(flags, files, mode);
}

int UnpinCommand(App& app, const Words& words) {
  PinFlags flags;
  Args args("unpin [OPTIONS] [PATH…]",
            "Take the digests out of Dockerfiles again: name:tag@sha256:… "
            "becomes name:tag, and nothing else changes.");
  AddFileFlags(args, flags);
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFlags(flags);
  std::vector<OneFile> files = ReadFiles(flags);
  for (OneFile& file : files) {
    file.plan = lock::PlanPins(file.parsed, file.used, PinMode::kUnpin, {});
  }
  return Perform(flags, files, PinMode::kUnpin);
}

}  // namespace imgbuild::cli
