// `--format` of the commands that list things (ps, images, history, system df):
// `table`, `table TEMPLATE`, `json`, or a template for each row. A row is an
// object of documented keys; headers are the columns' names.
#ifndef IMGBUILD_CLI_LIST_FORMAT_H_
#define IMGBUILD_CLI_LIST_FORMAT_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/go_template.h"

namespace imgbuild::cli {

using Json = nlohmann::ordered_json;

class ListFormat {
 public:
  // `headers`: what stands above each key: {"ID", "CONTAINER ID"}. A key that a
  // row has and this has not can be used by templates but not by tables.
  using Headers = std::map<std::string, std::string>;

  // `format` is what the user gave, "" for `table_default`, which is a
  // "table …" format itself. `\t` and `\n` written in it are what they say.
  // Throws Error(kFailed).
  ListFormat(const std::string& format, const std::string& table_default,
             Headers headers);

  bool is_table() const { return table_; }
  // Keys that the format mentions by name: dear ones (Size) need only be
  // worked out when they are asked for. `json` mentions all.
  bool Mentions(const std::string& key) const;

  // Rows in order, each line ended; a table also has its header.
  std::string Render(const std::vector<Json>& rows,
                     const TemplateShape& shape = {}) const;
  // The same where each row has methods of its own.
  std::string Render(const std::vector<Json>& rows,
                     const std::vector<TemplateShape>& shapes) const;

 private:
  std::string RenderRow(const Json& row, const TemplateShape& shape) const;

  bool table_ = false;
  bool json_ = false;
  std::string text_;
  Headers headers_;
  std::optional<GoTemplate> template_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LIST_FORMAT_H_
