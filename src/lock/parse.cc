// The reader. TOML itself is toml++'s business; what the fields may hold is
// checked here, each mistake at its line.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/strings.h"

#include "lock/toml_fields.h"
#include "lock/toml_text.h"

namespace imgbuild::lock {
namespace {

using Source = std::shared_ptr<const SourceFile>;

constexpr char kPolicy[] = "policy";

SourceRange WholeLine(const Source& source, uint32_t line) {
  const auto length = static_cast<uint32_t>(source->Line(line).size());
  return SourceRange(source, {line, 1}, {line, std::max(2u, length + 1)});
}

// What version control leaves behind says more than the TOML error it causes.
void RefuseConflictMarkers(const Source& source) {
  for (uint32_t line = 1; line <= source->line_count(); ++line) {
    const std::string_view text = source->Line(line);
    if (!text.starts_with("<<<<<<<") && !text.starts_with(">>>>>>>") &&
        !text.starts_with("|||||||") && text != "=======") {
      continue;
    }
    throw LockError("merge conflict markers in the lock",
                    WholeLine(source, line))
        .WithHint(
            "every entry is a block of its own: keep the blocks of both "
            "sides, one a name, or take one side whole; then run "
            "`imgbuild lock`, which adds what is missing");
  }
}

void RefuseCutOff(const Source& source) {
  const std::string& text = source->text();
  if (text.empty()) {
    throw LockError("the lock is empty", WholeLine(source, 1))
        .WithHint("delete it, or restore it from version control");
  }
  if (text.ends_with('\n')) return;
  throw LockError("the lock ends in the middle of a line: it was cut off",
                  WholeLine(source, source->line_count()))
      .WithHint(
          "restore it from version control, or delete it and run "
          "`imgbuild lock`");
}

oci::Reference ToReference(Fields& fields) {
  const std::string text = fields.RequireString("name");
  const auto reference = oci::Reference::TryParse(text);
  if (!reference) {
    throw fields.At(
        "name", fmt::format("{} is not the name of an image", Quoted(text)));
  }
  if (KeyOf(*reference) != *reference || reference->ToString() != text) {
    throw fields
        .At("name", fmt::format("{} is not written in full", Quoted(text)))
        .WithHint(fmt::format("write {}", KeyOf(*reference).ToString()));
  }
  return *reference;
}

std::string ToPlatform(std::string text, const SourceRange& range) {
  std::string normal;
  try {
    normal = oci::Platform::Parse(text).ToString();
  } catch (const Error& error) {
    throw LockError(error.message(), range);
  }
  if (normal != text) {
    throw LockError(
        fmt::format("the platform {} is not in its normal form", Quoted(text)),
        range)
        .WithHint("write " + normal);
  }
  return text;
}

PlatformPin ParsePlatformPin(Fields fields) {
  PlatformPin pin{fields.RequireDigest("manifest"),
                  fields.RequireSize("size"),
                  fields.RequireDigest("config"),
                  fields.String("actual"),
                  fields.String("created"),
                  fields.RangeOfField("manifest"),
                  {}};
  if (!pin.actual.empty()) {
    ToPlatform(pin.actual, fields.RangeOfField("actual"));
  }
  pin.unknown = fields.Rest();
  return pin;
}

void SortUnique(std::vector<std::string>& list) {
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

// What images, URLs and repositories have in common.
template <typename Pin>
void ParseCommon(Fields& fields, Pin& pin) {
  pin.args = fields.Map("args");
  pin.variants = fields.Strings("variants");
  SortUnique(pin.variants);
}

ImagePin ParseImage(const Source& source, Fields fields) {
  ImagePin pin{ToReference(fields),
               fields.Strings("written"),
               fields.RequireDigest("digest"),
               fields.RequireString("media-type"),
               fields.RequireSize("size"),
               {},
               {},
               fields.Digests("previous"),
               {},
               fields.RangeOfField("digest"),
               {}};
  SortUnique(pin.written);
  ParseCommon(fields, pin);
  if (pin.name.digest() && *pin.name.digest() != pin.digest) {
    throw fields.At("digest",
                    fmt::format("the digest of {} is another one than its name "
                                "has",
                                pin.name.Familiar()));
  }
  const toml::table* platforms = fields.Table("platform");
  if (platforms == nullptr || platforms->empty()) {
    throw LockError(
        fmt::format("{} has no [image.platform.…]", pin.name.Familiar()),
        fields.range())
        .WithHint("delete the entry and run `imgbuild lock`");
  }
  for (const auto& [key, value] : *platforms) {
    const SourceRange where = RangeOf(source, key.source());
    const std::string platform = ToPlatform(std::string(key.str()), where);
    const toml::table* table = value.as_table();
    if (table == nullptr) {
      throw LockError(fmt::format("platform {} is not a table", platform),
                      where);
    }
    pin.platforms.emplace(
        platform, ParsePlatformPin(Fields(
                      *table, source,
                      fmt::format("{} on {}", pin.name.Familiar(), platform))));
  }
  pin.added = fields.Flag("added");
  pin.unknown = fields.Rest();
  return pin;
}

UrlPin ParseUrl(Fields fields) {
  UrlPin pin{fields.RequireString("name"),
             fields.RequireDigest("checksum"),
             fields.RequireSize("size"),
             {},
             {},
             fields.Digests("previous"),
             fields.RangeOfField("checksum"),
             {}};
  ParseCommon(fields, pin);
  pin.unknown = fields.Rest();
  return pin;
}

bool IsFullCommit(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         text.find_first_not_of("0123456789abcdef") == text.npos;
}

GitPin ParseGit(Fields fields) {
  GitPin pin;
  pin.name = fields.RequireString("name");
  pin.commit = fields.RequireString("commit");
  pin.range = fields.RangeOfField("commit");
  if (!IsFullCommit(pin.commit)) {
    throw fields
        .At("commit", fmt::format("{} is not the full name of a commit",
                                  Quoted(pin.commit)))
        .WithHint("it is 40 or 64 lower-case hexadecimal digits");
  }
  pin.previous = fields.Strings("previous");
  for (const std::string& commit : pin.previous) {
    if (IsFullCommit(commit)) continue;
    throw fields.At(
        "previous",
        fmt::format("{} is not the full name of a commit", Quoted(commit)));
  }
  ParseCommon(fields, pin);
  pin.unknown = fields.Rest();
  return pin;
}

FrontendPin ParseFrontend(Fields fields) {
  FrontendPin pin{ToReference(fields),
                  fields.RequireDigest("digest"),
                  fields.RequireString("media-type"),
                  fields.RequireSize("size"),
                  fields.RangeOfField("digest"),
                  {}};
  pin.unknown = fields.Rest();
  return pin;
}

Variant ParseVariant(Fields fields) {
  Variant variant;
  variant.name = fields.RequireString("name");
  if (variant.name == kDefaultVariant) {
    throw fields.At(
        "name", fmt::format("a variant cannot be called {}", kDefaultVariant));
  }
  variant.args = fields.Map("args");
  variant.range = fields.RangeOfField("name");
  variant.unknown = fields.Rest();
  return variant;
}

ExpectedOutput ParseOutput(Fields fields) {
  ExpectedOutput output{
      fields.String("target"),         fields.RequireString("platform"),
      fields.String("variant"),        fields.RequireDigest("manifest"),
      fields.RangeOfField("manifest"), {}};
  ToPlatform(output.platform, fields.RangeOfField("platform"));
  output.unknown = fields.Rest();
  return output;
}

Settings ParseSettings(Fields fields) {
  Settings settings;
  if (const auto number = fields.Integer("layer-format")) {
    if (*number < 1 || *number > 1'000'000) {
      throw fields.At("layer-format", "layer-format is out of range");
    }
    settings.layer_format = static_cast<int>(*number);
  }
  settings.encoder = fields.String("encoder");
  settings.source_date_epoch = fields.Integer("source-date-epoch");
  for (const std::string& platform : fields.Strings("platforms")) {
    settings.platforms.push_back(
        ToPlatform(platform, fields.RangeOfField("platforms")));
  }
  SortUnique(settings.platforms);
  settings.contexts = fields.Map("contexts");
  settings.unknown = fields.Rest();
  return settings;
}

// Sorts by name; the second of two that are called the same is the mistake.
template <typename Pin, typename Name>
void SortByName(std::vector<Pin>& pins, Name name) {
  std::ranges::stable_sort(pins, {}, name);
  for (size_t i = 1; i < pins.size(); ++i) {
    if (name(pins[i - 1]) != name(pins[i])) continue;
    const bool first_later = pins[i].range.begin() < pins[i - 1].range.begin();
    throw LockError(fmt::format("{} is in the lock twice", name(pins[i])),
                    pins[first_later ? i - 1 : i].range)
        .WithHint("delete one of the two entries");
  }
}

// The lines of [policy] and its subtables.
std::string PolicyText(const Source& source, SourceRange* range) {
  std::string out;
  bool inside = false;
  for (uint32_t line = 1; line <= source->line_count(); ++line) {
    const std::string_view text = source->Line(line);
    const std::string_view trimmed = Trim(text);
    if (trimmed.starts_with('[')) {
      const std::string_view name =
          Trim(trimmed.substr(trimmed.find_first_not_of('[')));
      const bool mine =
          name.starts_with(kPolicy) && name.find_first_of("].", 6) == 6;
      if (mine && !*range) *range = WholeLine(source, line);
      inside = mine;
    }
    if (inside) out += std::string(text) + "\n";
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

// The lines as written where they mean what the document says; a policy that
// is written in another way (dotted keys, an inline table) in plain TOML.
std::string TakePolicy(const Source& source, const toml::table& policy,
                       SourceRange* range) {
  *range = RangeOf(source, policy.source());
  SourceRange header;
  std::string text = PolicyText(source, &header);
  try {
    const toml::table again = toml::parse(text);
    const toml::table* same = again["policy"].as_table();
    if (again.size() == 1 && same != nullptr && *same == policy) {
      *range = header;
      return text;
    }
  } catch (const toml::parse_error&) {
    // Not these lines, then.
  }
  std::string out = "[policy]\n";
  UnknownFields fields;
  for (const auto& [key, value] : policy) {
    fields[std::string(key.str())] = ToTomlText(value);
  }
  for (const auto& [key, value] : fields) {
    out += KeyToml(key) + " = " + value + "\n";
  }
  return out;
}

toml::table ParseToml(const Source& source) {
  try {
    return toml::parse(source->text(), source->name());
  } catch (const toml::parse_error& error) {
    throw LockError("the lock is not TOML: " + std::string(error.description()),
                    RangeOf(source, error.source()));
  }
}

// Before anything else: what a newer program wrote may mean something else.
int ParseVersion(Fields& top, const Source& source) {
  const auto version = top.Integer("version");
  if (!version) {
    throw LockError("the lock has no version", WholeLine(source, 1))
        .WithHint(fmt::format("it begins with `version = {}`", kLockVersion));
  }
  if (*version > kLockVersion) {
    throw top
        .At("version", fmt::format("the lock is of version {}, made by a newer "
                                   "imgbuild; this one reads up to version {}",
                                   *version, kLockVersion))
        .WithHint("update imgbuild");
  }
  if (*version < 1) {
    throw top.At("version", fmt::format("there is no version {}", *version));
  }
  return static_cast<int>(*version);
}

}  // namespace

Lockfile Parse(Source source) {
  if (source->text().size() > kMaxLockBytes) {
    throw LockError(
        fmt::format("the lock is larger than {}", HumanSize(kMaxLockBytes)),
        WholeLine(source, 1));
  }
  RefuseConflictMarkers(source);
  RefuseCutOff(source);
  const toml::table document = ParseToml(source);
  Fields top(document, source, "the lock");
  Lockfile lock;
  lock.source = source;
  lock.version = ParseVersion(top, source);
  if (const toml::table* table = top.Table("settings")) {
    lock.settings = ParseSettings(Fields(*table, source, "[settings]"));
  }
  for (const toml::table* table : top.Tables("variant")) {
    lock.variants.push_back(
        ParseVariant(Fields(*table, source, "[[variant]]")));
  }
  for (const toml::table* table : top.Tables("image")) {
    lock.images.push_back(
        ParseImage(source, Fields(*table, source, "[[image]]")));
  }
  for (const toml::table* table : top.Tables("url")) {
    lock.urls.push_back(ParseUrl(Fields(*table, source, "[[url]]")));
  }
  for (const toml::table* table : top.Tables("git")) {
    lock.gits.push_back(ParseGit(Fields(*table, source, "[[git]]")));
  }
  for (const toml::table* table : top.Tables("frontend")) {
    lock.frontends.push_back(
        ParseFrontend(Fields(*table, source, "[[frontend]]")));
  }
  for (const toml::table* table : top.Tables("output")) {
    lock.outputs.push_back(ParseOutput(Fields(*table, source, "[[output]]")));
  }
  if (const toml::table* policy = top.Table(kPolicy)) {
    lock.policy = TakePolicy(source, *policy, &lock.policy_range);
  }
  lock.unknown = top.Rest();
  const auto text_name = [](const auto& pin) { return pin.name; };
  const auto reference_name = [](const auto& pin) {
    return pin.name.ToString();
  };
  SortByName(lock.variants, text_name);
  SortByName(lock.images, reference_name);
  SortByName(lock.urls, text_name);
  SortByName(lock.gits, text_name);
  SortByName(lock.frontends, reference_name);
  SortByName(lock.outputs, [](const ExpectedOutput& output) {
    return fmt::format(
        "the output {}{} for {}", output.target,
        output.variant.empty() ? "" : " (" + output.variant + ")",
        output.platform);
  });
  return lock;
}

}  // namespace imgbuild::lock
