// Any bytes as an ignore file: up to the first line "--" the rules, then one
// path a line. What must hold: a bad file is an Error at its place, the answer
// for a path is the same at once and step by step, and no included path lies
// below a directory that a walk would not enter.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::context {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void CheckPath(const PatternList& list, const std::string& path) {
  const bool excluded = list.Match(path).excluded;
  auto state = list.Root();
  bool reachable = true;
  for (size_t end = path.find('/'); end != std::string::npos;
       end = path.find('/', end + 1)) {
    const auto directory = list.Step(*state, path.substr(0, end), true);
    if (directory.excluded && !directory.descend) reachable = false;
    state = directory.state;
  }
  const auto last = list.Step(*state, path, false);
  Require(last.excluded == excluded, "steps and match disagree");
  Require(excluded || reachable, "an included path cannot be reached");
  Require(!excluded || !list.RuleText(last.rule).empty(), "no rule is named");
}

void CheckGlobs(const std::string& rules, const std::string& path) {
  for (const std::string& pattern : Split(rules, '\n')) {
    try {
      if (GlobMatch(pattern, path) && !HasGlob(pattern)) {
        Require(pattern == path || pattern.find('\\') != std::string::npos,
                "a plain pattern matched something else");
      }
    } catch (const Error& error) {
      Require(error.code() == ErrorCode::kDockerfile, "the code of an error");
    }
  }
}

void Check(const std::string& rules, const std::string& paths) {
  PatternList list;
  try {
    list = PatternList::ParseIgnoreFile(
        std::make_shared<const SourceFile>(".dockerignore", rules));
  } catch (const Error& error) {
    Require(error.code() == ErrorCode::kDockerfile, "the code of an error");
    Require(static_cast<bool>(error.range()), "an error without a place");
  }
  for (const std::string& line : Split(paths, '\n')) {
    const std::string path = fs::CleanRelative(line);
    if (!path.empty()) CheckPath(list, path);
    CheckGlobs(rules, line);
  }
}

}  // namespace
}  // namespace imgbuild::context

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 12) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t cut = text.find("\n--\n");
  if (cut == std::string::npos) {
    imgbuild::context::Check(text, text);
  } else {
    imgbuild::context::Check(text.substr(0, cut), text.substr(cut + 4));
  }
  return 0;
}
