#include "imgbuild/util/error.h"

#include <cstring>

#include "imgbuild/util/strings.h"

namespace imgbuild {
namespace {

// Text from a registry or from a container's output must not be able to drive
// the terminal: control characters become '?', tabs and line ends stay.
std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // U+0080…U+009F are control characters too, and terminals obey them.
    if (c == 0xC2 && i + 1 < text.size() &&
        static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      ++i;
      out += '?';
    } else if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7F) {
      out += '?';
    } else {
      out += text[i];
    }
  }
  return out;
}

// Appends `text`; lines after the first begin with `indent`. Ends the line.
void AppendLines(std::string* out, std::string_view text,
                 std::string_view indent) {
  std::string clean = Printable(text);
  while (!clean.empty() && clean.back() == '\n') clean.pop_back();
  for (const char c : clean) {
    *out += c;
    if (c == '\n') *out += indent;
  }
  *out += '\n';
}

std::string Reason(int error_number) {
  const char* text = ::strerrordesc_np(error_number);
  if (text == nullptr) return "error " + std::to_string(error_number);
  std::string reason = text;
  // "No such file" -> "no such file", but "RFS specific error" stays.
  const bool acronym =
      reason.size() > 1 && reason[1] >= 'A' && reason[1] <= 'Z';
  if (!acronym && reason[0] >= 'A' && reason[0] <= 'Z') reason[0] += 32;
  return reason;
}

}  // namespace

Error::Error(ErrorCode code, std::string message)
    : code_(code), message_(std::move(message)) {}

Error& Error::At(const SourceRange& range) {
  if (!range_) range_ = range;
  return *this;
}

Error& Error::WithHint(std::string hint) {
  hint_ = std::move(hint);
  return *this;
}

Error& Error::While(std::string frame) {
  frames_.push_back(std::move(frame));
  return *this;
}

Error& Error::Temporary(bool value) {
  temporary_ = value;
  return *this;
}

Error& Error::WithNote(std::string note) {
  notes_.push_back(std::move(note));
  return *this;
}

std::string Error::Render() const {
  std::string out = "error: ";
  AppendLines(&out, message_, "  ");
  for (const std::string& note : notes_) {
    out += "  ";
    AppendLines(&out, note, "  ");
  }
  // The "=" stands below the bar of the excerpt, which stands behind the line
  // number; without an excerpt, where it would be for two digits.
  size_t width = 2;
  if (range_) {
    width = std::to_string(range_.begin().line).size();
    out += range_.Excerpt();
  }
  const std::string margin(width + 1, ' ');
  const std::string more(width + 3, ' ');
  for (const std::string& frame : frames_) {
    out += margin + "= ";
    AppendLines(&out, frame, more);
  }
  if (!hint_.empty()) {
    out += margin + "= hint: ";
    AppendLines(&out, hint_, more);
  }
  return out;
}

Error ErrnoError(std::string_view operation, std::string_view object,
                 int error_number, ErrorCode code) {
  std::string message(operation);
  if (!object.empty()) message += " " + Quoted(object);
  message += ": " + Reason(error_number);
  Error error(code, std::move(message));
  if (error_number == ENOSPC) {
    error.WithHint("free some disk space and try again");
  } else if (error_number == EDQUOT) {
    error.WithHint("free some disk space or ask for a larger quota");
  }
  return error;
}

}  // namespace imgbuild
