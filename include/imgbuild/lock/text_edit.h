// Replacing bytes of a text and showing what changed. Pure.
#ifndef IMGBUILD_LOCK_TEXT_EDIT_H_
#define IMGBUILD_LOCK_TEXT_EDIT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::lock {

// The bytes [begin, end) become `text`. No line end is added or taken away.
struct TextEdit {
  size_t begin = 0;
  size_t end = 0;
  std::string text;
  auto operator<=>(const TextEdit&) const = default;
};

// Edits in any order; the same one twice counts once. REQUIRES: they do not
// overlap and lie inside the text.
std::string ApplyEdits(std::string_view text, std::vector<TextEdit> edits);

// What `git apply` and patch(1) take: `path` is shown as a/PATH and b/PATH.
// Three lines of context, line ends as they are, "\ No newline at end of file"
// where it is missing. "" when the texts are the same.
// REQUIRES: both have the same number of lines (edits change lines in place).
std::string UnifiedPatch(std::string_view path, std::string_view before,
                         std::string_view after);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_TEXT_EDIT_H_
