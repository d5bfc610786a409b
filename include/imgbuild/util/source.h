// Text that came from a user's file, and places in it. Every error about a
// Dockerfile, a lock or an ignore file carries a SourceRange, so that it can be
// printed with file:line:col, an excerpt and a caret.
#ifndef IMGBUILD_UTIL_SOURCE_H_
#define IMGBUILD_UTIL_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild {

// The whole text of one file. Immutable; shared by every range that points
// into it. Thread-safe because it never changes.
class SourceFile {
 public:
  // `name` is what people see: the path as they typed it, or "<stdin>".
  SourceFile(std::string name, std::string text);

  const std::string& name() const { return name_; }
  const std::string& text() const { return text_; }
  uint32_t line_count() const {
    return static_cast<uint32_t>(line_starts_.size());
  }
  // The text of 1-based `line` without its line end; empty when out of range.
  std::string_view Line(uint32_t line) const;

 private:
  friend struct SourcePos;
  friend class SourceRange;
  std::string name_;
  std::string text_;
  std::vector<size_t> line_starts_;
};

// 1-based line and column (column in bytes, as compilers count).
struct SourcePos {
  uint32_t line = 0;
  uint32_t column = 0;
  auto operator<=>(const SourcePos&) const = default;

  // The position of byte `offset` of `file` (clamped to its end).
  static SourcePos FromOffset(const SourceFile& file, size_t offset);
};

// Half-open [begin, end). `file` is null for "nowhere".
class SourceRange {
 public:
  SourceRange() = default;
  SourceRange(std::shared_ptr<const SourceFile> file, SourcePos begin,
              SourcePos end);
  // Byte offsets into the file's text.
  static SourceRange FromOffsets(std::shared_ptr<const SourceFile> file,
                                 size_t begin, size_t end);

  explicit operator bool() const { return file_ != nullptr; }
  const std::shared_ptr<const SourceFile>& file() const { return file_; }
  SourcePos begin() const { return begin_; }
  SourcePos end() const { return end_; }
  // "Dockerfile:12:6".
  std::string ToString() const;
  // The lines
  //     --> Dockerfile:12:6
  //      |
  //   12 | COPY src/main.c /app/
  //      |      ^^^^^^^^^^
  // each ended by '\n'. Tabs are kept so that the caret stays below its text;
  // other control characters are shown as '?'. Lines over 160 bytes are cut
  // around the caret.
  std::string Excerpt() const;

 private:
  std::shared_ptr<const SourceFile> file_;
  SourcePos begin_;
  SourcePos end_;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_SOURCE_H_
