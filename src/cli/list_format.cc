#include "cli/list_format.h"

#include <algorithm>

#include "imgbuild/util/strings.h"

#include "cli/go_printf.h"
#include "cli/table.h"

namespace imgbuild::cli {
namespace {

// A shell's '\t' arrives as two characters.
std::string Unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] == '\\' && (next == 't' || next == 'n')) {
      out += next == 't' ? '\t' : '\n';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

ListFormat::ListFormat(const std::string& format,
                       const std::string& table_default, Headers headers)
    : headers_(std::move(headers)) {
  text_ = format.empty() || format == "table" ? table_default : format;
  if (text_ == "json") {
    json_ = true;
    return;
  }
  table_ = text_.starts_with("table ") || text_.starts_with("table\t");
  if (table_) text_ = std::string(Trim(text_.substr(5)));
  text_ = Unescape(text_);
  template_ = GoTemplate::Parse(text_);
}

bool ListFormat::Mentions(const std::string& key) const {
  if (json_) return true;
  const std::string field = "." + key;
  for (size_t at = text_.find(field); at != std::string::npos;
       at = text_.find(field, at + 1)) {
    const size_t end = at + field.size();
    const char next = end < text_.size() ? text_[end] : ' ';
    if (!std::isalnum(static_cast<unsigned char>(next))) return true;
  }
  return text_.find("json .") != std::string::npos ||
         text_.find("{{.}}") != std::string::npos;
}

std::string ListFormat::RenderRow(const Json& row,
                                  const TemplateShape& shape) const {
  if (!json_) return template_->Execute(row, shape);
  Json sorted = Json::object();
  for (const std::string& key : go_template::SortedKeys(row)) {
    sorted[key] = row.at(key);
  }
  return sorted.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ListFormat::Render(const std::vector<Json>& rows,
                               const TemplateShape& shape) const {
  return Render(rows, std::vector<TemplateShape>(rows.size(), shape));
}

std::string ListFormat::Render(const std::vector<Json>& rows,
                               const std::vector<TemplateShape>& shapes) const {
  std::string out;
  if (!table_) {
    for (size_t i = 0; i < rows.size(); ++i) {
      out += RenderRow(rows[i], shapes[i]) + "\n";
    }
    return out;
  }
  Json header = Json::object();
  for (const auto& [key, title] : headers_) header[key] = title;
  TemplateShape shape;
  shape.header = true;
  shape.methods["Label"] = [](const std::vector<Json>& words) {
    // com.example.build-date: its last part, in capitals.
    std::string name = words.at(0).get<std::string>();
    name = name.substr(name.find_last_of('.') + 1);
    for (char& c : name) {
      c = c == '-' || c == '_'
              ? ' '
              : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return Json(name);
  };
  Table table(Split(template_->Execute(header, shape), '\t'));
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const std::string& line :
         Split(template_->Execute(rows[i], shapes[i]), '\n')) {
      table.Add(Split(line, '\t'));
    }
  }
  return table.ToString();
}

}  // namespace imgbuild::cli
