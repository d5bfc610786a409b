#include "cli/lock_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/oci/reference.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/sarif.h"
#include "cli/table.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;
using lock::Change;
using lock::Finding;
using lock::State;

std::string_view Word(Change::What what) {
  switch (what) {
    case Change::What::kAdded:
      return "added";
    case Change::What::kUpdated:
      return "updated";
    case Change::What::kRemoved:
      return "removed";
  }
  return "";
}

// "index changed, linux/amd64 unchanged".
std::string PlatformNote(const Change& change) {
  std::vector<std::string> parts;
  if (change.what == Change::What::kAdded) {
    return Join(change.added_platforms, ", ");
  }
  if (change.before != change.after && change.changed_platforms.empty() &&
      !change.unchanged_platforms.empty()) {
    parts.push_back("index changed, " + Join(change.unchanged_platforms, ", ") +
                    " unchanged");
  } else if (!change.changed_platforms.empty() &&
             !change.unchanged_platforms.empty()) {
    parts.push_back(Join(change.changed_platforms, ", ") + " changed, " +
                    Join(change.unchanged_platforms, ", ") + " unchanged");
  }
  if (!change.added_platforms.empty()) {
    parts.push_back("added " + Join(change.added_platforms, ", "));
  }
  if (!change.removed_platforms.empty()) {
    parts.push_back("dropped " + Join(change.removed_platforms, ", "));
  }
  return Join(parts, "; ");
}

std::string Digests(const std::string& before, const std::string& after) {
  if (before.empty() || before == after) return ShownDigest(after);
  if (after.empty()) return ShownDigest(before);
  return ShownDigest(before) + " → " + ShownDigest(after);
}

size_t Count(const FileChanges& file, Change::What what) {
  return static_cast<size_t>(
      std::ranges::count(file.changes, what, &Change::what));
}

std::string Aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      // The arrow is one column in three bytes.
      size_t width = 0;
      for (const char c : row[i]) width += (c & 0xc0) != 0x80 ? 1 : 0;
      widths[i] = std::max(widths[i], width);
    }
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i) {
      size_t width = 0;
      for (const char c : row[i]) width += (c & 0xc0) != 0x80 ? 1 : 0;
      line += " " + row[i] + std::string(widths[i] - width + 1, ' ');
    }
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
  }
  return out;
}

std::string ChangesAsText(const std::vector<FileChanges>& files) {
  std::string out;
  for (const FileChanges& file : files) {
    std::vector<std::vector<std::string>> rows;
    for (const Change& change : file.changes) {
      rows.push_back(
          {std::string(Word(change.what)), ShownName(change.kind, change.name),
           Digests(change.before, change.after), PlatformNote(change)});
    }
    for (const Finding& unused : file.unused) {
      rows.push_back({"unused", ShownName(unused.kind, unused.name),
                      ShownDigest(unused.before),
                      "`imgbuild lock prune` drops it"});
    }
    const size_t added = Count(file, Change::What::kAdded);
    const size_t updated = Count(file, Change::What::kUpdated);
    const size_t removed = Count(file, Change::What::kRemoved);
    out += fmt::format("{}: {} name{} locked", file.lock_path, file.entries,
                       file.entries == 1 ? "" : "s");
    if (added > 0) out += fmt::format(", {} added", added);
    if (updated > 0) out += fmt::format(", {} updated", updated);
    if (removed > 0) out += fmt::format(", {} removed", removed);
    if (!file.written) {
      out += file.changes.empty() ? " (unchanged)" : " (not written)";
    }
    out += "\n" + Aligned(rows);
  }
  return out;
}

Json ToJson(const Change& change) {
  return {{"what", Word(change.what)},
          {"kind", lock::ToString(change.kind)},
          {"name", change.name},
          {"before", change.before},
          {"after", change.after},
          {"platforms",
           {{"changed", change.changed_platforms},
            {"unchanged", change.unchanged_platforms},
            {"added", change.added_platforms},
            {"removed", change.removed_platforms}}}};
}

std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

// A cell of a Markdown table.
std::string Cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string ChangesAsMarkdown(const std::vector<FileChanges>& files) {
  std::string out;
  for (const FileChanges& file : files) {
    out += fmt::format("### {}\n\n", file.lock_path);
    if (file.changes.empty()) {
      out += "Nothing changed.\n\n";
      continue;
    }
    out += "| | name | before | after | |\n|---|---|---|---|---|\n";
    for (const Change& change : file.changes) {
      const auto code = [](const std::string& text) {
        return text.empty() ? "" : "`" + ShownDigest(text) + "`";
      };
      out += fmt::format("| {} | `{}` | {} | {} | {} |\n", Word(change.what),
                         Cell(ShownName(change.kind, change.name)),
                         code(change.before), code(change.after),
                         Cell(PlatformNote(change)));
    }
    out += "\n";
  }
  return out;
}

bool IsProblem(State state) {
  return state != State::kFresh && state != State::kPinned;
}

std::string Place(const Finding& finding) {
  return finding.range ? finding.range.ToString() : "";
}

std::string FindingsAsText(const std::vector<FileFindings>& files) {
  std::string out;
  for (const FileFindings& file : files) {
    std::vector<std::vector<std::string>> rows;
    std::map<State, size_t> counts;
    for (const Finding& finding : file.findings) {
      ++counts[finding.state];
      rows.push_back({std::string(lock::ToString(finding.state)),
                      ShownName(finding.kind, finding.name),
                      finding.state == State::kStale
                          ? "-"
                          : Digests(finding.before, finding.after),
                      finding.message,
                      IsProblem(finding.state) ? Place(finding) : ""});
    }
    std::vector<std::string> words;
    for (const auto& [state, count] : counts) {
      words.push_back(fmt::format("{} {}", count, lock::ToString(state)));
    }
    out += fmt::format("{}: {}\n", file.lock_path,
                       words.empty() ? "no names" : Join(words, ", "));
    out += Aligned(rows);
  }
  return out;
}

std::string FindingsAsJson(const std::vector<FileFindings>& files) {
  Json out = Json::array();
  for (const FileFindings& file : files) {
    Json list = Json::array();
    for (const Finding& finding : file.findings) {
      Json one = {{"state", lock::ToString(finding.state)},
                  {"kind", lock::ToString(finding.kind)},
                  {"name", finding.name},
                  {"before", finding.before},
                  {"after", finding.after},
                  {"message", finding.message},
                  {"unchanged_platforms", finding.unchanged_platforms}};
      if (finding.range) {
        one["file"] = finding.range.file()->name();
        one["line"] = finding.range.begin().line;
        one["column"] = finding.range.begin().column;
      }
      list.push_back(std::move(one));
    }
    out.push_back({{"dockerfile", file.path},
                   {"lock", file.lock_path},
                   {"findings", std::move(list)}});
  }
  return Dump(out);
}

std::string FindingsAsMarkdown(const std::vector<FileFindings>& files) {
  std::string out;
  for (const FileFindings& file : files) {
    out += fmt::format("### {}\n\n", file.lock_path);
    out += "| state | name | locked | now | |\n|---|---|---|---|---|\n";
    for (const Finding& finding : file.findings) {
      const auto code = [](const std::string& text) {
        return text.empty() ? "" : "`" + ShownDigest(text) + "`";
      };
      out += fmt::format(
          "| {} | `{}` | {} | {} | {} |\n", lock::ToString(finding.state),
          Cell(ShownName(finding.kind, finding.name)), code(finding.before),
          code(finding.after), Cell(finding.message));
    }
    out += "\n";
  }
  return out;
}

const std::vector<SarifRule>& Rules() {
  static const std::vector<SarifRule> rules = {
      {"lock-moved", "A locked name stands for another digest now.",
       "`imgbuild lock --update NAME` takes it.", ""},
      {"lock-gone", "A locked digest cannot be had any more.",
       "`imgbuild lock --update NAME` takes what the name stands for now.", ""},
      {"lock-stale", "The Dockerfile has a name that the lock has not.",
       "`imgbuild lock` adds it.", ""},
      {"lock-unused", "The lock has a name that the Dockerfile has not.",
       "`imgbuild lock prune` drops it.", ""},
      {"lock-conflict", "The Dockerfile's own digest differs from the lock's.",
       "`imgbuild lock --update NAME` takes the Dockerfile's.", ""},
      {"lock-drift", "The same digest was answered with other bytes.",
       "Do not build before you know why.", ""},
  };
  return rules;
}

// Stands alone: a reader of annotations sees neither the name nor the digests
// beside it.
std::string Sentence(const Finding& finding) {
  std::string out = ShownName(finding.kind, finding.name);
  if (!finding.message.empty() &&
      finding.message.find(out) != std::string::npos) {
    return finding.message;
  }
  if (!finding.before.empty() && !finding.after.empty()) {
    out += fmt::format(": {} → {}", ShownDigest(finding.before),
                       ShownDigest(finding.after));
  }
  if (!finding.message.empty()) out += ": " + finding.message;
  return out;
}

std::string FindingsAsSarif(const std::vector<FileFindings>& files) {
  std::vector<SarifResult> results;
  for (const FileFindings& file : files) {
    for (const Finding& finding : file.findings) {
      if (!IsProblem(finding.state)) continue;
      SarifResult result;
      result.rule_id = fmt::format("lock-{}", lock::ToString(finding.state));
      result.level = finding.state == State::kUnused  ? SarifLevel::kNote
                     : finding.state == State::kMoved ? SarifLevel::kWarning
                                                      : SarifLevel::kError;
      result.message = Sentence(finding);
      result.file = file.path;
      result.range = finding.range;
      results.push_back(std::move(result));
    }
  }
  return ToSarif(Rules(), results);
}

}  // namespace

std::string ShownName(lock::Kind kind, const std::string& name) {
  if (kind != lock::Kind::kImage && kind != lock::Kind::kFrontend) return name;
  const auto reference = oci::Reference::TryParse(name);
  if (!reference) return name;
  if (!reference->digest()) return reference->Familiar();
  return reference->repository().Familiar() + "@" +
         ShownDigest(reference->digest()->ToString());
}

std::string ShownDigest(const std::string& digest) {
  const size_t colon = digest.find(':');
  return digest.substr(0, (colon == std::string::npos ? 0 : colon + 1) + 12);
}

std::string ReportChanges(const std::vector<FileChanges>& files,
                          const std::string& format) {
  if (format == "markdown") return ChangesAsMarkdown(files);
  if (format != "json") return ChangesAsText(files);
  Json out = Json::array();
  for (const FileChanges& file : files) {
    Json list = Json::array();
    for (const Change& change : file.changes) list.push_back(ToJson(change));
    Json unused = Json::array();
    for (const Finding& finding : file.unused) unused.push_back(finding.name);
    out.push_back({{"lock", file.lock_path},
                   {"entries", file.entries},
                   {"written", file.written},
                   {"changes", std::move(list)},
                   {"unused", std::move(unused)}});
  }
  return Dump(out);
}

std::string ReportFindings(const std::vector<FileFindings>& files,
                           const std::string& format) {
  if (format == "json") return FindingsAsJson(files);
  if (format == "sarif") return FindingsAsSarif(files);
  if (format == "markdown") return FindingsAsMarkdown(files);
  return FindingsAsText(files);
}

int StatusOf(const std::vector<FileFindings>& files) {
  int status = 0;
  for (const FileFindings& file : files) {
    for (const Finding& finding : file.findings) {
      switch (finding.state) {
        case State::kFresh:
        case State::kPinned:
        case State::kUnused:
          break;
        case State::kGone:
          if (status == 0) status = 4;
          break;
        case State::kMoved:
        case State::kStale:
        case State::kConflict:
        case State::kDrift:
          status = 6;
          break;
      }
    }
  }
  return status;
}

}  // namespace imgbuild::cli
