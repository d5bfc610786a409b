#include "dockerfile/line_reader.h"

#include <algorithm>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::dockerfile {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The length of the white space at the start of `text`.
size_t LeadingSpace(std::string_view text) {
  size_t i = 0;
  while (size_t n = SpaceAt(text, i)) i += n;
  return i;
}

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsAsciiSpace(char c) { return IsBlank(c) || c == '\n'; }

struct DirectiveText {
  std::string_view name;
  std::string_view value;
};

// `# name = value`, or nothing. `line` begins with '#'.
std::optional<DirectiveText> MatchDirective(std::string_view line) {
  size_t i = 1;
  auto skip = [&] {
    while (i < line.size() && IsAsciiSpace(line[i])) ++i;
  };
  skip();
  const size_t name = i;
  while (i < line.size() &&
         (IsLetter(line[i]) || (i > name && line[i] >= '0' && line[i] <= '9')))
    ++i;
  const size_t name_end = i;
  skip();
  if (name_end == name || i == line.size() || line[i] != '=')
    return std::nullopt;
  ++i;
  skip();
  std::string_view value = line.substr(i);
  while (!value.empty() && IsAsciiSpace(value.back())) value.remove_suffix(1);
  if (value.empty()) return std::nullopt;
  return DirectiveText{line.substr(name, name_end - name), value};
}

}  // namespace

size_t SpaceAt(std::string_view text, size_t position) {
  if (position >= text.size()) return 0;
  const std::string_view rest = text.substr(position);
  switch (static_cast<unsigned char>(rest[0])) {
    case 0xC2:
    case 0xE1:
    case 0xE2:
    case 0xE3:
      break;
    default:
      return IsAsciiSpace(rest[0]) ? 1 : 0;
  }
  for (std::string_view space :
       {"\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
        "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200A",
        "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"}) {
    if (rest.starts_with(space)) return space.size();
  }
  return 0;
}

std::string_view TrimSpace(std::string_view text) {
  text.remove_prefix(LeadingSpace(text));
  while (!text.empty()) {
    // A character is at most three bytes here; try them from the end.
    size_t cut = 0;
    for (size_t n = 1; n <= 3 && n <= text.size() && cut == 0; ++n) {
      if (SpaceAt(text, text.size() - n) == n) cut = n;
    }
    if (cut == 0) break;
    text.remove_suffix(cut);
  }
  return text;
}

SourceRange LogicalLine::Range(Span span) const {
  if (text_.empty()) {
    const size_t at = physical_begin();
    return SourceRange::FromOffsets(file_, at, at);
  }
  const size_t begin = std::min(span.begin, text_.size() - 1);
  const size_t last = std::max(begin, span.end == 0 ? 0 : span.end - 1);
  return SourceRange::FromOffsets(file_, Physical(begin), Physical(last) + 1);
}

size_t LogicalLine::physical_begin() const {
  return segments_.empty() ? 0 : segments_.front().physical;
}

size_t LogicalLine::Physical(size_t logical) const {
  auto after = std::upper_bound(
      segments_.begin(), segments_.end(), logical,
      [](size_t value, const Segment& s) { return value < s.logical; });
  const Segment& segment = *std::prev(after);
  return segment.physical + (logical - segment.logical);
}

void LogicalLine::Append(size_t physical, std::string_view text) {
  if (text.empty() && !segments_.empty()) return;
  segments_.push_back({text_.size(), physical});
  text_ += text;
}

void LogicalLine::TrimRight() {
  const std::string_view kept = TrimSpace(text_);
  // The front was trimmed before, except where the line began with an empty
  // continued line.
  const size_t front = static_cast<size_t>(kept.data() - text_.data());
  text_.resize(front + kept.size());
  if (front == 0) return;
  const size_t physical = Physical(front);
  auto first =
      std::find_if(segments_.begin(), segments_.end(),
                   [&](const Segment& s) { return s.logical >= front; });
  segments_.erase(segments_.begin(), first);
  for (Segment& s : segments_) s.logical -= front;
  if (segments_.empty() || segments_.front().logical != 0)
    segments_.insert(segments_.begin(), Segment{0, physical});
  text_.erase(0, front);
}

LineReader::LineReader(std::shared_ptr<const SourceFile> file,
                       const ParseOptions& options, char escape,
                       bool directives)
    : file_(std::move(file)), options_(options), escape_(escape) {
  if (file_->text().size() > options_.max_file_bytes) {
    throw Error(ErrorCode::kDockerfile,
                Quoted(file_->name()) + " has " +
                    std::to_string(file_->text().size()) +
                    " bytes: the maximum is " +
                    std::to_string(options_.max_file_bytes));
  }
  if (file_->text().starts_with(kByteOrderMark))
    offset_ = kByteOrderMark.size();
  if (directives) ReadDirectives();
}

LineReader::PhysicalLine LineReader::LineAt(size_t offset) const {
  const std::string& text = file_->text();
  size_t end = text.find('\n', offset);
  const size_t next = end == std::string::npos ? text.size() : end + 1;
  if (end == std::string::npos) end = text.size();
  while (end > offset && (text[end - 1] == '\r' || text[end - 1] == '\n'))
    --end;
  return {offset, end, next};
}

std::string_view LineReader::Text(const PhysicalLine& line) const {
  return std::string_view(file_->text())
      .substr(line.begin, line.end - line.begin);
}

void LineReader::ReadDirectives() {
  const size_t first = offset_;
  while (offset_ < file_->text().size()) {
    const PhysicalLine line = LineAt(offset_);
    // A shebang is no comment that would end the directives.
    const bool shebang = offset_ == first && Text(line).starts_with("#!");
    if (!shebang && !TakeDirective(line)) return;
    offset_ = line.next;
  }
}

bool LineReader::TakeDirective(const PhysicalLine& line) {
  std::string_view text = Text(line);
  text.remove_prefix(LeadingSpace(text));
  if (!text.starts_with('#')) return false;
  const std::optional<DirectiveText> match = MatchDirective(text);
  if (!match) return false;
  const std::string name = ToLower(match->name);
  if (name != "syntax" && name != "escape" && name != "check") return false;

  auto range_of = [&](std::string_view part) {
    const size_t begin =
        static_cast<size_t>(part.data() - file_->text().data());
    return SourceRange::FromOffsets(file_, begin, begin + part.size());
  };
  for (const Directive& earlier : directives_) {
    if (earlier.name != name) continue;
    throw Error(ErrorCode::kDockerfile,
                "only one " + name + " parser directive can be used")
        .At(range_of(match->name))
        .WithHint("the first one is on line " +
                  std::to_string(earlier.range.begin().line));
  }
  if (name == "escape") {
    if (match->value != "\\" && match->value != "`") {
      throw Error(ErrorCode::kDockerfile,
                  "invalid escape character " + Quoted(match->value))
          .At(range_of(match->value))
          .WithHint("it is either \\ or `");
    }
    escape_ = match->value[0];
  }
  directives_.push_back(
      Directive{name, std::string(match->value),
                SourceRange::FromOffsets(file_, line.begin, line.end)});
  return true;
}

void LineReader::TakeComment(const PhysicalLine& line, LogicalLine* out) {
  // The first byte of the line is dropped, be it '#' or a blank before it: as
  // the reference implementation does.
  const std::string_view comment = TrimSpace(Text(line).substr(1));
  if (comment.empty()) {
    out->comments_.clear();
  } else {
    out->comments_.emplace_back(comment);
  }
}

bool LineReader::CutContinuation(std::string_view* text) const {
  size_t end = text->size();
  while (end > 0 && ((*text)[end - 1] == ' ' || (*text)[end - 1] == '\t'))
    --end;
  if (end == 0 || (*text)[end - 1] != escape_) return false;
  // Looks one character back only.
  if (end > 1 && (*text)[end - 2] == escape_) return false;
  *text = text->substr(0, end - 1);
  return true;
}

void LineReader::CheckLength(const LogicalLine& line,
                             const PhysicalLine& last) const {
  if (line.text_.size() <= options_.max_line_bytes) return;
  const size_t begin = line.physical_begin();
  throw Error(ErrorCode::kDockerfile,
              "instruction is longer than " +
                  std::to_string(options_.max_line_bytes) + " bytes")
      .At(SourceRange::FromOffsets(file_, begin, std::min(begin + 1, last.end)))
      .WithHint("move the data to a file of the build context");
}

bool LineReader::Next(LogicalLine* line) {
  *line = LogicalLine();
  line->file_ = file_;
  while (offset_ < file_->text().size()) {
    PhysicalLine physical = LineAt(offset_);
    offset_ = physical.next;
    std::string_view text = Text(physical);
    const size_t leading = LeadingSpace(text);
    text.remove_prefix(leading);
    if (text.starts_with('#')) {
      TakeComment(physical, line);
      continue;
    }
    bool more = CutContinuation(&text);
    if (!more && text.empty()) continue;
    line->Append(physical.begin + leading, text);
    while (more && offset_ < file_->text().size()) {
      physical = LineAt(offset_);
      offset_ = physical.next;
      text = Text(physical);
      const size_t blanks = LeadingSpace(text);
      if (blanks == text.size()) {
        if (!line->blank_line_) {
          line->blank_line_ =
              SourceRange::FromOffsets(file_, physical.begin, physical.end);
        }
        continue;
      }
      if (text[blanks] == '#') continue;
      more = CutContinuation(&text);
      line->Append(physical.begin, text);
      CheckLength(*line, physical);
    }
    CheckLength(*line, physical);
    line->TrimRight();
    if (line->text_.empty()) {  // nothing but continuation marks
      line->segments_.clear();
      line->blank_line_.reset();
      continue;
    }
    return true;
  }
  return false;
}

std::optional<LineReader::Body> LineReader::ReadHeredoc(const std::string& name,
                                                        bool strip_tabs) {
  Body body;
  body.begin = offset_;
  for (size_t at = offset_; at < file_->text().size();) {
    const PhysicalLine line = LineAt(at);
    std::string_view text = Text(line);
    if (strip_tabs)
      text.remove_prefix(std::min(text.find_first_not_of('\t'), text.size()));
    if (text == name) {
      body.end = at;
      body.after = line.end;
      body.raw = file_->text().substr(body.begin, body.end - body.begin);
      body.terminator = Text(line);
      offset_ = line.next;
      if (body.raw.size() > options_.max_line_bytes) {
        throw Error(ErrorCode::kDockerfile,
                    "here-document is longer than " +
                        std::to_string(options_.max_line_bytes) + " bytes")
            .At(SourceRange::FromOffsets(file_, body.begin, body.begin + 1))
            .WithHint("move the data to a file of the build context");
      }
      return body;
    }
    at = line.next;
  }
  return std::nullopt;
}

}  // namespace imgbuild::dockerfile
