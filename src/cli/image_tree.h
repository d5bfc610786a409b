// `images --tree`: each digest with its names, and below an index its
// platforms, those that are here and those that are not.
#ifndef IMGBUILD_CLI_IMAGE_TREE_H_
#define IMGBUILD_CLI_IMAGE_TREE_H_

#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/image_rows.h"

namespace imgbuild::cli {

std::string ImageTree(App& app, const std::vector<ImageRow>& rows,
                      bool no_trunc);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_TREE_H_
