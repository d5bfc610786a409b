#include "dockerfile/flags.h"

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/quote.h"

namespace imgbuild::dockerfile {
namespace {

Error UnknownFlag(std::string_view instruction, const std::string& name,
                  std::span<const FlagSpec> specs) {
  Error error(
      ErrorCode::kDockerfile,
      std::string(instruction) + ": unknown flag " + Shown("--" + name));
  std::vector<std::string> known;
  for (const FlagSpec& spec : specs) known.emplace_back(spec.name);
  if (const std::optional<std::string> near = Suggest(name, known)) {
    error.WithHint("did you mean \"--" + *near + "\"?");
  } else if (known.empty()) {
    error.WithHint(std::string(instruction) + " has no flags");
  } else {
    error.WithHint("the flags of " + std::string(instruction) + " are --" +
                   Join(known, ", --"));
  }
  return error;
}

bool ParseBool(std::string_view instruction, const std::string& name,
               const std::string& value) {
  if (EqualsIgnoreCase(value, "true")) return true;
  if (EqualsIgnoreCase(value, "false")) return false;
  throw Error(ErrorCode::kDockerfile,
              std::string(instruction) + ": flag " + Shown("--" + name) +
                  " is true or false, not " + Shown(value));
}

}  // namespace

Unquoted UnquoteFlag(const LogicalLine& line, Span span, char escape) {
  Unquoted out;
  const std::string& text = line.text();
  char quote = 0;
  for (size_t i = span.begin; i < span.end; ++i) {
    const char c = text[i];
    if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
      continue;
    }
    if (c == quote && quote != 0) {
      quote = 0;
      continue;
    }
    if (c == escape && ++i == span.end) break;  // the last character: dropped
    out.text += text[i];
    out.offsets.push_back(i);
  }
  return out;
}

FlagSet::FlagSet(const LogicalLine& line, const std::vector<FlagSyntax>& flags,
                 char escape, std::string_view instruction,
                 std::span<const FlagSpec> specs) {
  for (const FlagSyntax& flag : flags) {
    const std::string name = UnquoteFlag(line, flag.name, escape).text;
    const auto spec =
        std::find_if(specs.begin(), specs.end(),
                     [&](const FlagSpec& s) { return s.name == name; });
    if (spec == specs.end()) {
      throw UnknownFlag(instruction, name, specs)
          .At(line.Range({flag.whole.begin, flag.name.end}));
    }
    if (spec->kind != FlagKind::kMulti && Find(name) != nullptr) {
      throw Error(ErrorCode::kDockerfile, std::string(instruction) + ": flag " +
                                              Shown("--" + name) +
                                              " is given twice")
          .At(line.Range(flag.whole));
    }
    Given given;
    given.name = name;
    given.span = flag.value.value_or(flag.whole);
    given.value.range = line.Range(given.span);
    if (flag.value)
      given.value.text = UnquoteFlag(line, *flag.value, escape).text;
    const bool missing =
        !flag.value ? spec->kind != FlagKind::kBool
                    : spec->kind == FlagKind::kBool && given.value.text.empty();
    if (missing) {
      throw Error(ErrorCode::kDockerfile, std::string(instruction) + ": flag " +
                                              Shown("--" + name) +
                                              " has no value")
          .At(line.Range(flag.whole))
          .WithHint("write --" + name + "=" +
                    (spec->kind == FlagKind::kBool ? "true" : "VALUE"));
    }
    if (spec->kind == FlagKind::kBool) {
      try {
        given.flag =
            !flag.value || ParseBool(instruction, name, given.value.text);
      } catch (Error& error) {
        error.At(given.value.range);
        throw;
      }
    }
    given_.push_back(std::move(given));
  }
}

const FlagSet::Given* FlagSet::Find(std::string_view name) const {
  for (const Given& given : given_) {
    if (given.name == name) return &given;
  }
  return nullptr;
}

std::optional<Word> FlagSet::Text(std::string_view name) const {
  const Given* given = Find(name);
  if (given == nullptr || given->value.text.empty()) return std::nullopt;
  return given->value;
}

std::optional<Word> FlagSet::TextOrEmpty(std::string_view name) const {
  const Given* given = Find(name);
  if (given == nullptr) return std::nullopt;
  return given->value;
}

std::optional<bool> FlagSet::Bool(std::string_view name) const {
  const Given* given = Find(name);
  if (given == nullptr) return std::nullopt;
  return given->flag;
}

std::vector<Word> FlagSet::Multi(std::string_view name) const {
  std::vector<Word> out;
  for (const Given& given : given_) {
    if (given.name == name) out.push_back(given.value);
  }
  return out;
}

std::vector<Span> FlagSet::Spans(std::string_view name) const {
  std::vector<Span> out;
  for (const Given& given : given_) {
    if (given.name == name) out.push_back(given.span);
  }
  return out;
}

}  // namespace imgbuild::dockerfile
