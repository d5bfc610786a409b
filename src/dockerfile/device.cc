#include "imgbuild/dockerfile/device.h"

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::dockerfile {
namespace {

Error Wrong(const Word& value, const std::string& message) {
  Error error(ErrorCode::kDockerfile, "RUN: --device: " + message);
  return error.At(value.range);
}

// As Go's strconv.ParseBool.
bool ParseBool(const Word& value, const std::string& text) {
  for (const char* word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  for (const char* word : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == word) return false;
  }
  throw Wrong(value, "invalid value for required: " + Quoted(text))
      .WithHint("it is true or false");
}

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsAlnum(char c) { return IsLetter(c) || (c >= '0' && c <= '9'); }

// A letter, then letters, digits and "_-.", a letter or digit at the end.
bool IsLabel(const std::string& text) {
  return !text.empty() && IsLetter(text.front()) && IsAlnum(text.back()) &&
         std::ranges::all_of(text, [](char c) {
           return IsAlnum(c) || c == '_' || c == '-' || c == '.';
         });
}

}  // namespace

bool IsDeviceKind(const std::string& text) {
  const size_t slash = text.find('/');
  return slash != std::string::npos && IsLabel(text.substr(0, slash)) &&
         IsLabel(text.substr(slash + 1));
}

DeviceRequest ParseDeviceRequest(const Word& value) {
  DeviceRequest request;
  for (const std::string& field : Split(value.text, ',')) {
    const size_t equals = field.find('=');
    const std::string key = ToLower(field.substr(0, equals));
    const std::string text =
        equals == std::string::npos ? "" : field.substr(equals + 1);
    if (key == "required") {
      request.required = equals == std::string::npos || ParseBool(value, text);
    } else if (key == "name" && equals != std::string::npos) {
      if (!request.name.empty()) {
        throw Wrong(value, "the name is already set to " + request.name);
      }
      request.name = text;
    } else if (request.name.empty() && !field.empty()) {
      request.name = field;
    } else {
      Error error = Wrong(value, "unknown option " + Quoted(field));
      const auto near = Suggest(key, {"name", "required"});
      throw error.WithHint(near ? "did you mean " + *near + "?"
                                : "the form is NAME[,required]");
    }
  }
  if (request.name.empty()) {
    throw Wrong(value, "no device is named")
        .WithHint("the form is VENDOR/CLASS=NAME[,required]");
  }
  return request;
}

}  // namespace imgbuild::dockerfile
