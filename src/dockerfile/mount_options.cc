#include "dockerfile/mount_options.h"

#include <charconv>

#include "imgbuild/util/strings.h"

#include "dockerfile/quote.h"

namespace imgbuild::dockerfile {

const std::vector<std::string>& MountKeys() {
  static const std::vector<std::string> keys = {
      "type", "from",        "source",   "src",      "target",
      "dst",  "destination", "readonly", "ro",       "readwrite",
      "rw",   "id",          "sharing",  "required", "mode",
      "uid",  "gid",         "size",     "env"};
  return keys;
}

std::string CanonicalMountKey(const std::string& key) {
  if (key == "src") return "source";
  if (key == "dst" || key == "destination") return "target";
  if (key == "ro") return "readonly";
  if (key == "rw") return "readwrite";
  return key;
}

bool MountTakes(MountSpec::Type type, std::string_view key) {
  using Type = MountSpec::Type;
  const bool file = type == Type::kSecret || type == Type::kSsh;
  if (key == "type" || key == "target" || key == "readonly") return true;
  if (key == "readwrite") return !file;
  if (key == "source") {
    return type == Type::kBind || type == Type::kCache || type == Type::kSecret;
  }
  if (key == "from") return type == Type::kBind || type == Type::kCache;
  if (key == "id") return type == Type::kCache || file;
  if (key == "sharing") return type == Type::kCache;
  if (key == "required") return file;
  if (key == "mode" || key == "uid" || key == "gid")
    return type == Type::kCache || file;
  if (key == "size") return type == Type::kTmpfs;
  return key == "env" && type == Type::kSecret;
}

MountOptions::MountOptions(
    const RawMount& raw,
    const std::function<std::string(const Word& value)>& expand)
    : range_(raw.range) {
  for (const RawMount::Option& option : raw.options) {
    const std::string key = CanonicalMountKey(option.key);
    if (!values_.contains(key)) order_.push_back(key);
    Value value{option.key, option.value, option.range, option.key_range};
    if (value.text && key != "from")
      value.text = expand(Word{*option.value, option.range});
    values_[key] = std::move(value);
  }
}

std::optional<std::string> MountOptions::Text(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second.text;
}

std::optional<bool> MountOptions::Bool(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  if (!found->second.text) return true;
  const std::string& text = *found->second.text;
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  throw At(key,
           found->second.written + " is true or false, not " + Shown(text));
}

std::optional<uint32_t> MountOptions::Number(const std::string& key, int base,
                                             uint32_t max) const {
  const std::optional<std::string> text = Text(key);
  if (!text) return std::nullopt;
  uint32_t value = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value, base);
  if (text->empty() || error != std::errc() || stop != end || value > max) {
    throw At(key, "invalid " + key + " " + Shown(*text))
        .WithHint(base == 8 ? "an octal number up to 07777"
                            : "a number of at most 32 bits");
  }
  return value;
}

Error MountOptions::At(const std::string& key, const std::string& what) const {
  Error error(ErrorCode::kDockerfile, "RUN: --mount: " + what);
  const auto found = values_.find(key);
  return error.At(found == values_.end() ? range_ : found->second.range);
}

Error MountOptions::AtKey(const std::string& key,
                          const std::string& what) const {
  return Error(ErrorCode::kDockerfile, "RUN: --mount: " + what)
      .At(values_.at(key).key_range);
}

Error MountOptions::Whole(const std::string& what) const {
  return Error(ErrorCode::kDockerfile, "RUN: --mount: " + what).At(range_);
}

}  // namespace imgbuild::dockerfile
