#include "imgbuild/plan/cache_key.h"

#include <fmt/format.h>

#include <map>

#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

std::string Bool(bool value) { return value ? "true" : "false"; }

// Names the source of files without the vertex's number: numbers move when an
// unrelated stage is added, contents do not.
class ContentFields {
 public:
  ContentFields(Recipe& recipe, const KeyInputs& inputs)
      : recipe_(recipe), inputs_(inputs) {}
  void Add(std::string_view tag) {
    recipe_.Add(tag, next_ < inputs_.contents.size() ? inputs_.contents[next_]
                                                     : std::string("unknown"));
    ++next_;
  }

 private:
  Recipe& recipe_;
  const KeyInputs& inputs_;
  size_t next_ = 0;
};

void AddMount(Recipe& recipe, ContentFields& contents, const RunMount& mount) {
  using dockerfile::MountSpec;
  const MountSpec& spec = mount.spec;
  static constexpr const char* kTypes[] = {"bind", "cache", "tmpfs", "secret",
                                           "ssh"};
  std::string text = fmt::format(
      "{} target={}", kTypes[static_cast<int>(spec.type)], mount.target);
  if (!spec.source.empty()) text += " source=" + spec.source;
  if (!spec.id.empty()) text += " id=" + spec.id;
  if (spec.read_only) text += " ro";
  if (spec.mode) text += fmt::format(" mode={:o}", *spec.mode);
  if (spec.uid) text += fmt::format(" uid={}", *spec.uid);
  if (spec.gid) text += fmt::format(" gid={}", *spec.gid);
  if (spec.size_bytes) text += fmt::format(" size={}", spec.size_bytes);
  if (spec.env) text += " env=" + *spec.env;
  if (spec.required) text += " required";
  if (spec.type == MountSpec::Type::kCache) {
    text += fmt::format(" sharing={}", static_cast<int>(spec.sharing));
    if (spec.from) text += " from=" + *spec.from;
  }
  recipe.Add("mount", text);
  // Cache mounts are not inputs: their contents are neither key nor result.
  if (mount.from && spec.type == MountSpec::Type::kBind) {
    contents.Add("mount-contents");
  }
}

void AddOp(Recipe& recipe, const RunOp& op, const KeyInputs& inputs) {
  ContentFields contents(recipe, inputs);
  for (const std::string& arg : op.args) recipe.Add("arg", arg);
  for (const std::string& env : op.env()) recipe.Add("env", env);
  recipe.Add("cwd", op.cwd);
  recipe.Add("user", op.user);
  recipe.Add("network", op.network);
  if (op.insecure) recipe.Add("security", "insecure");
  if (op.script) {
    recipe.Add("script", op.script->path);
    recipe.Add("script-text", op.script->text);
  }
  if (!op.hostname.empty()) recipe.Add("hostname", op.hostname);
  for (const auto& [name, ip] : op.extra_hosts) {
    recipe.Add("host", name + " " + ip);
  }
  if (op.shm_bytes) recipe.Add("shm", std::to_string(op.shm_bytes));
  for (const std::string& limit : op.ulimits) recipe.Add("ulimit", limit);
  if (!op.cgroup_parent.empty()) recipe.Add("cgroup-parent", op.cgroup_parent);
  for (const auto& [name, given] : op.devices) {
    recipe.Add("device", name);
    recipe.Add("device-edits", given);
  }
  for (const RunMount& mount : op.mounts) AddMount(recipe, contents, mount);
}

void AddOp(Recipe& recipe, const CopyOp& op, const KeyInputs& inputs) {
  ContentFields contents(recipe, inputs);
  recipe.Add("instruction", op.is_add ? "ADD" : "COPY");
  for (const CopyOp::Pattern& pattern : op.patterns) {
    recipe.Add("source", pattern.text);
  }
  for (const CopyOp::Inline& file : op.inlines) {
    recipe.Add("inline", file.name);
    recipe.Add("inline-text", file.text);
  }
  for (const CopyOp::Remote& remote : op.remotes) {
    recipe.Add("remote", remote.url);
    // Only where files of both kinds could lie over one another.
    if (!op.patterns.empty()) {
      recipe.Add("behind", std::to_string(remote.patterns_before));
    }
  }
  recipe.Add("destination", op.destination);
  if (!op.chown.empty()) recipe.Add("chown", op.chown);
  if (!op.chmod.empty()) recipe.Add("chmod", op.chmod);
  if (!op.checksum.empty()) recipe.Add("checksum", op.checksum);
  if (op.unpack) recipe.Add("unpack", Bool(*op.unpack));
  for (const CopyOp::Remote& remote : op.remotes) {
    if (remote.git && remote.git->keep_git_dir.value_or(false)) {
      recipe.Add("keep-git-dir", "true");
    }
  }
  if (op.link) recipe.Add("link", "true");
  if (op.parents) recipe.Add("parents", "true");
  for (const std::string& pattern : op.excludes) recipe.Add("exclude", pattern);
  if (!op.patterns.empty()) contents.Add("contents");
  for (size_t i = 0; i < op.remotes.size(); ++i) contents.Add("contents");
}

void AddOp(Recipe& recipe, const WorkdirOp& op, const KeyInputs&) {
  recipe.Add("workdir", op.path);
  recipe.Add("user", op.user);
}

void AddOp(Recipe& recipe, const ScratchOp&, const KeyInputs&) {
  recipe.Add("base", "scratch");
}
void AddOp(Recipe& recipe, const ImageOp& op, const KeyInputs&) {
  recipe.Add("base", op.image.manifest.ToString());
}

const char* Kind(const Op& op) {
  static constexpr const char* kKinds[] = {"scratch", "image", "run", "copy",
                                           "workdir"};
  return kKinds[op.index()];
}

// "env FOO=1" -> ("env FOO", "1"): so that a difference names the variable.
std::pair<std::string, std::string> Label(
    const std::pair<std::string, std::string>& field) {
  if (field.first == "env") {
    const size_t eq = field.second.find('=');
    if (eq != std::string::npos) {
      return {"env " + field.second.substr(0, eq), field.second.substr(eq + 1)};
    }
  }
  return field;
}

std::string Shown(std::string_view value) {
  constexpr size_t kMost = 60;
  if (value.size() <= kMost) return Quoted(value);
  return Quoted(std::string(value.substr(0, kMost)) + "…");
}

}  // namespace

Recipe MakeRecipe(const Vertex& vertex, const KeyInputs& inputs) {
  Recipe recipe;
  recipe.Add("op", Kind(vertex.op));
  recipe.Add("platform", vertex.platform.ToString());
  recipe.Add("epoch", std::to_string(vertex.epoch));
  recipe.Add("parent", inputs.parent);
  std::visit([&](const auto& op) { AddOp(recipe, op, inputs); }, vertex.op);
  return recipe;
}

std::optional<std::string> ExplainDifference(const Recipe& before,
                                             const Recipe& after) {
  const auto& a = before.fields();
  const auto& b = after.fields();
  for (size_t i = 0; i < a.size() || i < b.size(); ++i) {
    if (i < a.size() && i < b.size() && a[i] == b[i]) continue;
    if (i >= a.size()) return Label(b[i]).first + " is new";
    if (i >= b.size()) return Label(a[i]).first + " is gone";
    const auto [old_label, old_value] = Label(a[i]);
    const auto [new_label, new_value] = Label(b[i]);
    if (old_label != new_label) {
      // Something was added or removed before an equal rest.
      for (size_t k = i + 1; k < b.size(); ++k) {
        if (b[k] == a[i]) return new_label + " is new";
      }
      return old_label + " is gone";
    }
    if (old_label == "parent") return "the step before made other files";
    if (old_label == "contents" || old_label == "mount-contents") {
      return "the contents of its source changed";
    }
    if (old_label == "script-text" || old_label == "inline-text") {
      return "the text of its heredoc changed";
    }
    return fmt::format("{}: {} -> {}", old_label, Shown(old_value),
                       Shown(new_value));
  }
  return std::nullopt;
}

}  // namespace imgbuild::plan
