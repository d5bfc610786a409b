// The images of the store as rows of `images`, and what its filters leave.
#ifndef IMGBUILD_CLI_IMAGE_ROWS_H_
#define IMGBUILD_CLI_IMAGE_ROWS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/list_filter.h"

namespace imgbuild::cli {

// One name of an image. A digest link is a row of its own only where no tag of
// the repository stands for the same digest; an image without any name is one
// row. Only such an image is dangling: one that is pinned by digest is not.
struct ImageRow {
  std::string repository = "<none>";
  std::string tag = "<none>";
  std::string digest;  // of the name's target; never empty
  const store::ImageRecord* image = nullptr;

  bool dangling() const { return repository == "<none>"; }
};

// Rows of all images, the one made last first; of those made at the same time
// the one that came last. They point into `images`.
std::vector<ImageRow> RowsOf(const std::vector<store::NamedImage>& images);

// `images REPOSITORY[:TAG]` and --filter reference=: a name, a name with a
// digest, or a pattern of path.Match.
bool MatchesReference(const ImageRow& row, const std::string& pattern);

// When an image was made: what its config says, else when it came.
int64_t CreatedOf(const store::ImageRecord& image);

// The keys that `images --filter` takes.
const std::vector<std::string>& ImageFilterKeys();
// Rows that pass `filter` and, unless it is empty, match `pattern`. Throws
// Error(kFailed) when before=, since= or until= cannot be understood.
std::vector<ImageRow> FilterRows(App& app, std::vector<ImageRow> rows,
                                 const ListFilter& filter,
                                 const std::string& pattern, int64_t now_s);

// The labels of an image's config; none when the config is gone.
std::map<std::string, std::string> LabelsOf(App& app,
                                            const store::ImageRecord& image);

// "2026-11-25 14:45:06 +0000 UTC", in this machine's time zone.
std::string LocalTime(int64_t seconds);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_ROWS_H_
