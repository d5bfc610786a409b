// The text of tools/record_*.py: one line, other bytes as in a URL.
#ifndef IMGBUILD_TESTS_SUPPORT_RECORDED_TEXT_H_
#define IMGBUILD_TESTS_SUPPORT_RECORDED_TEXT_H_

#include <string>

namespace imgbuild {

inline std::string UnquoteRecorded(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace imgbuild

#endif  // IMGBUILD_TESTS_SUPPORT_RECORDED_TEXT_H_
