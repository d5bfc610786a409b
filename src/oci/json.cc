#include "json.h"

#include <limits>

#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

namespace imgbuild::oci {
namespace {

using Json = nlohmann::json;

const Json& Node(const void* node) { return *static_cast<const Json*>(node); }

std::string Escaped(std::string_view text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Watches a parse: nesting and repeated keys.
class Guard {
 public:
  explicit Guard(const std::string& what) : what_(what) {}

  void See(int depth, Json::parse_event_t event, const Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (depth >= kMaxJsonDepth) {
          throw Error(ErrorCode::kRegistry, what_ + ": JSON nested more than " +
                                                std::to_string(kMaxJsonDepth) +
                                                " levels deep");
        }
        keys_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end:
        keys_.pop_back();
        break;
      case Json::parse_event_t::key:
        SeeKey(parsed.get_ref<const std::string&>());
        break;
      case Json::parse_event_t::value:
        break;
    }
  }

 private:
  void SeeKey(const std::string& key) {
    if (keys_.back().insert(key).second) return;
    throw Error(ErrorCode::kRegistry,
                what_ + ": the key " + Quoted(key) + " appears twice");
  }

  const std::string& what_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

struct JsonDocument::Impl {
  Json root;
};

JsonDocument::JsonDocument(std::string_view text, size_t cap, std::string what)
    : impl_(std::make_unique<Impl>()), what_(std::move(what)) {
  if (text.size() > cap) {
    throw Error(ErrorCode::kRegistry,
                what_ + ": more than " + std::to_string(cap) + " bytes");
  }
  Guard guard(what_);
  try {
    impl_->root = Json::parse(
        text.begin(), text.end(),
        [&guard](int depth, Json::parse_event_t event, const Json& parsed) {
          guard.See(depth, event, parsed);
          return true;
        });
  } catch (const Json::parse_error& e) {
    throw Error(ErrorCode::kRegistry,
                what_ + ": malformed JSON at byte " + std::to_string(e.byte));
  } catch (const Json::exception& e) {
    // A number that no type holds.
    throw Error(ErrorCode::kRegistry, what_ + ": malformed JSON: " + e.what());
  }
  if (!impl_->root.is_object()) {
    throw Error(ErrorCode::kRegistry, what_ + ": not a JSON object");
  }
}

JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() const {
  return JsonValue(&impl_->root, "", &what_);
}

Error JsonValue::Wrong(std::string_view reason) const {
  std::string message = *what_ + ": ";
  if (!path_.empty()) message += Quoted(path_) + " ";
  return Error(ErrorCode::kRegistry, message += reason);
}

bool JsonValue::IsNull() const {
  return node_ == nullptr || Node(node_).is_null();
}

bool JsonValue::IsObject() const {
  return node_ != nullptr && Node(node_).is_object();
}

JsonValue JsonValue::operator[](std::string_view key) const {
  const std::string path =
      path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  if (IsNull()) return JsonValue(nullptr, path, what_);
  if (!IsObject()) throw Wrong("is not an object");
  const auto found = Node(node_).find(key);
  const void* node = found == Node(node_).end() ? nullptr : &*found;
  return JsonValue(node, path, what_);
}

std::string JsonValue::String() const {
  if (IsNull()) return "";
  if (!Node(node_).is_string()) throw Wrong("is not a string");
  return Node(node_).get<std::string>();
}

int64_t JsonValue::Int() const {
  if (IsNull()) return 0;
  const Json& node = Node(node_);
  if (!node.is_number_integer()) throw Wrong("is not a whole number");
  if (node.is_number_unsigned() &&
      node.get<uint64_t>() >
          static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    throw Wrong("is out of range");
  }
  return node.get<int64_t>();
}

bool JsonValue::Bool() const {
  if (IsNull()) return false;
  if (!Node(node_).is_boolean()) throw Wrong("is not true or false");
  return Node(node_).get<bool>();
}

std::vector<JsonValue> JsonValue::Elements() const {
  std::vector<JsonValue> out;
  if (IsNull()) return out;
  if (!Node(node_).is_array()) throw Wrong("is not an array");
  for (const Json& element : Node(node_)) {
    out.push_back(JsonValue(
        &element, path_ + "[" + std::to_string(out.size()) + "]", what_));
  }
  return out;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::Members() const {
  std::vector<std::pair<std::string, JsonValue>> out;
  if (IsNull()) return out;
  if (!IsObject()) throw Wrong("is not an object");
  for (const auto& [key, value] : Node(node_).items()) {
    out.emplace_back(key, JsonValue(&value, path_ + "." + key, what_));
  }
  return out;
}

std::vector<std::string> JsonValue::Strings() const {
  std::vector<std::string> out;
  for (const JsonValue& element : Elements()) out.push_back(element.String());
  return out;
}

std::vector<std::string> JsonValue::StringOrStrings() const {
  if (!IsNull() && Node(node_).is_string()) return {String()};
  return Strings();
}

std::map<std::string, std::string> JsonValue::StringMap() const {
  std::map<std::string, std::string> out;
  for (const auto& [key, value] : Members()) out[key] = value.String();
  return out;
}

std::set<std::string> JsonValue::KeySet() const {
  std::set<std::string> out;
  for (const auto& [key, value] : Members()) {
    if (!value.IsNull() && !value.IsObject()) {
      throw value.Wrong("is not an object");
    }
    out.insert(key);
  }
  return out;
}

void JsonWriter::Separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}

void JsonWriter::Open(char c) {
  Separate();
  out_ += c;
  comma_ = false;
}

void JsonWriter::Close(char c) {
  out_ += c;
  comma_ = true;
}

void JsonWriter::Key(std::string_view key) {
  Separate();
  out_ += Escaped(key);
  out_ += ':';
  comma_ = false;
}

void JsonWriter::Raw(std::string_view json) {
  Separate();
  out_ += json;
}

void JsonWriter::String(std::string_view text) { Raw(Escaped(text)); }

void JsonWriter::Member(std::string_view key, std::string_view text) {
  Key(key);
  String(text);
}

void JsonWriter::OptionalMember(std::string_view key, std::string_view text) {
  if (!text.empty()) Member(key, text);
}

void JsonWriter::OptionalMember(std::string_view key,
                                const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  Key(key);
  BeginArray();
  for (const std::string& text : texts) String(text);
  EndArray();
}

void JsonWriter::OptionalMember(
    std::string_view key, const std::map<std::string, std::string>& texts) {
  if (texts.empty()) return;
  Key(key);
  BeginObject();
  for (const auto& [name, text] : texts) Member(name, text);
  EndObject();
}

void JsonWriter::OptionalMember(std::string_view key,
                                const std::set<std::string>& keys) {
  if (keys.empty()) return;
  Key(key);
  BeginObject();
  for (const std::string& name : keys) {
    Key(name);
    Raw("{}");
  }
  EndObject();
}

}  // namespace imgbuild::oci
