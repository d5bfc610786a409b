// The first pass over a Dockerfile: physical lines to logical ones. Directives,
// the escape character, continued lines, comments inside them, the byte-order
// mark and CRLF end here; here-document bodies are taken on request, because
// only the grammar knows whether a line has any.
#ifndef IMGBUILD_DOCKERFILE_LINE_READER_H_
#define IMGBUILD_DOCKERFILE_LINE_READER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/source.h"

namespace imgbuild::dockerfile {

// Bytes [begin, end) of a logical line.
struct Span {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
  bool empty() const { return begin == end; }
};

// One instruction's line with its continuations joined, blanks trimmed at both
// ends, and the way back from its bytes to the file's.
class LogicalLine {
 public:
  const std::string& text() const { return text_; }
  std::string_view Text(Span span) const {
    return std::string_view(text_).substr(span.begin, span.size());
  }
  // Where `span` stands in the file. An empty span is widened to the byte it
  // stands before (or the line's last), so that there is something to mark.
  SourceRange Range(Span span) const;
  Word MakeWord(Span span) const {
    return Word{std::string(Text(span)), Range(span)};
  }
  SourceRange WholeRange() const { return Range({0, text_.size()}); }
  size_t physical_begin() const;
  const std::vector<std::string>& comments() const { return comments_; }
  // The first blank line inside a continuation, if there is one.
  const std::optional<SourceRange>& blank_line() const { return blank_line_; }
  const std::shared_ptr<const SourceFile>& file() const { return file_; }

 private:
  friend class LineReader;
  struct Segment {
    size_t logical;
    size_t physical;
  };
  size_t Physical(size_t logical) const;
  void Append(size_t physical, std::string_view text);
  void TrimRight();

  std::shared_ptr<const SourceFile> file_;
  std::string text_;
  std::vector<Segment> segments_;
  std::vector<std::string> comments_;
  std::optional<SourceRange> blank_line_;
};

class LineReader {
 public:
  // Reads the directives. Throws Error(kDockerfile) for a bad one and for a
  // file above the cap.
  LineReader(std::shared_ptr<const SourceFile> file,
             const ParseOptions& options, char escape = '\\',
             bool directives = true);

  // The next instruction's line; false at the end of the file. Throws
  // Error(kDockerfile) when it is above the cap.
  bool Next(LogicalLine* line);

  struct Body {
    std::string raw;  // the lines as written
    size_t begin = 0;
    size_t end = 0;          // the start of the terminator's line
    size_t after = 0;        // the end of the terminator's line
    std::string terminator;  // the line as written, without its line end
  };
  // The lines after the current one, up to `name`. nullopt when the file ends
  // before (nothing is consumed then).
  std::optional<Body> ReadHeredoc(const std::string& name, bool strip_tabs);

  char escape() const { return escape_; }
  const std::vector<Directive>& directives() const { return directives_; }

 private:
  struct PhysicalLine {
    size_t begin;
    size_t end;   // without CR and LF
    size_t next;  // where the next line begins
  };
  PhysicalLine LineAt(size_t offset) const;
  std::string_view Text(const PhysicalLine& line) const;
  void ReadDirectives();
  bool TakeDirective(const PhysicalLine& line);
  void TakeComment(const PhysicalLine& line, LogicalLine* out);
  // Cuts the continuation mark off; false when there is none.
  bool CutContinuation(std::string_view* text) const;
  void CheckLength(const LogicalLine& line, const PhysicalLine& last) const;

  std::shared_ptr<const SourceFile> file_;
  const ParseOptions options_;
  char escape_;
  size_t offset_ = 0;
  std::vector<Directive> directives_;
};

// The length of the white-space character (as Unicode has it) at `position`,
// 0 when there is none.
size_t SpaceAt(std::string_view text, size_t position);
// Both ends trimmed of those.
std::string_view TrimSpace(std::string_view text);
// Blanks that separate words: tab, vertical tab, form feed, CR, space.
constexpr bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_LINE_READER_H_
