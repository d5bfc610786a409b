// Go's filepath.Match. A pattern is a row of chunks, each preceded by a run of
// stars or by nothing; a chunk is matched at one place, a star tries places
// from left to right and never comes back to an earlier star. (That is how the
// original decides, and it shows when a class eats a '/'. Nor does it look for
// mistakes behind the chunk that failed.)
#include <string>
#include <string_view>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "context/utf8.h"

namespace imgbuild::context {
namespace {

struct BadPattern {};

struct Chunk {
  bool star = false;
  std::string_view text;
};

Chunk TakeChunk(std::string_view* pattern) {
  Chunk chunk;
  while (pattern->starts_with('*')) {
    pattern->remove_prefix(1);
    chunk.star = true;
  }
  bool in_class = false;
  size_t end = 0;
  for (; end < pattern->size(); ++end) {
    const char c = (*pattern)[end];
    if (c == '\\') {
      if (end + 1 < pattern->size()) ++end;
    } else if (c == '[') {
      in_class = true;
    } else if (c == ']') {
      in_class = false;
    } else if (c == '*' && !in_class) {
      break;
    }
  }
  chunk.text = pattern->substr(0, end);
  pattern->remove_prefix(end);
  return chunk;
}

// One character of a class, perhaps escaped. Something must follow it, at
// least the closing bracket.
char32_t TakeClassChar(std::string_view* chunk) {
  if (chunk->empty() || chunk->front() == '-' || chunk->front() == ']') {
    throw BadPattern();
  }
  if (chunk->front() == '\\') chunk->remove_prefix(1);
  const Rune rune = DecodeRune(*chunk);
  if (rune.value == kRuneError && rune.size <= 1) throw BadPattern();
  chunk->remove_prefix(rune.size);
  if (chunk->empty()) throw BadPattern();
  return rune.value;
}

// REQUIRES: *chunk stands behind '['. Leaves it behind ']'.
bool TakeClass(std::string_view* chunk, char32_t rune) {
  bool negated = false;
  if (chunk->starts_with('^')) {
    negated = true;
    chunk->remove_prefix(1);
  }
  bool found = false;
  for (int ranges = 0;; ++ranges) {
    if (ranges > 0 && chunk->starts_with(']')) break;
    const char32_t low = TakeClassChar(chunk);
    char32_t high = low;
    if (chunk->front() == '-') {
      chunk->remove_prefix(1);
      high = TakeClassChar(chunk);
    }
    if (low <= rune && rune <= high) found = true;
  }
  chunk->remove_prefix(1);
  return found != negated;
}

// Whether `chunk` matches the beginning of *name, which is cut off then. After
// a mismatch the rest of the chunk is still checked for syntax.
bool MatchChunk(std::string_view chunk, std::string_view* name) {
  std::string_view rest = *name;
  bool failed = false;
  while (!chunk.empty()) {
    if (rest.empty()) failed = true;
    const char c = chunk.front();
    chunk.remove_prefix(1);
    if (c == '[') {
      Rune rune;
      if (!failed) {
        rune = DecodeRune(rest);
        rest.remove_prefix(rune.size);
      }
      if (!TakeClass(&chunk, rune.value)) failed = true;
    } else if (c == '?') {
      if (failed) continue;
      if (rest.front() == '/') failed = true;
      rest.remove_prefix(DecodeRune(rest).size);
    } else {
      char literal = c;
      if (c == '\\') {
        if (chunk.empty()) throw BadPattern();
        literal = chunk.front();
        chunk.remove_prefix(1);
      }
      if (failed) continue;
      if (rest.front() != literal) failed = true;
      rest.remove_prefix(1);
    }
  }
  if (failed) return false;
  *name = rest;
  return true;
}

// Tries `chunk` behind a star at every later place of *name up to the next
// slash; `last` means that nothing may be left over.
bool MatchBehindStar(std::string_view chunk, bool last,
                     std::string_view* name) {
  for (size_t skip = 0; skip < name->size() && (*name)[skip] != '/'; ++skip) {
    std::string_view rest = name->substr(skip + 1);
    if (!MatchChunk(chunk, &rest)) continue;
    if (last && !rest.empty()) continue;
    *name = rest;
    return true;
  }
  return false;
}

bool Match(std::string_view pattern, std::string_view name) {
  while (!pattern.empty()) {
    const Chunk chunk = TakeChunk(&pattern);
    if (chunk.star && chunk.text.empty()) {
      return name.find('/') == std::string_view::npos;
    }
    const bool last = pattern.empty();
    std::string_view rest = name;
    if (MatchChunk(chunk.text, &rest) && (rest.empty() || !last)) {
      name = rest;
      continue;
    }
    if (chunk.star && MatchBehindStar(chunk.text, last, &name)) continue;
    return false;
  }
  return name.empty();
}

}  // namespace

bool GlobMatch(std::string_view pattern, std::string_view name) {
  try {
    return Match(pattern, name);
  } catch (const BadPattern&) {
    throw Error(ErrorCode::kDockerfile,
                "pattern " + Quoted(pattern) + ": syntax error");
  }
}

bool HasGlob(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      ++i;
    } else if (c == '*' || c == '?' || c == '[') {
      return true;
    }
  }
  return false;
}

}  // namespace imgbuild::context
