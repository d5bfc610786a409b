#include "context/go_regexp.h"

#include <algorithm>
#include <array>
#include <memory>

#include "imgbuild/util/error.h"

#include "context/go_regexp_parse.h"
#include "context/utf8.h"

namespace imgbuild::context {
namespace {

// A line of 64 KiB of literals fits; "{1000}" on long things does not.
constexpr size_t kMaxProgram = 200'000;

bool IsWord(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (c >= 'a' && c <= 'z');
}

// Whether the node cannot match but at the beginning.
bool BeginsAnchored(const RegexpNode& node) {
  using Kind = RegexpNode::Kind;
  switch (node.kind) {
    case Kind::kAssert:
      return node.assertion == GoRegexp::Assertion::kBegin;
    case Kind::kConcat:
      return !node.children.empty() && BeginsAnchored(node.children.front());
    case Kind::kAlternate:
      return std::all_of(node.children.begin(), node.children.end(),
                         BeginsAnchored);
    default:
      return false;
  }
}

}  // namespace

void RuneSet::Add(char32_t low, char32_t high) {
  ranges_.emplace_back(low, high);
}

void RuneSet::AddAll(const RuneSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
}

void RuneSet::Negate() {
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<std::pair<char32_t, char32_t>> rest;
  char32_t next = 0;
  for (const auto& [low, high] : ranges_) {
    if (low > next) rest.emplace_back(next, low - 1);
    next = std::max<char32_t>(next, high + 1);
  }
  if (next <= kMaxRune) rest.emplace_back(next, kMaxRune);
  ranges_ = std::move(rest);
}

void RuneSet::Finish() {
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<std::pair<char32_t, char32_t>> merged;
  for (const auto& range : ranges_) {
    if (!merged.empty() && range.first <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, range.second);
    } else {
      merged.push_back(range);
    }
  }
  ranges_ = std::move(merged);
  for (const auto& [low, high] : ranges_) {
    for (char32_t c = low; c <= high && c < 128; ++c) {
      ascii_[c / 64] |= uint64_t{1} << (c % 64);
    }
  }
}

bool RuneSet::Has(char32_t rune) const {
  if (rune < 128) return ((ascii_[rune / 64] >> (rune % 64)) & 1) != 0;
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), rune,
      [](char32_t value, const auto& range) { return value < range.first; });
  return after != ranges_.begin() && rune <= std::prev(after)->second;
}

// Thompson's construction. Each Emit() leaves a piece of program whose open
// end is the instruction that comes next.
class GoRegexp::Compiler {
 public:
  explicit Compiler(GoRegexp* regexp) : regexp_(*regexp) {}

  void Emit(RegexpNode& node) {
    using Kind = RegexpNode::Kind;
    switch (node.kind) {
      case Kind::kRune:
        Add(Op::kRune, static_cast<uint32_t>(node.rune));
        break;
      case Kind::kSet:
        EmitSet(node);
        break;
      case Kind::kAssert:
        Add(Op::kAssert, static_cast<uint32_t>(node.assertion));
        break;
      case Kind::kConcat:
        for (RegexpNode& child : node.children) Emit(child);
        break;
      case Kind::kAlternate:
        EmitAlternate(node);
        break;
      case Kind::kRepeat:
        EmitRepeat(node);
        break;
    }
  }
  void EmitMatch() { Add(Op::kMatch, 0); }

 private:
  uint32_t Here() const {
    return static_cast<uint32_t>(regexp_.program_.size());
  }

  uint32_t Add(Op op, uint32_t arg) {
    if (regexp_.program_.size() >= kMaxProgram) {
      throw Error(ErrorCode::kDockerfile, "expression too large");
    }
    const uint32_t at = Here();
    regexp_.program_.push_back({op, at + 1, arg});
    return at;
  }

  void EmitSet(RegexpNode& node) {
    RuneSet set = node.set;
    set.Finish();
    Add(Op::kSet, static_cast<uint32_t>(regexp_.sets_.size()));
    regexp_.sets_.push_back(std::move(set));
  }

  void EmitAlternate(RegexpNode& node) {
    std::vector<uint32_t> jumps;
    for (size_t i = 0; i < node.children.size(); ++i) {
      const bool last = i + 1 == node.children.size();
      const uint32_t split = last ? 0 : Add(Op::kSplit, 0);
      Emit(node.children[i]);
      if (last) break;
      jumps.push_back(Add(Op::kJump, 0));
      regexp_.program_[split].arg = Here();
    }
    for (const uint32_t jump : jumps) regexp_.program_[jump].next = Here();
  }

  void EmitRepeat(RegexpNode& node) {
    RegexpNode& child = node.children.front();
    for (int i = 0; i < node.min; ++i) Emit(child);
    if (node.max < 0) {
      const uint32_t split = Add(Op::kSplit, 0);
      Emit(child);
      const uint32_t back = Add(Op::kJump, 0);
      regexp_.program_[back].next = split;
      regexp_.program_[split].arg = Here();
      return;
    }
    std::vector<uint32_t> splits;
    for (int i = node.min; i < node.max; ++i) {
      splits.push_back(Add(Op::kSplit, 0));
      Emit(child);
    }
    for (const uint32_t split : splits) regexp_.program_[split].arg = Here();
  }

  GoRegexp& regexp_;
};

GoRegexp::GoRegexp(std::string_view expression) {
  RegexpNode root = ParseGoRegexp(expression);
  anchored_ = BeginsAnchored(root);
  Compiler compiler(this);
  compiler.Emit(root);
  compiler.EmitMatch();
}

// One simulation: the set of places in the program that the characters read so
// far lead to. Small programs run without touching the heap.
class GoRegexp::Run {
 public:
  Run(const GoRegexp& regexp, std::string_view text)
      : regexp_(regexp), text_(text) {
    const size_t size = regexp.program_.size();
    uint32_t* buffer = small_.data();
    if (size * 4 > small_.size()) {
      large_ = std::make_unique<uint32_t[]>(size * 4);
      buffer = large_.get();
    }
    std::fill_n(buffer, size, 0u);
    seen_ = buffer;
    now_ = buffer + size;
    next_ = buffer + 2 * size;
    stack_ = buffer + 3 * size;
  }

  bool Match() {
    Rune rune = DecodeRune(text_);
    uint32_t now_count = 0;
    char32_t before = kNone;
    for (bool first = true;; first = false) {
      const char32_t after = rune.size == 0 ? kNone : rune.value;
      if (first || !regexp_.anchored_) {
        // The round of the characters read so far is still open.
        if (first) ++round_;
        if (Follow(0, before, after, now_, &now_count)) return true;
      }
      if (rune.size == 0 || (now_count == 0 && regexp_.anchored_)) return false;
      text_.remove_prefix(rune.size);
      const Rune ahead = DecodeRune(text_);
      const char32_t ahead_value = ahead.size == 0 ? kNone : ahead.value;
      ++round_;
      uint32_t next_count = 0;
      for (uint32_t i = 0; i < now_count; ++i) {
        const Instruction& at = regexp_.program_[now_[i]];
        if (!Accepts(at, rune.value)) continue;
        if (Follow(at.next, rune.value, ahead_value, next_, &next_count)) {
          return true;
        }
      }
      std::swap(now_, next_);
      now_count = next_count;
      before = rune.value;
      rune = ahead;
    }
  }

 private:
  static constexpr char32_t kNone = 0xFFFFFFFF;

  bool Accepts(const Instruction& at, char32_t rune) const {
    if (at.op == Op::kRune) return at.arg == static_cast<uint32_t>(rune);
    return regexp_.sets_[at.arg].Has(rune);
  }

  static bool Holds(Assertion assertion, char32_t before, char32_t after) {
    switch (assertion) {
      case Assertion::kBegin:
        return before == kNone;
      case Assertion::kEnd:
        return after == kNone;
      case Assertion::kWord:
        return IsWord(before) != IsWord(after);
      case Assertion::kNotWord:
        return IsWord(before) == IsWord(after);
    }
    return false;
  }

  // Adds what is reached from `start` without reading; true at the match.
  bool Follow(uint32_t start, char32_t before, char32_t after, uint32_t* list,
              uint32_t* count) {
    uint32_t depth = 0;
    if (!Push(start, &depth)) return false;
    while (depth > 0) {
      const uint32_t index = stack_[--depth];
      const Instruction& at = regexp_.program_[index];
      switch (at.op) {
        case Op::kMatch:
          return true;
        case Op::kSplit:
          Push(at.next, &depth);
          Push(at.arg, &depth);
          break;
        case Op::kJump:
          Push(at.next, &depth);
          break;
        case Op::kAssert:
          if (Holds(static_cast<Assertion>(at.arg), before, after)) {
            Push(at.next, &depth);
          }
          break;
        default:
          list[(*count)++] = index;
          break;
      }
    }
    return false;
  }

  bool Push(uint32_t index, uint32_t* depth) {
    if (seen_[index] == round_) return false;
    seen_[index] = round_;
    stack_[(*depth)++] = index;
    return true;
  }

  const GoRegexp& regexp_;
  std::string_view text_;
  std::array<uint32_t, 512> small_;
  std::unique_ptr<uint32_t[]> large_;
  uint32_t* seen_;  // round in which the instruction was reached last
  uint32_t* now_;
  uint32_t* next_;
  uint32_t* stack_;
  uint32_t round_ = 0;
};

bool GoRegexp::Match(std::string_view text) const {
  return Run(*this, text).Match();
}

}  // namespace imgbuild::context
