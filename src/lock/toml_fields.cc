#include "lock/toml_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "imgbuild/util/strings.h"

#include "lock/toml_text.h"

namespace imgbuild::lock {
namespace {

// The byte column of the code point `column` (1-based) of a line.
uint32_t ByteColumn(std::string_view line, uint32_t column) {
  size_t at = 0;
  for (uint32_t i = 1; i < column && at < line.size(); ++i) {
    ++at;
    while (at < line.size() && (static_cast<uint8_t>(line[at]) & 0xc0) == 0x80)
      ++at;
  }
  return static_cast<uint32_t>(at + 1);
}

}  // namespace

SourceRange RangeOf(const std::shared_ptr<const SourceFile>& source,
                    const toml::source_region& region) {
  const auto position = [&](const toml::source_position& p) {
    const auto line = std::max<uint32_t>(1, p.line);
    return SourcePos{line, ByteColumn(source->Line(line), p.column)};
  };
  const SourcePos begin = position(region.begin);
  SourcePos end = position(region.end);
  if (!(begin < end)) end = {begin.line, begin.column + 1};
  return SourceRange(source, begin, end);
}

Error LockError(std::string message, const SourceRange& range) {
  Error error(ErrorCode::kDockerfile, std::move(message));
  error.At(range);
  return error;
}

std::string ToTomlText(const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    std::map<std::string, std::string> fields;
    for (const auto& [key, value] : *table) {
      fields[std::string(key.str())] = ToTomlText(value);
    }
    std::string out;
    for (const auto& [key, value] : fields) {
      out += (out.empty() ? " " : ", ") + KeyToml(key) + " = " + value;
    }
    return out.empty() ? "{}" : "{" + out + " }";
  }
  if (const toml::array* array = node.as_array()) {
    std::string out;
    for (const toml::node& value : *array) {
      out += (out.empty() ? "" : ", ") + ToTomlText(value);
    }
    return "[" + out + "]";
  }
  if (const auto* text = node.as_string()) return QuoteToml(text->get());
  if (const auto* number = node.as_integer())
    return fmt::to_string(number->get());
  if (const auto* flag = node.as_boolean())
    return flag->get() ? "true" : "false";
  std::ostringstream out;
  if (const auto* real = node.as_floating_point()) {
    out << *real;
  } else if (const auto* date = node.as_date()) {
    out << *date;
  } else if (const auto* time = node.as_time()) {
    out << *time;
  } else if (const auto* both = node.as_date_time()) {
    out << *both;
  }
  return out.str();
}

SourceRange Fields::RangeOfField(std::string_view key) const {
  const toml::node* node = table_.get(key);
  return node == nullptr ? range() : RangeOf(source_, node->source());
}

Error Fields::At(std::string_view key, std::string message) const {
  return LockError(std::move(message), RangeOfField(key));
}

Error Fields::WrongType(std::string_view key, std::string_view wanted) const {
  return At(key, fmt::format("{} of {} is not {}", key, what_, wanted));
}

Error Fields::Missing(std::string_view key) const {
  return LockError(fmt::format("{} has no {}", what_, key), range())
      .WithHint(
          "an entry that is broken can be deleted: `imgbuild lock` "
          "writes it anew");
}

const toml::node* Fields::Node(std::string_view key) {
  known_.emplace(key);
  return table_.get(key);
}

std::string Fields::String(std::string_view key) {
  const toml::node* node = Node(key);
  if (node == nullptr) return "";
  if (!node->is_string()) throw WrongType(key, "a string");
  return node->as_string()->get();
}

std::optional<int64_t> Fields::Integer(std::string_view key) {
  const toml::node* node = Node(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_integer()) throw WrongType(key, "a whole number");
  return node->as_integer()->get();
}

bool Fields::Flag(std::string_view key) {
  const toml::node* node = Node(key);
  if (node == nullptr) return false;
  if (!node->is_boolean()) throw WrongType(key, "true or false");
  return node->as_boolean()->get();
}

std::vector<std::string> Fields::Strings(std::string_view key) {
  const toml::node* node = Node(key);
  std::vector<std::string> out;
  if (node == nullptr) return out;
  const toml::array* array = node->as_array();
  if (array == nullptr) throw WrongType(key, "a list of strings");
  for (const toml::node& value : *array) {
    if (!value.is_string()) throw WrongType(key, "a list of strings");
    out.push_back(value.as_string()->get());
  }
  return out;
}

std::map<std::string, std::string> Fields::Map(std::string_view key) {
  std::map<std::string, std::string> out;
  const toml::table* table = Table(key);
  if (table == nullptr) return out;
  for (const auto& [name, value] : *table) {
    if (!value.is_string()) throw WrongType(key, "a table of strings");
    out[std::string(name.str())] = value.as_string()->get();
  }
  return out;
}

oci::Digest Fields::ToDigest(std::string_view key, const toml::node& node) {
  const SourceRange where = RangeOf(source_, node.source());
  if (!node.is_string()) throw WrongType(key, "a digest");
  const std::string& text = node.as_string()->get();
  try {
    return oci::Digest::Parse(text);
  } catch (const Error& error) {
    Error located = LockError(error.message(), where);
    if (oci::Digest::TryParse(ToLower(text))) {
      located.WithHint("digests are written in lower case");
    }
    throw located;
  }
}

std::vector<oci::Digest> Fields::Digests(std::string_view key) {
  const toml::node* node = Node(key);
  std::vector<oci::Digest> out;
  if (node == nullptr) return out;
  const toml::array* array = node->as_array();
  if (array == nullptr) throw WrongType(key, "a list of digests");
  for (const toml::node& value : *array) out.push_back(ToDigest(key, value));
  return out;
}

const toml::table* Fields::Table(std::string_view key) {
  const toml::node* node = Node(key);
  if (node == nullptr) return nullptr;
  if (!node->is_table()) throw WrongType(key, "a table");
  return node->as_table();
}

std::vector<const toml::table*> Fields::Tables(std::string_view key) {
  const toml::node* node = Node(key);
  std::vector<const toml::table*> out;
  if (node == nullptr) return out;
  const toml::array* array = node->as_array();
  const std::string wanted =
      fmt::format("a list of tables, written [[{}]]", key);
  if (array == nullptr) throw WrongType(key, wanted);
  for (const toml::node& value : *array) {
    if (!value.is_table()) throw WrongType(key, wanted);
    out.push_back(value.as_table());
  }
  return out;
}

std::string Fields::RequireString(std::string_view key) {
  const toml::node* node = Node(key);
  if (node == nullptr) throw Missing(key);
  std::string text = String(key);
  if (text.empty()) throw At(key, fmt::format("{} of {} is empty", key, what_));
  return text;
}

oci::Digest Fields::RequireDigest(std::string_view key) {
  const toml::node* node = Node(key);
  if (node == nullptr) throw Missing(key);
  return ToDigest(key, *node);
}

uint64_t Fields::RequireSize(std::string_view key) {
  const auto size = Integer(key);
  if (!size) throw Missing(key);
  if (*size < 0) throw At(key, fmt::format("{} of {} is negative", key, what_));
  return static_cast<uint64_t>(*size);
}

UnknownFields Fields::Rest() const {
  UnknownFields rest;
  for (const auto& [key, value] : table_) {
    if (!known_.contains(key.str())) {
      rest[std::string(key.str())] = ToTomlText(value);
    }
  }
  return rest;
}

}  // namespace imgbuild::lock
