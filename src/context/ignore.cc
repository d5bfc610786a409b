#include "imgbuild/context/ignore.h"

#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "context/pattern.h"
#include "context/utf8.h"

namespace imgbuild::context {
namespace {

// The reference reads lines with a scanner of this size, line end included.
constexpr size_t kMaxLine = size_t{64} * 1024;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// What the ignore file's reader makes of a trimmed line: relative to the root,
// cleaned, '!' kept in front.
std::string NormalizeLine(std::string_view line) {
  const bool exception = line.starts_with('!');
  if (exception) line = TrimUnicodeSpace(line.substr(1));
  std::string path;
  if (!line.empty()) {
    path = fs::CleanPath(line);
    if (path.size() > 1 && path[0] == '/') path.erase(0, 1);
  }
  return exception ? "!" + path : path;
}

std::string_view ParentOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view()
                                         : path.substr(0, slash + 1);
}

// Whether the pattern matches `path` or one of its parents.
bool MatchesPathOrParent(const Pattern& pattern, std::string_view path) {
  if (pattern.MatchesExactly(path)) return true;
  const std::string_view parent = ParentOf(path);
  if (parent.empty()) return false;
  const std::string cleaned = fs::CleanPath(parent);
  if (cleaned == ".") return false;
  for (size_t end = cleaned.find('/'); end != std::string::npos;
       end = cleaned.find('/', end + 1)) {
    if (pattern.MatchesExactly(std::string_view(cleaned).substr(0, end))) {
      return true;
    }
  }
  return pattern.MatchesExactly(cleaned);
}

}  // namespace

// The last pattern that matched the directory or one of its parents. That is
// all a child needs: an earlier pattern cannot decide any more.
class PatternList::DirState {
 public:
  explicit DirState(int last) : last_rule(last) {}
  const int last_rule;
};

struct PatternList::Impl {
  struct Rule {
    Pattern pattern;
    SourceRange range;
    std::string text;
  };
  std::vector<Rule> rules;
  bool exceptions = false;
  bool leaves_out = false;  // there is a rule that is no exception
  // states[i] is the state after rule i - 1; made once, shared by all.
  std::vector<std::shared_ptr<const DirState>> states;

  void Add(std::string_view normalized, SourceRange range,
           std::string_view text) {
    try {
      std::optional<Pattern> pattern = Pattern::Parse(normalized);
      if (!pattern) return;
      exceptions = exceptions || pattern->exception();
      leaves_out = leaves_out || !pattern->exception();
      rules.push_back(
          {std::move(*pattern), std::move(range), std::string(text)});
    } catch (const Error& e) {
      if (IsNeverAsked(normalized)) return;
      const std::string named = "pattern " + Quoted(text);
      throw Error(e.code(), e.message().starts_with("pattern ") ||
                                    e.message().starts_with("illegal ")
                                ? e.message()
                                : named + ": " + e.message())
          .At(range);
    }
  }

  // The reference makes a pattern's regular expression when it first asks it,
  // and it asks exceptions only about what a rule before them leaves out: the
  // mistakes in it do not show when there is no such rule.
  bool IsNeverAsked(std::string_view normalized) const {
    if (leaves_out || !normalized.starts_with('!')) return false;
    try {
      GlobMatch(normalized.substr(1), ".");  // this one it checks at once
      return fs::CleanPath(normalized) != "!";
    } catch (const Error&) {
      return false;
    }
  }

  void Finish() {
    const int count = static_cast<int>(rules.size());
    for (int i = -1; i < count; ++i) {
      states.push_back(std::make_shared<const DirState>(i));
    }
  }
};

PatternList::PatternList() : impl_(std::make_unique<Impl>()) {
  impl_->Finish();
}
PatternList::PatternList(PatternList&&) noexcept = default;
PatternList& PatternList::operator=(PatternList&&) noexcept = default;
PatternList::~PatternList() = default;

PatternList PatternList::ParseIgnoreFile(
    std::shared_ptr<const SourceFile> file) {
  PatternList list;
  list.impl_->states.clear();
  const std::string_view text = file->text();
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) end = text.size();
    std::string_view line = text.substr(begin, end - begin);
    if (line.size() >= kMaxLine) {
      throw Error(ErrorCode::kDockerfile, "line is longer than 65535 bytes")
          .At(SourceRange::FromOffsets(file, begin, begin + 1));
    }
    if (begin == 0 && line.starts_with(kByteOrderMark)) {
      line.remove_prefix(kByteOrderMark.size());
    }
    begin = end + 1;
    // Only a '#' in the first column makes a comment.
    if (line.starts_with('#')) continue;
    line = TrimUnicodeSpace(line);
    if (line.empty()) continue;
    const auto offset = static_cast<size_t>(line.data() - text.data());
    list.impl_->Add(
        NormalizeLine(line),
        SourceRange::FromOffsets(file, offset, offset + line.size()), line);
  }
  list.impl_->Finish();
  return list;
}

PatternList PatternList::FromPatterns(
    const std::vector<std::string>& patterns) {
  PatternList list;
  list.impl_->states.clear();
  for (const std::string& pattern : patterns) {
    list.impl_->Add(pattern, SourceRange(), pattern);
  }
  list.impl_->Finish();
  return list;
}

bool PatternList::empty() const { return impl_->rules.empty(); }
bool PatternList::has_exceptions() const { return impl_->exceptions; }

PatternList::Decision PatternList::Match(std::string_view path) const {
  // Nobody can leave out the root.
  if (path.empty() || path == ".") return {};
  for (auto rule = impl_->rules.rbegin(); rule != impl_->rules.rend(); ++rule) {
    if (MatchesPathOrParent(rule->pattern, path)) {
      return {!rule->pattern.exception(), rule->range, rule->text};
    }
  }
  return {};
}

std::shared_ptr<const PatternList::DirState> PatternList::Root() const {
  return impl_->states.front();
}

PatternList::WalkDecision PatternList::Step(const DirState& parent,
                                            std::string_view path,
                                            bool is_directory) const {
  const auto& rules = impl_->rules;
  WalkDecision decision;
  decision.rule = parent.last_rule;
  for (int i = static_cast<int>(rules.size()) - 1; i > parent.last_rule; --i) {
    if (rules[static_cast<size_t>(i)].pattern.MatchesExactly(path)) {
      decision.rule = i;
      break;
    }
  }
  if (decision.rule >= 0) {
    decision.excluded =
        !rules[static_cast<size_t>(decision.rule)].pattern.exception();
  }
  if (!is_directory) return decision;
  decision.state = impl_->states[static_cast<size_t>(decision.rule + 1)];
  if (!decision.excluded || !impl_->exceptions) return decision;
  for (auto i = static_cast<size_t>(decision.rule) + 1; i < rules.size(); ++i) {
    const Pattern& pattern = rules[i].pattern;
    if (pattern.exception() && pattern.CouldMatchBelow(path)) {
      decision.descend = true;
      break;
    }
  }
  return decision;
}

SourceRange PatternList::RuleRange(int rule) const {
  return rule < 0 ? SourceRange()
                  : impl_->rules.at(static_cast<size_t>(rule)).range;
}

std::string PatternList::RuleText(int rule) const {
  return rule < 0 ? std::string()
                  : impl_->rules.at(static_cast<size_t>(rule)).text;
}

}  // namespace imgbuild::context
