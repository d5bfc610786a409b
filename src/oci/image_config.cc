#include "imgbuild/oci/image_config.h"

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "json.h"
#include "platform_json.h"

namespace imgbuild::oci {
namespace {

std::optional<std::string> OptionalString(const JsonValue& value) {
  if (value.IsNull()) return std::nullopt;
  return value.String();
}

// Old Docker versions wrote a lone word for a command of one word.
std::optional<std::vector<std::string>> OptionalCommand(
    const JsonValue& value) {
  if (value.IsNull()) return std::nullopt;
  return value.StringOrStrings();
}

Healthcheck ParseHealthcheck(const JsonValue& value) {
  return {.test = value["Test"].Strings(),
          .interval_ns = value["Interval"].Int(),
          .timeout_ns = value["Timeout"].Int(),
          .start_period_ns = value["StartPeriod"].Int(),
          .start_interval_ns = value["StartInterval"].Int(),
          .retries = value["Retries"].Int()};
}

void ParseRunConfig(const JsonValue& value, ImageConfig* out) {
  out->user = value["User"].String();
  out->exposed_ports = value["ExposedPorts"].KeySet();
  out->env = value["Env"].Strings();
  out->entrypoint = OptionalCommand(value["Entrypoint"]);
  out->cmd = OptionalCommand(value["Cmd"]);
  out->volumes = value["Volumes"].KeySet();
  out->working_dir = value["WorkingDir"].String();
  out->labels = value["Labels"].StringMap();
  out->stop_signal = value["StopSignal"].String();
  out->args_escaped = value["ArgsEscaped"].Bool();
  if (!value["Healthcheck"].IsNull()) {
    out->healthcheck = ParseHealthcheck(value["Healthcheck"]);
  }
  out->on_build = value["OnBuild"].Strings();
  if (!value["Shell"].IsNull()) out->shell = value["Shell"].Strings();
}

void ParseRootfs(const JsonValue& value, ImageConfig* out) {
  if (value.IsNull())
    throw value.Wrong("is missing: not the config of an image");
  const std::string type = value["type"].String();
  if (type != "layers") {
    throw value["type"].Wrong("is " + Quoted(type) + " instead of \"layers\"");
  }
  for (const JsonValue& element : value["diff_ids"].Elements()) {
    const std::string text = element.String();
    const auto digest = Digest::TryParse(text);
    if (!digest) throw element.Wrong("is not a digest: " + Quoted(text));
    out->diff_ids.emplace_back(*digest);
  }
}

History ParseHistory(const JsonValue& value) {
  return {.created = OptionalString(value["created"]),
          .created_by = value["created_by"].String(),
          .author = value["author"].String(),
          .comment = value["comment"].String(),
          .empty_layer = value["empty_layer"].Bool()};
}

void WriteOptionalInt(JsonWriter* json, std::string_view key, int64_t value) {
  if (value == 0) return;
  json->Key(key);
  json->Int(value);
}

void WriteOptionalTrue(JsonWriter* json, std::string_view key, bool value) {
  if (!value) return;
  json->Key(key);
  json->Raw("true");
}

void WriteHealthcheck(JsonWriter* json, const Healthcheck& check) {
  json->Key("Healthcheck");
  json->BeginObject();
  json->OptionalMember("Test", check.test);
  WriteOptionalInt(json, "Interval", check.interval_ns);
  WriteOptionalInt(json, "Timeout", check.timeout_ns);
  WriteOptionalInt(json, "StartPeriod", check.start_period_ns);
  WriteOptionalInt(json, "StartInterval", check.start_interval_ns);
  WriteOptionalInt(json, "Retries", check.retries);
  json->EndObject();
}

void WriteRunConfig(JsonWriter* json, const ImageConfig& config) {
  json->Key("config");
  json->BeginObject();
  json->OptionalMember("User", config.user);
  json->OptionalMember("ExposedPorts", config.exposed_ports);
  json->OptionalMember("Env", config.env);
  if (config.entrypoint) json->OptionalMember("Entrypoint", *config.entrypoint);
  if (config.cmd) json->OptionalMember("Cmd", *config.cmd);
  json->OptionalMember("Volumes", config.volumes);
  json->OptionalMember("WorkingDir", config.working_dir);
  json->OptionalMember("Labels", config.labels);
  json->OptionalMember("StopSignal", config.stop_signal);
  WriteOptionalTrue(json, "ArgsEscaped", config.args_escaped);
  if (config.healthcheck) WriteHealthcheck(json, *config.healthcheck);
  json->OptionalMember("OnBuild", config.on_build);
  if (config.shell) json->OptionalMember("Shell", *config.shell);
  json->EndObject();
}

void WriteHistory(JsonWriter* json, const std::vector<History>& history) {
  if (history.empty()) return;
  json->Key("history");
  json->BeginArray();
  for (const History& entry : history) {
    json->BeginObject();
    json->OptionalMember("created", entry.created.value_or(""));
    json->OptionalMember("created_by", entry.created_by);
    json->OptionalMember("author", entry.author);
    json->OptionalMember("comment", entry.comment);
    WriteOptionalTrue(json, "empty_layer", entry.empty_layer);
    json->EndObject();
  }
  json->EndArray();
}

void WriteRootfs(JsonWriter* json, const std::vector<DiffId>& diff_ids) {
  json->Key("rootfs");
  json->BeginObject();
  json->Member("type", "layers");
  json->Key("diff_ids");
  json->BeginArray();
  for (const DiffId& diff_id : diff_ids) json->String(diff_id.ToString());
  json->EndArray();
  json->EndObject();
}

// "NAME" of "NAME=value".
std::string_view NameOf(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

}  // namespace

std::optional<std::string_view> ImageConfig::Env(std::string_view name) const {
  for (auto entry = env.rbegin(); entry != env.rend(); ++entry) {
    if (NameOf(*entry) != name) continue;
    const std::string_view text = *entry;
    return text.size() == name.size() ? "" : text.substr(name.size() + 1);
  }
  return std::nullopt;
}

void ImageConfig::SetEnv(std::string_view name, std::string_view value) {
  const std::string entry = std::string(name) + "=" + std::string(value);
  // The last one is the one that counts, should there be several.
  for (auto old = env.rbegin(); old != env.rend(); ++old) {
    if (NameOf(*old) != name) continue;
    *old = entry;
    return;
  }
  env.push_back(entry);
}

ImageConfig ParseImageConfig(std::string_view bytes) {
  const JsonDocument json(bytes, kMaxConfigBytes, "image config");
  const JsonValue root = json.root();
  ImageConfig out;
  out.created = OptionalString(root["created"]);
  out.author = root["author"].String();
  out.platform = ParsePlatform(root);
  ParseRunConfig(root["config"], &out);
  ParseRootfs(root["rootfs"], &out);
  for (const JsonValue& element : root["history"].Elements()) {
    out.history.push_back(ParseHistory(element));
  }
  return out;
}

std::string Serialize(const ImageConfig& config) {
  JsonWriter json;
  json.BeginObject();
  json.Member("architecture", config.platform.architecture);
  json.OptionalMember("author", config.author);
  WriteRunConfig(&json, config);
  json.OptionalMember("created", config.created.value_or(""));
  WriteHistory(&json, config.history);
  json.Member("os", config.platform.os);
  json.OptionalMember("os.features", config.platform.os_features);
  json.OptionalMember("os.version", config.platform.os_version);
  WriteRootfs(&json, config.diff_ids);
  json.OptionalMember("variant", config.platform.variant);
  json.EndObject();
  return json.Take();
}

}  // namespace imgbuild::oci
