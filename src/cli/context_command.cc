// `imgbuild context ls`: which files a build could take, and why not others.
#include <fcntl.h>
#include <fmt/format.h>

#include "imgbuild/context/context.h"
#include "imgbuild/context/listing.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;
using context::ListedFile;

struct Totals {
  size_t files = 0;
  size_t directories = 0;
  uint64_t bytes = 0;
};

struct Listing {
  std::string name;  // of the directory, as typed
  std::string ignore_file;
  context::ContextListing lists;
  Totals totals;
};

const char* TypeName(FileType type) {
  switch (type) {
    case FileType::kRegular:
      return "file";
    case FileType::kDirectory:
      return "directory";
    case FileType::kSymlink:
      return "symlink";
    case FileType::kFifo:
      return "fifo";
    default:
      return "device";
  }
}

// The Dockerfile that the ignore file goes with: -f, else the default one.
std::string DockerfilePath(int dir_fd, const std::string& directory,
                           const std::string& file) {
  if (!file.empty()) return file;
  for (const char* name : {"Dockerfile", "dockerfile"}) {
    if (fs::LstatIfExists(dir_fd, name)) {
      return (directory.ends_with('/') ? directory : directory + "/") + name;
    }
  }
  return "";
}

Listing ReadListing(App& app, const std::string& directory,
                    const std::string& file) {
  const UniqueFd dir =
      fs::OpenIfExists(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!dir) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("the context {} is not a directory", Quoted(directory)))
        .WithHint("ignore files apply to directories only");
  }
  Listing out;
  out.name = directory;
  context::PatternList ignore;
  const auto ignore_file = context::FindIgnoreFile(
      dir.get(), directory, DockerfilePath(dir.get(), directory, file));
  if (ignore_file) {
    out.ignore_file = ignore_file->name();
    ignore = context::PatternList::ParseIgnoreFile(ignore_file);
  }
  out.lists = context::ListContext(DirTree(dir.get()), ignore, app.cancel);
  for (const ListedFile& listed : out.lists.files) {
    if (listed.info.type == FileType::kDirectory) {
      ++out.totals.directories;
      continue;
    }
    ++out.totals.files;
    if (listed.info.type == FileType::kRegular) {
      out.totals.bytes += listed.info.size;
    }
  }
  return out;
}

std::string RuleText(const ListedFile& file) {
  const SourceRange& rule = file.decision.rule;
  return fmt::format("{}:{}: {}", rule.file()->name(), rule.begin().line,
                     file.decision.pattern);
}

std::string Plural(size_t n, const char* one, const char* many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

std::string Summary(const Listing& listing, bool ignored) {
  std::string text = fmt::format(
      "{}, {}, {} in the context",
      Plural(listing.totals.files, "file", "files"),
      Plural(listing.totals.directories, "directory", "directories"),
      HumanSize(listing.totals.bytes));
  if (listing.ignore_file.empty()) return text + "; there is no ignore file\n";
  text += fmt::format("; {} ignored by {}",
                      Plural(listing.lists.ignored.size(), "path", "paths"),
                      listing.ignore_file);
  if (!ignored && !listing.lists.ignored.empty()) {
    text += " (--ignored lists them)";
  }
  return text + "\n";
}

void PrintText(const Listing& listing, bool ignored) {
  Table table({"SIZE", "PATH", "RULE"});
  for (const ListedFile& file :
       ignored ? listing.lists.ignored : listing.lists.files) {
    const bool regular = file.info.type == FileType::kRegular;
    std::string path = file.path;
    if (file.info.type == FileType::kDirectory) path += '/';
    Words cells = {regular ? HumanSize(file.info.size) : "-", path};
    if (file.decision.rule) cells.push_back(RuleText(file));
    table.Add(std::move(cells));
  }
  fmt::print("{}\n{}", table.ToString(), Summary(listing, ignored));
}

Json ToJson(const ListedFile& file) {
  Json out = {{"path", file.path},
              {"type", TypeName(file.info.type)},
              {"mode", fmt::format("{:04o}", file.info.mode)}};
  if (file.info.type == FileType::kRegular) out["size"] = file.info.size;
  if (const SourceRange& rule = file.decision.rule) {
    out["rule"] = {{"file", rule.file()->name()},
                   {"line", rule.begin().line},
                   {"pattern", file.decision.pattern}};
  }
  return out;
}

void PrintJson(const Listing& listing) {
  Json files = Json::array();
  Json ignored = Json::array();
  for (const ListedFile& f : listing.lists.files) files.push_back(ToJson(f));
  for (const ListedFile& f : listing.lists.ignored) {
    ignored.push_back(ToJson(f));
  }
  const Json document = {
      {"context", listing.name},
      {"ignoreFile",
       listing.ignore_file.empty() ? Json(nullptr) : Json(listing.ignore_file)},
      {"files", files},
      {"ignored", ignored},
      {"total",
       {{"files", listing.totals.files},
        {"directories", listing.totals.directories},
        {"bytes", listing.totals.bytes}}}};
  // A file's name need not be UTF-8.
  fmt::print("{}\n",
             document.dump(2, ' ', false, Json::error_handler_t::replace));
}

int ListCommand(App& app, const Words& words) {
  std::string file;
  std::string format = "text";
  std::string directory;
  bool ignored = false;
  Args args("context ls [OPTIONS] [PATH]",
            "List the files of a build context, sorted by path, and the rule "
            "of the ignore file that decided.");
  args.Value("-f,--file", &file, "FILE",
             "the Dockerfile: FILE.dockerignore goes before .dockerignore");
  args.Flag("--ignored", &ignored,
            "list what is left out instead; a directory stands for all of it");
  args.Value("--format", &format, "FORMAT", "text or json (both lists)");
  args.Positional("PATH", &directory, false,
                  "the context's directory (default: .)");
  if (!args.Parse(words)) return 0;
  if (format != "text" && format != "json") {
    throw Error(ErrorCode::kUsage,
                fmt::format("unknown --format {}", Quoted(format)))
        .WithHint("the formats are text and json");
  }
  const Listing listing =
      ReadListing(app, directory.empty() ? "." : directory, file);
  if (format == "json") {
    PrintJson(listing);
  } else {
    PrintText(listing, ignored);
  }
  return 0;
}

}  // namespace

int ContextCommand(App& app, const Words& words) {
  if (!words.empty() && words[0] == "ls") {
    return ListCommand(app, Words(words.begin() + 1, words.end()));
  }
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    return ListCommand(app, {"--help"});
  }
  throw Error(ErrorCode::kUsage, words.empty()
                                     ? "context needs a command"
                                     : "unknown command: context " + words[0])
      .WithHint("the command is: imgbuild context ls [PATH]");
}

}  // namespace imgbuild::cli
