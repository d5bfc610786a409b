// A word of a Dockerfile that names an image, in the pieces that pinning
// must tell apart: what is written and what comes from which variable.
#ifndef IMGBUILD_SRC_LOCK_NAME_PARTS_H_
#define IMGBUILD_SRC_LOCK_NAME_PARTS_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::lock {

struct NamePart {
  std::string variable;  // "" for text as it is written
  std::string value;     // what it comes to
  // The value is the default in the braces, `${X:-default}`, and these are its
  // bytes in the word.
  bool own_default = false;
  size_t begin = 0;
  size_t end = 0;
  // Where the value lies in the evaluated name.
  size_t value_begin = 0;
  size_t value_end = 0;
};

// $X, ${X}, ${X:-text}, ${X-text} and plain text, the whole perhaps in one
// pair of double quotes. nullopt for anything more intricate: other operators,
// escapes, quotes inside.
std::optional<std::vector<NamePart>> SplitName(
    std::string_view word, const std::map<std::string, std::string>& args,
    char escape);

std::string ValueOf(const std::vector<NamePart>& parts);

// TARGETARCH and its relatives: set without an ARG, differently for each
// platform.
bool IsPlatformVariable(std::string_view name);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_SRC_LOCK_NAME_PARTS_H_
