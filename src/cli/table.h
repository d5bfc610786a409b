// Columns as Docker prints them: left-aligned, three blanks between.
#ifndef IMGBUILD_CLI_TABLE_H_
#define IMGBUILD_CLI_TABLE_H_

#include <string>
#include <vector>

namespace imgbuild::cli {

class Table {
 public:
  explicit Table(std::vector<std::string> header) { Add(std::move(header)); }
  void Add(std::vector<std::string> cells) {
    rows_.push_back(std::move(cells));
  }
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_TABLE_H_
