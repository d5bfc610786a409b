#include "cli/source_json.h"

#include <algorithm>

namespace imgbuild::cli {

using Json = nlohmann::ordered_json;

Json LocationOf(const SourceRange& range, Sources& sources) {
  Json location = Json::object();
  if (!range) return location;
  auto source = std::ranges::find(sources, range.file());
  if (source == sources.end()) source = sources.insert(source, range.file());
  if (source != sources.begin()) {
    location["sourceIndex"] = source - sources.begin();
  }
  for (uint32_t line = range.begin().line;
       line <= std::max(range.begin().line, range.end().line); ++line) {
    location["ranges"].push_back(
        {{"start", {{"line", line}}}, {"end", {{"line", line}}}});
  }
  return location;
}

std::string DumpJson(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string DumpGoJson(const Json& document) {
  std::string out;
  for (const char c : DumpJson(document)) {
    switch (c) {  // these stand in texts alone
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace imgbuild::cli
