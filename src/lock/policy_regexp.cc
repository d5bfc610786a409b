#include "lock/policy_regexp.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::lock {
namespace {

using Groups = std::vector<re2::StringPiece>;

bool IsTemplateName(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
         (c >= 'a' && c <= 'z');
}

// The name behind a '$' at form[at]; moves `at` behind the reference. Empty
// for what is no reference: the dollar stays then.
std::string_view TakeName(std::string_view form, size_t& at) {
  const bool braces = at + 1 < form.size() && form[at + 1] == '{';
  const size_t begin = at + (braces ? 2 : 1);
  size_t end = begin;
  while (end < form.size() && IsTemplateName(form[end])) ++end;
  if (end == begin) return {};
  if (braces && (end == form.size() || form[end] != '}')) return {};
  at = end + (braces ? 1 : 0);
  return form.substr(begin, end - begin);
}

}  // namespace

struct PolicyRegexp::Impl {
  explicit Impl(const std::string& expression)
      : re(expression, Options()),
        groups(static_cast<size_t>(std::max(0, re.NumberOfCapturingGroups())) +
               1) {}

  static RE2::Options Options() {
    RE2::Options options;
    options.set_log_errors(false);
    return options;
  }

  void Expand(std::string_view form, const Groups& found,
              std::string& out) const {
    for (size_t at = 0; at < form.size();) {
      if (form[at] != '$') {
        out += form[at++];
        continue;
      }
      if (form.substr(at, 2) == "$$") {
        out += '$';
        at += 2;
        continue;
      }
      const std::string_view name = TakeName(form, at);
      if (name.empty()) {
        out += form[at++];
        continue;
      }
      const re2::StringPiece group = Group(name, found);
      out.append(group.data(), group.size());
    }
  }

  // A group that is not there is empty.
  re2::StringPiece Group(std::string_view name, const Groups& found) const {
    size_t index = found.size();
    if (const auto number = ParseUint(name)) {
      index = static_cast<size_t>(*number);
    } else {
      const auto& named = re.NamedCapturingGroups();
      const auto it = named.find(std::string(name));
      if (it != named.end()) index = static_cast<size_t>(it->second);
    }
    return index < found.size() ? found[index] : re2::StringPiece();
  }

  RE2 re;
  size_t groups;  // the whole match included
};

PolicyRegexp::PolicyRegexp(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
PolicyRegexp::PolicyRegexp(PolicyRegexp&&) noexcept = default;
PolicyRegexp& PolicyRegexp::operator=(PolicyRegexp&&) noexcept = default;
PolicyRegexp::~PolicyRegexp() = default;

PolicyRegexp PolicyRegexp::Compile(const std::string& expression) {
  auto impl = std::make_unique<Impl>(expression);
  if (!impl->re.ok()) {
    throw Error(ErrorCode::kDockerfile,
                fmt::format("invalid regular expression {}: {}",
                            Quoted(expression), impl->re.error()));
  }
  return PolicyRegexp(std::move(impl));
}

PolicyRegexp PolicyRegexp::CompileWildcard(const std::string& pattern) {
  if (pattern.find("**") != std::string::npos) {
    throw Error(ErrorCode::kDockerfile,
                fmt::format("invalid wildcard {}: \"**\"", Quoted(pattern)))
        .WithHint("one * stands for any text, slashes too");
  }
  std::vector<std::string> parts = Split(pattern, '*');
  for (std::string& part : parts) part = RE2::QuoteMeta(part);
  return Compile("^" + Join(parts, "(.*)") + "$");
}

bool PolicyRegexp::Matches(std::string_view text) const {
  return impl_->re.Match(re2::StringPiece(text.data(), text.size()), 0,
                         text.size(), RE2::UNANCHORED, nullptr, 0);
}

std::string PolicyRegexp::ReplaceAll(std::string_view text,
                                     std::string_view form) const {
  const re2::StringPiece subject(text.data(), text.size());
  Groups found(impl_->groups);
  std::string out;
  size_t copied = 0;  // behind the last match
  for (size_t at = 0; at <= text.size();) {
    if (!impl_->re.Match(subject, at, text.size(), RE2::UNANCHORED,
                         found.data(), static_cast<int>(found.size()))) {
      break;
    }
    const auto begin = static_cast<size_t>(found[0].data() - text.data());
    const size_t end = begin + found[0].size();
    out += text.substr(copied, begin - copied);
    // An empty match right behind another does not count.
    if (end > copied || begin == 0) impl_->Expand(form, found, out);
    copied = end;
    at = std::max(end, at + 1);
  }
  return out + std::string(text.substr(std::min(copied, text.size())));
}

}  // namespace imgbuild::lock
