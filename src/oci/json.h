// JSON as this module needs it: values that know where they are, so that an
// error names the field, and a writer with a fixed key order. The library
// stays in json.cc.
#ifndef IMGBUILD_SRC_OCI_JSON_H_
#define IMGBUILD_SRC_OCI_JSON_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgbuild/util/error.h"

namespace imgbuild::oci {

// Deepest nesting that is parsed: real documents have five levels.
inline constexpr int kMaxJsonDepth = 64;

// A value inside a JsonDocument (which must outlive it). An absent member is a
// value too; absent and null are the same everywhere. All accessors throw
// Error(kRegistry, `WHAT: "config.Env[2]" is not a string`).
class JsonValue {
 public:
  bool IsNull() const;
  // Member of an object; null of null.
  JsonValue operator[](std::string_view key) const;
  // "", 0, false, empty when null.
  std::string String() const;
  int64_t Int() const;
  bool Bool() const;
  std::vector<JsonValue> Elements() const;
  std::vector<std::pair<std::string, JsonValue>> Members() const;
  std::vector<std::string> Strings() const;
  // As Strings(), and a plain string is a list of one.
  std::vector<std::string> StringOrStrings() const;
  std::map<std::string, std::string> StringMap() const;
  // The keys of an object whose values are objects or null.
  std::set<std::string> KeySet() const;
  bool IsObject() const;

  // `WHAT: "PATH" REASON`
  Error Wrong(std::string_view reason) const;

 private:
  friend class JsonDocument;
  JsonValue(const void* node, std::string path, const std::string* what)
      : node_(node), path_(std::move(path)), what_(what) {}
  const void* node_;  // null: absent
  std::string path_;
  const std::string* what_;
};

// Owner of a parsed text. Refused, with Error(kRegistry): text over `cap`,
// malformed text or UTF-8, nesting beyond kMaxJsonDepth, a key that an object
// has twice (readers disagree on which one counts), a top that is no object.
class JsonDocument {
 public:
  JsonDocument(std::string_view text, size_t cap, std::string what);
  ~JsonDocument();
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;
  JsonValue root() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string what_;
};

// Writes compact JSON in the order of the calls. Optional members are left out
// when empty, as `omitempty` does. Bytes that are no UTF-8 become U+FFFD.
class JsonWriter {
 public:
  void BeginObject() { Open('{'); }
  void EndObject() { Close('}'); }
  void BeginArray() { Open('['); }
  void EndArray() { Close(']'); }
  void Key(std::string_view key);
  void String(std::string_view text);
  void Int(int64_t value) { Raw(std::to_string(value)); }
  void Uint(uint64_t value) { Raw(std::to_string(value)); }
  void Raw(std::string_view json);

  void Member(std::string_view key, std::string_view text);
  void OptionalMember(std::string_view key, std::string_view text);
  void OptionalMember(std::string_view key,
                      const std::vector<std::string>& texts);
  void OptionalMember(std::string_view key,
                      const std::map<std::string, std::string>& texts);
  // {"80/tcp":{}}
  void OptionalMember(std::string_view key, const std::set<std::string>& keys);

  std::string Take() { return std::move(out_); }

 private:
  void Open(char c);
  void Close(char c);
  void Separate();
  std::string out_;
  bool comma_ = false;
};

}  // namespace imgbuild::oci

#endif  // IMGBUILD_SRC_OCI_JSON_H_
