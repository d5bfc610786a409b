// Findings as SARIF 2.1.0, the format that code-scanning services and editors
// read. One run, the program as its tool, only what readers use: small enough
// to be read by people.
#ifndef IMGBUILD_CLI_SARIF_H_
#define IMGBUILD_CLI_SARIF_H_

#include <string>
#include <vector>

#include "imgbuild/util/source.h"

namespace imgbuild::cli {

struct SarifRule {
  std::string id;           // "StageNameCasing"
  std::string description;  // one sentence
  std::string help;         // plain text, any length; may be empty
  std::string help_uri;     // may be empty
};

enum class SarifLevel { kNote, kWarning, kError };

struct SarifResult {
  std::string rule_id;  // of one of the rules
  SarifLevel level = SarifLevel::kWarning;
  std::string message;
  // Where: `file` alone, or with a place in it. A range that has a file needs
  // no `file`. Both empty: about no place.
  std::string file;
  SourceRange range;
};

// The whole document, indented, ended by '\n'. Only rules that a result names
// are written, in the order given. Bytes that are not UTF-8 become U+FFFD;
// columns count code points, as the document says.
std::string ToSarif(const std::vector<SarifRule>& rules,
                    const std::vector<SarifResult>& results);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_SARIF_H_
