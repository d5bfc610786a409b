#include "support/http_handler.h"

#include "imgbuild/util/strings.h"

namespace imgbuild::testing {

std::string HeaderOf(const TestHeaders& headers, const std::string& name) {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoreCase(key, name)) return value;
  }
  return "";
}

std::string PercentDecode(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::optional<std::string> TestRequest::Param(const std::string& name) const {
  for (const std::string& part : Split(query, '&')) {
    const size_t equals = part.find('=');
    if (part.substr(0, equals) != name) continue;
    return equals == std::string::npos ? ""
                                       : PercentDecode(part.substr(equals + 1));
  }
  return std::nullopt;
}

TestResponse JsonResponse(int status, const std::string& body) {
  TestResponse response;
  response.status = status;
  response.headers = {{"Content-Type", "application/json"}};
  response.body = body;
  return response;
}

TestResponse RegistryError(int status, const std::string& code,
                           const std::string& message) {
  return JsonResponse(status, "{\"errors\":[{\"code\":\"" + code +
                                  "\",\"message\":\"" + message + "\"}]}");
}

}  // namespace imgbuild::testing
