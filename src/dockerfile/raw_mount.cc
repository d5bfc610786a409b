#include "dockerfile/raw_mount.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/dockerfile/mount.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/mount_options.h"
#include "dockerfile/quote.h"

namespace imgbuild::dockerfile {
namespace {

bool MayBeBare(std::string_view key) {
  return key == "ro" || key == "readonly" || key == "rw" ||
         key == "readwrite" || key == "required";
}

// One CSV field and where each byte of it stands in the logical line.
struct Field {
  std::string text;
  std::vector<size_t> offsets;
  Span span;
};

class CsvRecord {
 public:
  CsvRecord(const LogicalLine& line, Span span, const Unquoted& value)
      : line_(line), span_(span), value_(value) {}

  std::vector<Field> Read() {
    std::vector<Field> fields;
    for (;;) {
      fields.push_back(ReadField());
      if (at_ >= value_.text.size()) return fields;
      ++at_;  // the comma
    }
  }

 private:
  size_t OffsetOf(size_t i) const {
    return i < value_.offsets.size() ? value_.offsets[i] : span_.end;
  }

  Field ReadField() {
    Field field;
    field.span.begin = OffsetOf(at_);
    const std::string& text = value_.text;
    if (at_ < text.size() && text[at_] == '"') {
      ReadQuoted(&field);
    } else {
      for (; at_ < text.size() && text[at_] != ','; ++at_) {
        if (text[at_] == '"') Fail("a quote inside an unquoted option");
        Take(&field);
      }
    }
    field.span.end = at_ == 0 ? field.span.begin : OffsetOf(at_ - 1) + 1;
    field.span.end = std::max(field.span.end, field.span.begin);
    return field;
  }

  void ReadQuoted(Field* field) {
    const std::string& text = value_.text;
    for (++at_;; ++at_) {
      if (at_ >= text.size()) Fail("a quote has no end");
      if (text[at_] != '"') {
        Take(field);
        continue;
      }
      if (at_ + 1 < text.size() && text[at_ + 1] == '"') {
        ++at_;
        Take(field);
        continue;
      }
      ++at_;
      if (at_ < text.size() && text[at_] != ',')
        Fail("text behind a closing quote");
      return;
    }
  }

  void Take(Field* field) {
    field->text += value_.text[at_];
    field->offsets.push_back(OffsetOf(at_));
  }

  [[noreturn]] void Fail(const std::string& why) {
    throw Error(ErrorCode::kDockerfile, "RUN: --mount: " + why)
        .At(line_.Range(span_))
        .WithHint(
            "the options are one CSV record; inside quotes a quote is doubled");
  }

  const LogicalLine& line_;
  const Span span_;
  const Unquoted& value_;
  size_t at_ = 0;
};

RawMount::Option ToOption(const LogicalLine& line, const Field& field) {
  RawMount::Option option;
  const size_t equals = field.text.find('=');
  option.key = ToLower(std::string_view(field.text).substr(0, equals));
  option.range = option.key_range = line.Range(field.span);
  if (equals != std::string::npos && equals > 0) {
    option.key_range =
        line.Range({field.offsets[0], field.offsets[equals - 1] + 1});
  }
  const std::vector<std::string>& keys = MountKeys();
  if (std::find(keys.begin(), keys.end(), option.key) == keys.end()) {
    Error error(ErrorCode::kDockerfile,
                field.text.empty()
                    ? "RUN: --mount: an option is empty"
                    : "RUN: --mount: unknown option " + Shown(option.key));
    error.At(option.key_range);
    if (option.key == "z") {
      error.WithHint("files are not relabelled for SELinux: remove it");
    } else if (const auto near = Suggest(option.key, keys)) {
      error.WithHint("did you mean \"" + *near + "\"?");
    } else {
      error.WithHint("the options are " + Join(keys, ", "));
    }
    throw error;
  }
  if (equals == std::string::npos) {
    if (!MayBeBare(option.key)) {
      throw Error(ErrorCode::kDockerfile,
                  "RUN: --mount: " + Shown(option.key) + " has no value")
          .At(option.range)
          .WithHint("write " + option.key + "=VALUE");
    }
    return option;
  }
  option.value = field.text.substr(equals + 1);
  if (equals + 1 < field.offsets.size()) {
    option.range =
        line.Range({field.offsets[equals + 1], field.offsets.back() + 1});
  }
  return option;
}

}  // namespace

RawMount ParseRawMount(const LogicalLine& line, Span span,
                       const Unquoted& value) {
  RawMount mount;
  mount.range = line.Range(span);
  if (value.text.empty()) {
    throw Error(ErrorCode::kDockerfile, "RUN: --mount has no options")
        .At(mount.range);
  }
  for (const Field& field : CsvRecord(line, span, value).Read())
    mount.options.push_back(ToOption(line, field));
  return mount;
}

void CheckMount(const RawMount& mount, char escape) {
  for (const RawMount::Option& option : mount.options) {
    if (!option.value || !HasVariable(*option.value, escape)) continue;
    if (option.key == "from") {
      throw Error(ErrorCode::kDockerfile,
                  "RUN: --mount: from does not expand variables: " +
                      Shown(*option.value))
          .At(option.range)
          .WithHint(
              "name it with a stage of its own: FROM IMAGE AS NAME, with the "
              "variable as a global ARG");
    }
  }
  for (const RawMount::Option& option : mount.options) {
    // Decided once the variables are known.
    if (option.value && option.key != "from" &&
        HasVariable(*option.value, escape))
      return;
  }
  const Lookup nothing = [](std::string_view) { return std::nullopt; };
  ResolveMount(mount, [&](const Word& word) {
    return Expand(word, nothing, escape).text;
  });
}

}  // namespace imgbuild::dockerfile
