#include <fmt/format.h>

#include "imgbuild/plan/cache_key.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

void Delimited(oci::Hasher& hasher, std::string_view text) {
  hasher.Update(fmt::format("{}:", text.size()));
  hasher.Update(text);
}

std::string Escape(std::string_view value) {
  std::string out;
  for (const char c : value) {
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    ++i;
    out += text[i] == 'n' ? '\n' : text[i] == 'r' ? '\r' : text[i];
  }
  return out;
}

}  // namespace

void Recipe::Add(std::string_view tag, std::string_view value) {
  fields_.emplace_back(tag, value);
}

oci::Digest Recipe::Digest() const {
  oci::Hasher hasher;
  Delimited(hasher, "imgbuild-recipe");
  Delimited(hasher, std::to_string(kRecipeVersion));
  for (const auto& [tag, value] : fields_) {
    Delimited(hasher, tag);
    Delimited(hasher, value);
  }
  return hasher.Finish();
}

std::string Recipe::Text() const {
  std::string out;
  for (const auto& [tag, value] : fields_) {
    out += tag + " " + Escape(value) + "\n";
  }
  return out;
}

Recipe Recipe::Parse(std::string_view text) {
  Recipe recipe;
  for (const std::string& line : Split(text, '\n')) {
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    recipe.Add(line.substr(0, space),
               Unescape(std::string_view(line).substr(space + 1)));
  }
  return recipe;
}

}  // namespace imgbuild::plan
