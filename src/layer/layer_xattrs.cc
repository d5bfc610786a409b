#include "layer/layer_xattrs.h"

#include <string_view>

namespace imgbuild::layer {
namespace {

bool BelongsInLayer(std::string_view key) {
  return (key.starts_with("user.") && !key.starts_with("user.overlay.")) ||
         key == "security.capability" || key.starts_with("system.posix_acl_");
}

}  // namespace

std::map<std::string, std::string> OnlyForLayers(
    std::map<std::string, std::string> xattrs) {
  std::erase_if(xattrs,
                [](const auto& item) { return !BelongsInLayer(item.first); });
  return xattrs;
}

}  // namespace imgbuild::layer
