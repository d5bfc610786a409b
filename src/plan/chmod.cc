#include "imgbuild/plan/chmod.h"

#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

constexpr uint32_t kUser = 04700;
constexpr uint32_t kGroup = 02070;
constexpr uint32_t kOther = 01007;

Error Invalid(std::string_view text) {
  return Error(ErrorCode::kDockerfile,
               fmt::format("invalid chmod parameter {}: it should be an octal "
                           "number (0-7777) or a symbolic mode",
                           Quoted(text)))
      .WithHint("for example 755, 0644, u=rwX,go=rX or +x");
}

}  // namespace

Chmod::Clause Chmod::ParseClause(std::string_view text, std::string_view whole,
                                 size_t& i) {
  Clause clause;
  for (; i < text.size() &&
         std::string_view("ugoa").find(text[i]) != std::string_view::npos;
       ++i) {
    clause.who |= text[i] == 'u'   ? kUser
                  : text[i] == 'g' ? kGroup
                  : text[i] == 'o' ? kOther
                                   : 07777;
  }
  if (clause.who == 0) clause.who = 07777;
  if (i == text.size() ||
      std::string_view("+-=").find(text[i]) == std::string_view::npos) {
    throw Invalid(whole);
  }
  clause.op = text[i++];
  for (; i < text.size() &&
         std::string_view("+-=").find(text[i]) == std::string_view::npos;
       ++i) {
    switch (text[i]) {
      case 'r':
        clause.bits |= 0444;
        break;
      case 'w':
        clause.bits |= 0222;
        break;
      case 'x':
        clause.bits |= 0111;
        break;
      case 'X':
        clause.conditional_x = true;
        break;
      case 's':
        clause.bits |= 06000;
        break;
      case 't':
        clause.bits |= 01000;
        break;
      case 'u':
      case 'g':
      case 'o':
        if (clause.copy_from != 0) throw Invalid(whole);
        clause.copy_from = text[i];
        break;
      default:
        throw Invalid(whole);
    }
  }
  return clause;
}

Chmod Chmod::Parse(std::string_view text) {
  Chmod out;
  if (text.empty()) throw Invalid(text);
  if (text.find_first_not_of("01234567") == std::string_view::npos) {
    uint32_t mode = 0;
    for (const char c : text) {
      mode = mode * 8 + static_cast<uint32_t>(c - '0');
      if (mode > 07777) throw Invalid(text);
    }
    out.octal_ = mode;
    return out;
  }
  for (const std::string& part : Split(text, ',')) {
    if (part.empty()) throw Invalid(text);
    size_t position = 0;
    Clause clause = ParseClause(part, text, position);
    const uint32_t who = clause.who;
    out.clauses_.push_back(clause);
    // "u+r-w": further operators for the same classes.
    while (position < part.size()) {
      clause = ParseClause(part, text, position);
      clause.who = who;
      out.clauses_.push_back(clause);
    }
  }
  return out;
}

uint32_t Chmod::Apply(uint32_t mode, bool directory) const {
  if (octal_) return *octal_;
  for (const Clause& clause : clauses_) {
    uint32_t bits = clause.bits;
    if (clause.conditional_x && (directory || (mode & 0111) != 0)) bits |= 0111;
    if (clause.copy_from != 0) {
      const int shift = clause.copy_from == 'u'   ? 6
                        : clause.copy_from == 'g' ? 3
                                                  : 0;
      const uint32_t rwx = (mode >> shift) & 7;
      bits |= rwx << 6 | rwx << 3 | rwx;
    }
    bits &= clause.who;
    if (clause.op == '+') {
      mode |= bits;
    } else if (clause.op == '-') {
      mode &= ~bits;
    } else {
      // "=" leaves the set-id bits of a directory alone, as chmod(1) does.
      uint32_t cleared = clause.who;
      if (directory) cleared &= ~06000u;
      mode = (mode & ~cleared) | bits;
    }
  }
  return mode;
}

}  // namespace imgbuild::plan
