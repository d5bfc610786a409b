#include "registry/registry_error.h"

#include <algorithm>

#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "registry/backoff.h"
#include "registry/http_headers.h"

namespace imgbuild::registry {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxErrorJson = 1u << 20;
constexpr size_t kMaxItems = 8;
constexpr size_t kMaxText = 400;

std::string StringAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return "";
  return Printable(found->get_ref<const std::string&>(), kMaxText);
}

}  // namespace

std::vector<RegistryErrorItem> ParseErrorBody(std::string_view body) {
  std::vector<RegistryErrorItem> out;
  body = Trim(body);
  if (body.empty() || body.size() > kMaxErrorJson || body.front() == '<') {
    return out;
  }
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) {
    out.push_back({"", Printable(body, kMaxText)});
    return out;
  }
  if (!json.is_object()) return out;
  if (const auto errors = json.find("errors");
      errors != json.end() && errors->is_array()) {
    for (const Json& item : *errors) {
      if (out.size() >= kMaxItems) break;
      if (item.is_object()) {
        out.push_back({StringAt(item, "code"), StringAt(item, "message")});
      } else if (item.is_string()) {
        out.push_back(
            {"", Printable(item.get_ref<const std::string&>(), kMaxText)});
      }
    }
    return out;
  }
  if (const std::string code = StringAt(json, "error"); !code.empty()) {
    out.push_back({code, StringAt(json, "error_description")});
    return out;
  }
  for (const char* key : {"details", "detail", "message"}) {
    if (const std::string text = StringAt(json, key); !text.empty()) {
      out.push_back({"", text});
      return out;
    }
  }
  return out;
}

Error ResponseError(std::string_view method, const HttpResponse& response,
                    std::string_view body) {
  std::string reasons;
  for (const RegistryErrorItem& item : ParseErrorBody(body)) {
    if (item.code.empty() && item.message.empty()) continue;
    if (!reasons.empty()) reasons += "; ";
    reasons += item.code;
    if (!item.code.empty() && !item.message.empty()) reasons += ": ";
    reasons += item.message;
  }
  std::string message = std::string(method) + " " + response.url + ": ";
  if (reasons.empty()) {
    message += "status " + std::to_string(response.status);
  } else {
    message += reasons;
  }
  Error error(ErrorCode::kRegistry, std::move(message));
  error.Temporary(KindOfStatus(response.status) != FailureKind::kNone);
  return error;
}

bool HasErrorCode(std::string_view body, std::string_view code) {
  const auto items = ParseErrorBody(body);
  return std::any_of(items.begin(), items.end(), [code](const auto& item) {
    return EqualsIgnoreCase(item.code, code);
  });
}

}  // namespace imgbuild::registry
