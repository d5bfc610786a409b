#include "cli/sarif.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/version.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* LevelName(SarifLevel level) {
  switch (level) {
    case SarifLevel::kNote:
      return "note";
    case SarifLevel::kError:
      return "error";
    case SarifLevel::kWarning:
      break;
  }
  return "warning";
}

// A path as a relative or absolute URI reference.
std::string UriOf(std::string_view path) {
  constexpr char kHex[] = "0123456789ABCDEF";
  while (path.starts_with("./")) path.remove_prefix(2);
  std::string out = path.starts_with('/') ? "file://" : "";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 ||
        std::string_view("/-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

// The 1-based code point column of a 1-based byte column.
uint32_t CodePointColumn(const SourceFile& file, SourcePos pos) {
  const std::string_view line = file.Line(pos.line).substr(
      0, pos.column > 0
             ? std::min<size_t>(pos.column - 1, file.Line(pos.line).size())
             : 0);
  return static_cast<uint32_t>(std::ranges::count_if(
             line, [](char c) { return (c & 0xC0) != 0x80; })) +
         1;
}

Json Region(const SourceRange& range) {
  const SourceFile& file = *range.file();
  Json region = {{"startLine", range.begin().line},
                 {"startColumn", CodePointColumn(file, range.begin())}};
  if (range.end() > range.begin()) {
    region["endLine"] = range.end().line;
    region["endColumn"] = CodePointColumn(file, range.end());
  }
  return region;
}

Json Location(const SarifResult& result) {
  Json physical;
  physical["artifactLocation"] = {
      {"uri", UriOf(result.range ? result.range.file()->name() : result.file)}};
  if (result.range) physical["region"] = Region(result.range);
  return {{"physicalLocation", physical}};
}

}  // namespace

std::string ToSarif(const std::vector<SarifRule>& rules,
                    const std::vector<SarifResult>& results) {
  std::map<std::string_view, size_t> index;
  Json rule_list = Json::array();
  for (const SarifRule& rule : rules) {
    const auto names = [&](const SarifResult& r) {
      return r.rule_id == rule.id;
    };
    if (std::ranges::none_of(results, names)) continue;
    index.emplace(rule.id, rule_list.size());
    Json node = {{"id", rule.id},
                 {"shortDescription", {{"text", rule.description}}}};
    if (!rule.help.empty()) node["help"] = {{"text", rule.help}};
    if (!rule.help_uri.empty()) node["helpUri"] = rule.help_uri;
    rule_list.push_back(std::move(node));
  }
  Json result_list = Json::array();
  for (const SarifResult& result : results) {
    Json node = {{"ruleId", result.rule_id}};
    if (const auto at = index.find(result.rule_id); at != index.end()) {
      node["ruleIndex"] = at->second;
    }
    node["level"] = LevelName(result.level);
    node["message"] = {{"text", result.message}};
    if (result.range || !result.file.empty()) {
      node["locations"] = Json::array({Location(result)});
    }
    result_list.push_back(std::move(node));
  }
  const Json document = {
      {"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
      {"version", "2.1.0"},
      {"runs", Json::array({{{"tool",
                              {{"driver",
                                {{"name", "imgbuild"},
                                 {"version", kVersion},
                                 {"rules", rule_list}}}}},
                             {"columnKind", "unicodeCodePoints"},
                             {"results", result_list}}})}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace imgbuild::cli
