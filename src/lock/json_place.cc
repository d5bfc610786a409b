#include "lock/json_place.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::lock {
namespace {

using Json = nlohmann::json;

// Walks over text that is known to be JSON.
class Walker {
 public:
  Walker(const std::shared_ptr<const SourceFile>& source, bool key)
      : source_(source), text_(source->text()), key_(key) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  SourceRange Find(const JsonPath& path) {
    SourceRange name;
    for (const std::string& step : path) {
      SkipBlanks();
      if (Peek() == '[' ? !EnterItem(step) : !EnterMember(step, name)) {
        return Range(0, 1);
      }
    }
    SkipBlanks();
    const size_t begin = at_;
    SkipValue();
    return key_ && name ? name : Range(begin, at_);
  }

 private:
  SourceRange Range(size_t begin, size_t end) const {
    return SourceRange::FromOffsets(source_, begin, end);
  }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void SkipBlanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) !=
                                     std::string_view::npos) {
      ++at_;
    }
  }
  void SkipString() {
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    ++at_;
  }
  // Without recursion: the text may be deeper than the stack.
  void SkipValue() {
    size_t depth = 0;
    do {
      SkipBlanks();
      const char c = Peek();
      if (c == '"') {
        SkipString();
      } else {
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        const bool word =
            std::string_view("{}[],:").find(c) == std::string_view::npos;
        ++at_;
        while (word && at_ < text_.size() &&
               std::string_view(",]} \t\r\n").find(text_[at_]) ==
                   std::string_view::npos) {
          ++at_;
        }
      }
    } while (depth > 0 && at_ < text_.size());
  }

  bool EnterItem(const std::string& step) {
    const auto index = ParseUint(step);
    if (!index) return false;
    ++at_;
    for (uint64_t i = 0; i < *index; ++i) {
      SkipValue();
      SkipBlanks();
      if (Peek() != ',') return false;
      ++at_;
    }
    return true;
  }
  bool EnterMember(const std::string& step, SourceRange& name) {
    if (Peek() != '{') return false;
    do {
      ++at_;
      SkipBlanks();
      const size_t begin = at_;
      if (Peek() != '"') return false;
      SkipString();
      const size_t end = at_;
      SkipBlanks();
      ++at_;  // the colon
      const Json found =
          Json::parse(text_.substr(begin, end - begin), nullptr, false);
      if (found.is_string() && found.get_ref<const std::string&>() == step) {
        name = Range(begin, end);
        return true;
      }
      SkipValue();
      SkipBlanks();
    } while (Peek() == ',');
    return false;
  }

  const std::shared_ptr<const SourceFile>& source_;
  const std::string_view text_;
  const bool key_;
  size_t at_ = 0;
};

}  // namespace

Json ParseJson(const std::shared_ptr<const SourceFile>& source, size_t cap,
               std::string_view what) {
  const std::string& text = source->text();
  if (text.size() > cap) {
    throw Error(ErrorCode::kDockerfile,
                fmt::format("{} is larger than a {} may be ({} bytes)",
                            source->name(), what, cap));
  }
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    const size_t at =
        std::min<size_t>(error.byte == 0 ? 0 : error.byte - 1, text.size());
    const bool cut = Trim(std::string_view(text).substr(at)).empty();
    Error ours(ErrorCode::kDockerfile,
               cut ? fmt::format("the {} ends too early: it is cut off", what)
                   : fmt::format("the {} is no JSON here", what));
    throw ours.At(SourceRange::FromOffsets(source, at, at + 1));
  }
}

SourceRange PlaceOf(const std::shared_ptr<const SourceFile>& source,
                    const JsonPath& path, bool key) {
  return Walker(source, key).Find(path);
}

}  // namespace imgbuild::lock
