// Any bytes as a word to expand, with either escape character, as words, and as
// the body of a here-document. Each line of the input is one word.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {
namespace {

std::optional<std::string> Variable(std::string_view name) {
  if (name == "u") return std::nullopt;
  if (name == "e") return "";
  return "/usr/local/" + std::string(name) + ".tar.gz a*b?c\n é";
}

template <typename F>
void Try(F function) {
  try {
    function();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kDockerfile) return;
    std::fprintf(stderr, "broken: the code of an error\n");
    std::abort();
  }
}

void ExpandAny(const std::string& text) {
  Heredoc heredoc;
  heredoc.name = "E";
  heredoc.body = text;
  Try([&] { ExpandHeredoc(heredoc, Variable); });
  for (char escape : {'\\', '`'}) {
    const Word word{text, {}};
    Try([&] {
      const ExpandResult result = Expand(word, Variable, escape);
      // Text without anything special stays as it is.
      const bool plain =
          text.find_first_of(std::string("$'\"") + escape) == text.npos;
      const bool used = HasVariable(text, escape) ||
                        result.matched.size() > 0 ||
                        result.unmatched.size() > 0;
      if (plain && (result.text != text || used)) {
        std::fprintf(stderr, "broken: plain text was changed\n");
        std::abort();
      }
    });
    Try([&] {
      for (const std::string& part :
           ExpandWords(word, Variable, escape).words) {
        if (part.empty()) std::abort();
      }
    });
  }
}

}  // namespace
}  // namespace imgbuild::dockerfile

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 14) return 0;
  std::string text(reinterpret_cast<const char*>(data), size);
  imgbuild::dockerfile::ExpandAny(text);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    imgbuild::dockerfile::ExpandAny(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return 0;
}
