#include "cli/lint_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/sarif.h"
#include "cli/source_json.h"
#include "registry/base64.h"

namespace imgbuild::cli {
namespace {

using dockerfile::Finding;
using dockerfile::Rule;
using dockerfile::RuleId;
using Json = nlohmann::ordered_json;

constexpr char kBuildError[] = "BuildError";
constexpr char kRuler[] = "--------------------\n";

// A line of the file for a terminal: no control characters but tabs.
std::string Shown(std::string_view line) {
  std::string out(line);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7F) c = '?';
  }
  return out;
}

// The lines [first, last] marked, with as many around them as BuildKit shows:
// up to four for a single line, about two for several.
std::string Excerpt(const SourceFile& file, uint32_t first, uint32_t last) {
  // What stands behind the last line end counts as a line, empty or not.
  const uint32_t end_of_file =
      file.line_count() + (file.text().ends_with('\n') ? 1 : 0);
  const int pad = first == last ? 4 : 2;
  uint32_t from = first;
  uint32_t to = last;
  for (int shown = 0; shown < pad; ++shown) {
    const bool at_both_ends = from <= 1 && to >= end_of_file;
    if (at_both_ends) break;
    if (from > 1) {
      --from;
      ++shown;
    }
    if (to < end_of_file) {
      ++to;
      ++shown;
    }
  }
  std::string out = kRuler;
  for (uint32_t line = from; line <= to; ++line) {
    out += fmt::format(" {:3} | {} {}\n", line,
                       line >= first && line <= last ? ">>>" : "   ",
                       Shown(file.Line(line)));
  }
  return out + kRuler;
}

// File by file, as they were first met (a Dockerfile may include others).
std::vector<Finding> ByLine(std::vector<Finding> findings) {
  std::map<const SourceFile*, size_t> order;
  for (const Finding& finding : findings) {
    order.try_emplace(finding.range.file().get(), order.size());
  }
  std::ranges::stable_sort(findings, {}, [&](const Finding& finding) {
    return std::pair(order.at(finding.range.file().get()),
                     finding.range.begin().line);
  });
  return findings;
}

std::vector<std::string> UnjudgedRules() {
  std::vector<std::string> names;
  for (const RuleId rule : plan::RulesThatNeedBases()) {
    names.emplace_back(dockerfile::RuleOf(rule).name);
  }
  return names;
}

SarifLevel LevelOf(RuleId rule) {
  switch (rule) {
    case RuleId::kLockMismatch:
      return SarifLevel::kError;
    case RuleId::kChownAfterCopy:
    case RuleId::kUnusedStage:
    case RuleId::kUnusedArg:
    case RuleId::kUnknownRule:
      return SarifLevel::kNote;
    default:
      return SarifLevel::kWarning;
  }
}

std::string Indented(std::string_view text, std::string_view margin) {
  std::string out;
  for (const std::string& line : Split(text, '\n')) {
    out += line.empty() ? "\n" : fmt::format("{}{}\n", margin, line);
  }
  return out;
}

// Words of a paragraph in lines of at most 78 characters.
std::string Wrapped(std::string_view text) {
  std::string out;
  size_t column = 0;
  for (const std::string& word : Split(text, ' ')) {
    if (column > 0 && column + 1 + word.size() > 78) {
      out += '\n';
      column = 0;
    }
    if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

}  // namespace

std::string CheckText(const CheckResult& result) {
  if (result.findings.empty()) return "Check complete, no warnings found.\n";
  std::string out =
      result.findings.size() == 1
          ? "Check complete, 1 warning has been found!\n"
          : fmt::format("Check complete, {} warnings have been found!\n",
                        result.findings.size());
  for (const Finding& finding : ByLine(result.findings)) {
    const Rule& rule = dockerfile::RuleOf(finding.rule);
    out += fmt::format("\nWARNING: {}", rule.name);
    if (!rule.url.empty()) out += fmt::format(" - {}", rule.url);
    out += "\n" + finding.message + "\n";
    if (!finding.range) continue;
    const SourceFile& file = *finding.range.file();
    const uint32_t first = finding.range.begin().line;
    out += fmt::format("{}:{}\n", file.name(), first);
    out += Excerpt(file, first, std::max(first, finding.range.end().line));
  }
  return out;
}

std::string CheckJson(const CheckResult& result) {
  Sources sources = {result.source};
  Json document;
  document["warnings"] = nullptr;
  for (const Finding& finding : result.findings) {
    const Rule& rule = dockerfile::RuleOf(finding.rule);
    Json node = {{"ruleName", rule.name}, {"description", rule.description}};
    if (!rule.url.empty()) node["url"] = rule.url;
    node["detail"] = finding.message;
    node["location"] = LocationOf(finding.range, sources);
    document["warnings"].push_back(std::move(node));
  }
  document["sources"] = nullptr;  // its place, behind the warnings
  if (result.error) {
    document["buildError"] = {
        {"message", result.error->message()},
        {"location", LocationOf(result.error->range(), sources)}};
  }
  for (const plan::UnresolvedImage& image : result.unresolved) {
    document["unjudged"].push_back({{"image", image.name.Familiar()},
                                    {"reason", image.error.message()},
                                    {"rules", UnjudgedRules()}});
  }
  for (const auto& source : sources) {
    document["sources"].push_back(
        {{"filename", source->name()},
         {"data", registry::Base64Encode(source->text())},
         {"language", "Dockerfile"}});
  }
  return DumpJson(document);
}

std::string CheckSarif(const CheckResult& result) {
  std::vector<SarifRule> rules;
  for (const Rule& rule : dockerfile::Rules()) {
    rules.push_back({std::string(rule.name), std::string(rule.description),
                     RulePage(rule), std::string(rule.url)});
  }
  rules.push_back({kBuildError, "The Dockerfile cannot be built", "", ""});
  std::vector<SarifResult> results;
  for (const Finding& finding : ByLine(result.findings)) {
    results.push_back({std::string(dockerfile::RuleOf(finding.rule).name),
                       LevelOf(finding.rule), finding.message,
                       result.source->name(),
                       finding.focus ? finding.focus : finding.range});
  }
  if (result.error) {
    results.push_back({kBuildError, SarifLevel::kError, result.error->message(),
                       result.source->name(), result.error->range()});
  }
  return ToSarif(rules, results);
}

std::string UnjudgedNote(const CheckResult& result) {
  std::string out;
  for (const plan::UnresolvedImage& image : result.unresolved) {
    out += fmt::format("note: {} could not be had: {}\n", image.name.Familiar(),
                       image.error.message());
  }
  if (!out.empty()) {
    out += fmt::format("note: not judged for what stands on {}: {}\n",
                       result.unresolved.size() == 1 ? "it" : "them",
                       Join(UnjudgedRules(), ", "));
  }
  return out;
}

std::string OneLine(const Finding& finding) {
  std::string out = fmt::format("{}: {}", dockerfile::RuleOf(finding.rule).name,
                                finding.message);
  if (finding.range) {
    out += fmt::format(" (line {})", finding.range.begin().line);
  }
  return out;
}

std::string BuildSummary(const std::vector<Finding>& findings, bool color) {
  if (findings.empty()) return "";
  std::string out = fmt::format(
      "\n {}{} warning{} found{} (imgbuild check explains {}):\n",
      color ? "\033[33m" : "", findings.size(), findings.size() == 1 ? "" : "s",
      color ? "\033[0m" : "", findings.size() == 1 ? "it" : "them");
  for (const Finding& finding : ByLine(findings)) {
    out += fmt::format(" - {}\n", OneLine(finding));
    if (!finding.range) continue;
    const uint32_t line = finding.range.begin().line;
    std::string text = Shown(Trim(finding.range.file()->Line(line)));
    constexpr size_t kMost = 100;
    if (text.size() > kMost) {
      size_t cut = kMost;
      while (cut > 0 && (text[cut] & 0xC0) == 0x80) --cut;  // whole characters
      text = text.substr(0, cut) + "…";
    }
    out += fmt::format("   {:3} | {}\n", line, text);
  }
  return out;
}

std::string RulePage(const Rule& rule) {
  std::string out = fmt::format("{}\n\n{}\n", rule.name,
                                Wrapped(std::string(rule.description) + "."));
  if (out.ends_with("..\n\n")) out.erase(out.size() - 3, 1);
  out += Wrapped(fmt::format("Fires when: {}", rule.fires)) + "\n";
  out += Wrapped(fmt::format("Why: {}", rule.why)) + "\n";
  out += "Bad:\n" + Indented(rule.bad, "    ") + "\n";
  out += "Good:\n" + Indented(rule.good, "    ");
  std::string off = fmt::format(
      "\nTo silence it: `# check=skip={}` at the top of the Dockerfile, or "
      "right above the instruction.",
      rule.name);
  if (rule.experimental) {
    off = fmt::format(
        "\nIt is experimental: `# check=experimental={}` at the top of the "
        "Dockerfile turns it on.",
        rule.name);
  } else if (rule.check_only) {
    off += " Ordinary builds do not report it.";
  }
  out += Wrapped(off);
  if (!rule.url.empty()) out += fmt::format("More: {}\n", rule.url);
  return out;
}

std::string RuleList() {
  std::string out;
  for (const Rule& rule : dockerfile::Rules()) {
    std::string sentence(rule.description);
    // The first sentence says enough here.
    if (const size_t dot = sentence.find(". "); dot != std::string::npos) {
      sentence.resize(dot);
    }
    out += fmt::format("{:<32} {}{}\n", rule.name, sentence,
                       rule.experimental ? " (experimental)" : "");
  }
  return out;
}

}  // namespace imgbuild::cli
