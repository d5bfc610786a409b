#include "lock/name_parts.h"

#include <algorithm>

namespace imgbuild::lock {
namespace {

bool IsNameByte(char c, bool first) {
  return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         (!first && c >= '0' && c <= '9');
}

class Splitter {
 public:
  Splitter(std::string_view word,
           const std::map<std::string, std::string>& args, char escape)
      : word_(word), args_(args), escape_(escape) {}

  std::optional<std::vector<NamePart>> Split() {
    if (word_.size() >= 2 && word_.front() == '"' && word_.back() == '"') {
      at_ = 1;
      end_ = word_.size() - 1;
    }
    while (at_ < end_) {
      if (!(word_[at_] == '$' ? TakeVariable() : TakeText())) {
        return std::nullopt;
      }
    }
    return std::move(parts_);
  }

 private:
  bool TakeText() {
    const size_t begin = at_;
    while (at_ < end_ && word_[at_] != '$') {
      if (word_[at_] == escape_ || word_[at_] == '"' || word_[at_] == '\'') {
        return false;
      }
      ++at_;
    }
    NamePart part;
    part.value = word_.substr(begin, at_ - begin);
    part.begin = begin;
    part.end = at_;
    Add(std::move(part));
    return true;
  }

  bool TakeVariable() {
    ++at_;
    const bool braces = at_ < end_ && word_[at_] == '{';
    if (braces) ++at_;
    NamePart part;
    part.variable = TakeVariableName();
    if (part.variable.empty()) return false;
    const auto given = args_.find(part.variable);
    if (given != args_.end()) part.value = given->second;
    if (braces && !TakeBraces(given != args_.end(), part)) return false;
    Add(std::move(part));
    return true;
  }

  std::string TakeVariableName() {
    const size_t begin = at_;
    while (at_ < end_ && IsNameByte(word_[at_], at_ == begin)) ++at_;
    return std::string(word_.substr(begin, at_ - begin));
  }

  // From behind the name to behind the closing brace.
  bool TakeBraces(bool is_set, NamePart& part) {
    const bool colon = word_.substr(at_, 2) == ":-";
    const size_t skip = colon ? 2 : word_.substr(at_, 1) == "-" ? 1 : 0;
    const size_t begin = at_ + skip;
    at_ = std::min(word_.find('}', begin), end_);
    if (at_ == end_ || (skip == 0 && at_ != begin)) return false;
    const std::string_view text = word_.substr(begin, at_ - begin);
    ++at_;
    if (skip == 0 || (is_set && (!colon || !part.value.empty()))) return true;
    const auto odd = [&](char c) {
      return c == '$' || c == '"' || c == '\'' || c == escape_;
    };
    if (std::ranges::any_of(text, odd)) return false;
    part.own_default = true;
    part.value = text;
    part.begin = begin;
    part.end = begin + text.size();
    return true;
  }

  void Add(NamePart part) {
    part.value_begin = length_;
    length_ += part.value.size();
    part.value_end = length_;
    parts_.push_back(std::move(part));
  }

  std::string_view word_;
  const std::map<std::string, std::string>& args_;
  const char escape_;
  size_t at_ = 0;
  size_t end_ = word_.size();
  size_t length_ = 0;
  std::vector<NamePart> parts_;
};

}  // namespace

std::optional<std::vector<NamePart>> SplitName(
    std::string_view word, const std::map<std::string, std::string>& args,
    char escape) {
  return Splitter(word, args, escape).Split();
}

std::string ValueOf(const std::vector<NamePart>& parts) {
  std::string out;
  for (const NamePart& part : parts) out += part.value;
  return out;
}

bool IsPlatformVariable(std::string_view name) {
  for (const std::string_view side : {"TARGET", "BUILD"}) {
    if (!name.starts_with(side)) continue;
    const std::string_view what = name.substr(side.size());
    for (const std::string_view known :
         {"PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT", "STAGE"}) {
      if (what == known) return true;
    }
  }
  return false;
}

}  // namespace imgbuild::lock
