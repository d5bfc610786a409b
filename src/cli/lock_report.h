// What `lock` commands say, as text, JSON, SARIF or Markdown.
#ifndef IMGBUILD_CLI_LOCK_REPORT_H_
#define IMGBUILD_CLI_LOCK_REPORT_H_

#include <string>
#include <vector>

#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/update.h"

namespace imgbuild::cli {

struct FileChanges {
  std::string lock_path;
  std::vector<lock::Change> changes;
  std::vector<lock::Finding> unused;
  size_t entries = 0;
  bool written = false;
};

struct FileFindings {
  std::string path;
  std::string lock_path;
  std::vector<lock::Finding> findings;
};

// "debian:12" for an image, what it is called otherwise.
std::string ShownName(lock::Kind kind, const std::string& name);
// "sha256:0123456789ab", "0123456789ab" of a commit.
std::string ShownDigest(const std::string& digest);

// FORMAT: text, json, markdown.
std::string ReportChanges(const std::vector<FileChanges>& files,
                          const std::string& format);
// FORMAT: text, json, sarif, markdown.
std::string ReportFindings(const std::vector<FileFindings>& files,
                           const std::string& format);

// 0: all is well (unused entries too); 6: moved, stale, conflict, drift; 4:
// nothing worse than a digest that is gone.
int StatusOf(const std::vector<FileFindings>& files);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LOCK_REPORT_H_
