#include "imgbuild/util/source.h"

#include <algorithm>

namespace imgbuild {
namespace {

// Longest part of a source line that an excerpt shows.
constexpr size_t kMaxExcerptBytes = 160;
constexpr std::string_view kCut = "...";

bool IsContinuationByte(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// What of a line is shown: [first, last) of it, with marks where it is cut.
struct Window {
  size_t first = 0;
  size_t last = 0;
};

Window WindowAround(std::string_view line, size_t column) {
  if (line.size() <= kMaxExcerptBytes) return {0, line.size()};
  // A third of the width before the caret, the rest behind it.
  size_t first =
      column > kMaxExcerptBytes / 3 ? column - kMaxExcerptBytes / 3 : 0;
  first = std::min(first, line.size() - kMaxExcerptBytes);
  size_t last = first + kMaxExcerptBytes;
  // Never cut inside a UTF-8 sequence.
  while (first > 0 && IsContinuationByte(line[first])) --first;
  while (last < line.size() && IsContinuationByte(line[last])) ++last;
  return {first, last};
}

void AppendShown(std::string* out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    *out += (byte < 0x20 && c != '\t') || byte == 0x7F ? '?' : c;
  }
}

// As wide on the screen as `text`.
void AppendBlank(std::string* out, std::string_view text, char fill) {
  for (const char c : text) {
    if (IsContinuationByte(c)) continue;
    *out += c == '\t' && fill == ' ' ? '\t' : fill;
  }
}

}  // namespace

SourceFile::SourceFile(std::string name, std::string text)
    : name_(std::move(name)), text_(std::move(text)) {
  line_starts_.push_back(0);
  for (size_t i = 0; i < text_.size(); ++i) {
    // A newline at the very end does not begin another line.
    if (text_[i] == '\n' && i + 1 < text_.size()) line_starts_.push_back(i + 1);
  }
}

std::string_view SourceFile::Line(uint32_t line) const {
  if (line == 0 || line > line_starts_.size()) return {};
  const size_t begin = line_starts_[line - 1];
  size_t end = line < line_starts_.size() ? line_starts_[line] : text_.size();
  if (end > begin && text_[end - 1] == '\n') {
    --end;
    if (end > begin && text_[end - 1] == '\r') --end;
  }
  return std::string_view(text_).substr(begin, end - begin);
}

SourcePos SourcePos::FromOffset(const SourceFile& file, size_t offset) {
  const auto& starts = file.line_starts_;
  const auto next = std::upper_bound(starts.begin(), starts.end(), offset);
  const auto index = static_cast<size_t>(next - starts.begin()) - 1;
  const auto line = static_cast<uint32_t>(index + 1);
  // Within a line end, and past the end of the text: just behind the line.
  const size_t column =
      std::min(offset - starts[index], file.Line(line).size());
  return {line, static_cast<uint32_t>(column + 1)};
}

SourceRange::SourceRange(std::shared_ptr<const SourceFile> file,
                         SourcePos begin, SourcePos end)
    : file_(std::move(file)), begin_(begin), end_(end) {}

SourceRange SourceRange::FromOffsets(std::shared_ptr<const SourceFile> file,
                                     size_t begin, size_t end) {
  const SourcePos from = SourcePos::FromOffset(*file, begin);
  const SourcePos to = SourcePos::FromOffset(*file, std::max(begin, end));
  return {std::move(file), from, to};
}

std::string SourceRange::ToString() const {
  if (file_ == nullptr) return "";
  return file_->name() + ":" + std::to_string(begin_.line) + ":" +
         std::to_string(begin_.column);
}

std::string SourceRange::Excerpt() const {
  if (file_ == nullptr) return "";
  const std::string number = std::to_string(begin_.line);
  const std::string margin(number.size(), ' ');
  const std::string_view line = file_->Line(begin_.line);
  const size_t from =
      std::min<size_t>(begin_.column > 0 ? begin_.column - 1 : 0, line.size());
  // A range over several lines is marked to the end of its first one.
  const size_t to = end_.line == begin_.line && end_.column > 0
                        ? std::min<size_t>(end_.column - 1, line.size())
                        : line.size();
  const Window window = WindowAround(line, from);
  const std::string_view head = window.first > 0 ? kCut : "";
  const std::string_view tail = window.last < line.size() ? kCut : "";

  std::string out = margin + "--> ";
  AppendShown(&out, ToString());
  out += "\n" + margin + " |\n" + number + " | ";
  out += head;
  AppendShown(&out, line.substr(window.first, window.last - window.first));
  out += tail;
  out += "\n" + margin + " | " + std::string(head.size(), ' ');
  AppendBlank(&out, line.substr(window.first, from - window.first), ' ');
  const size_t marked_end = std::clamp(to, from, window.last);
  std::string carets;
  AppendBlank(&carets, line.substr(from, marked_end - from), '^');
  out += carets.empty() ? "^" : carets;
  out += '\n';
  return out;
}

}  // namespace imgbuild
