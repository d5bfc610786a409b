// Which extended attributes an entry may have.
#ifndef IMGBUILD_SRC_LAYER_LAYER_XATTRS_H_
#define IMGBUILD_SRC_LAYER_LAYER_XATTRS_H_

#include <map>
#include <string>

namespace imgbuild::layer {

// user.*, security.capability and POSIX ACLs. Labels such as security.selinux
// belong to the host, overlay's own attributes to its mounts.
std::map<std::string, std::string> OnlyForLayers(
    std::map<std::string, std::string> xattrs);

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_LAYER_XATTRS_H_
