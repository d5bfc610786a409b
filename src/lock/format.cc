// The writer: our own, because the bytes are the format. The grammar is in the
// README of this module.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "imgbuild/lock/lockfile.h"

#include "lock/toml_text.h"

namespace imgbuild::lock {
namespace {

class Block {
 public:
  explicit Block(std::string header) : text_(std::move(header) + "\n") {}

  void Text(std::string_view key, std::string_view value) {
    if (!value.empty()) Line(key, QuoteToml(value));
  }
  template <typename Value>
  void Number(std::string_view key, Value value) {
    Line(key, fmt::to_string(value));
  }
  // Nothing for false.
  void True(std::string_view key, bool value) {
    if (value) Line(key, "true");
  }
  void Digest(std::string_view key, const oci::Digest& value) {
    Line(key, QuoteToml(value.ToString()));
  }
  // Nothing for an empty list.
  void List(std::string_view key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    std::string list;
    for (const std::string& value : values) {
      list += (list.empty() ? "" : ", ") + QuoteToml(value);
    }
    Line(key, "[" + list + "]");
  }
  void List(std::string_view key, const std::vector<oci::Digest>& values) {
    std::vector<std::string> texts;
    texts.reserve(values.size());
    for (const oci::Digest& value : values) texts.push_back(value.ToString());
    List(key, texts);
  }
  void Map(std::string_view key,
           const std::map<std::string, std::string>& values) {
    if (values.empty()) return;
    std::string list;
    for (const auto& [name, value] : values) {
      list += (list.empty() ? " " : ", ") + KeyToml(name) + " = " +
              QuoteToml(value);
    }
    Line(key, "{" + list + " }");
  }
  void Unknown(const UnknownFields& fields) {
    for (const auto& [key, value] : fields) Line(KeyToml(key), value);
  }
  std::string Take() { return std::move(text_); }

 private:
  void Line(std::string_view key, std::string_view value) {
    text_ += key;
    text_ += " = ";
    text_ += value;
    text_ += '\n';
  }
  std::string text_;
};

std::string FormatSettings(const Settings& settings) {
  Block block("[settings]");
  if (settings.layer_format != 0) {
    block.Number("layer-format", settings.layer_format);
  }
  block.Text("encoder", settings.encoder);
  if (settings.source_date_epoch) {
    block.Number("source-date-epoch", *settings.source_date_epoch);
  }
  block.List("platforms", settings.platforms);
  block.Map("contexts", settings.contexts);
  block.Unknown(settings.unknown);
  return block.Take();
}

std::string FormatVariant(const Variant& variant) {
  Block block("[[variant]]");
  block.Text("name", variant.name);
  block.Map("args", variant.args);
  block.Unknown(variant.unknown);
  return block.Take();
}

// What images, URLs and repositories have in common.
template <typename Pin>
void AddCommon(Block& block, const Pin& pin) {
  block.Map("args", pin.args);
  block.List("variants", pin.variants);
  block.List("previous", pin.previous);
}

// What an image and the frontend, which is one, have in common.
template <typename Pin>
void AddDocument(Block& block, const Pin& pin) {
  block.Digest("digest", pin.digest);
  block.Text("media-type", pin.media_type);
  block.Number("size", pin.size);
}

std::string FormatImage(const ImagePin& pin) {
  Block block("[[image]]");
  block.Text("name", pin.name.ToString());
  block.List("written", pin.written);
  AddDocument(block, pin);
  AddCommon(block, pin);
  block.True("added", pin.added);
  block.Unknown(pin.unknown);
  std::string text = block.Take();
  for (const auto& [platform, own] : pin.platforms) {
    Block table("[image.platform." + QuoteToml(platform) + "]");
    table.Digest("manifest", own.manifest);
    table.Number("size", own.size);
    table.Digest("config", own.config);
    table.Text("actual", own.actual);
    table.Text("created", own.created);
    table.Unknown(own.unknown);
    text += table.Take();
  }
  return text;
}

std::string FormatUrl(const UrlPin& pin) {
  Block block("[[url]]");
  block.Text("name", pin.name);
  block.Digest("checksum", pin.checksum);
  block.Number("size", pin.size);
  AddCommon(block, pin);
  block.Unknown(pin.unknown);
  return block.Take();
}

std::string FormatGit(const GitPin& pin) {
  Block block("[[git]]");
  block.Text("name", pin.name);
  block.Text("commit", pin.commit);
  AddCommon(block, pin);
  block.Unknown(pin.unknown);
  return block.Take();
}

std::string FormatFrontend(const FrontendPin& pin) {
  Block block("[[frontend]]");
  block.Text("name", pin.name.ToString());
  AddDocument(block, pin);
  block.Unknown(pin.unknown);
  return block.Take();
}

std::string FormatOutput(const ExpectedOutput& output) {
  Block block("[[output]]");
  block.Text("target", output.target);
  block.Text("platform", output.platform);
  block.Text("variant", output.variant);
  block.Digest("manifest", output.manifest);
  block.Unknown(output.unknown);
  return block.Take();
}

// Blocks in the order of the file, whatever order the caller had.
template <typename T, typename Key>
void Append(std::string& text, std::vector<T> items, Key key,
            std::string (*format)(const T&)) {
  std::ranges::stable_sort(items, {}, key);
  for (const T& item : items) text += "\n" + format(item);
}

}  // namespace

std::string Format(const Lockfile& lock) {
  std::string text =
      "# What the names in the Dockerfile stand for. Written by `imgbuild "
      "lock`;\n# keep it under version control beside the Dockerfile.\n";
  text += fmt::format("version = {}\n", lock.version);
  for (const auto& [key, value] : lock.unknown) {
    text += KeyToml(key) + " = " + value + "\n";
  }
  text += "\n" + FormatSettings(lock.settings);
  Append(text, lock.variants, &Variant::name, FormatVariant);
  Append(
      text, lock.images,
      [](const ImagePin& pin) { return pin.name.ToString(); }, FormatImage);
  Append(text, lock.urls, &UrlPin::name, FormatUrl);
  Append(text, lock.gits, &GitPin::name, FormatGit);
  Append(
      text, lock.frontends,
      [](const FrontendPin& pin) { return pin.name.ToString(); },
      FormatFrontend);
  Append(
      text, lock.outputs,
      [](const ExpectedOutput& output) {
        return std::tuple(output.target, output.platform, output.variant);
      },
      FormatOutput);
  if (!lock.policy.empty()) {
    text += "\n" + lock.policy;
    if (!lock.policy.ends_with('\n')) text += '\n';
  }
  return text;
}

}  // namespace imgbuild::lock
