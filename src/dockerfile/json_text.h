// The strings of a JSON array that the grammar has already found valid.
#ifndef IMGBUILD_DOCKERFILE_JSON_TEXT_H_
#define IMGBUILD_DOCKERFILE_JSON_TEXT_H_

#include <string>
#include <string_view>

namespace imgbuild::dockerfile {

// `literal` with its quotes. Escapes are decoded to UTF-8; half a surrogate
// pair and bytes that are no UTF-8 become U+FFFD.
std::string DecodeJsonString(std::string_view literal);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_JSON_TEXT_H_
