#include "plan/stages.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/plan/named_context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

using dockerfile::Word;

Error Invalid(std::string message, const SourceRange& range) {
  Error error(ErrorCode::kDockerfile, std::move(message));
  error.At(range);
  return error;
}

// Says why `FROM $X` came out empty: the ARG has no default, or it stands
// where FROM cannot see it.
Error BlankBase(const Word& image, const dockerfile::Dockerfile& file,
                const dockerfile::ExpandResult& expanded) {
  Error error =
      Invalid(fmt::format("base name ({}) should not be blank", image.text),
              image.range);
  if (expanded.unmatched.empty()) {
    error.WithHint(
        "the ARG it comes from is empty: give it a default, or "
        "pass --build-arg");
    return error;
  }
  const std::string& name = *expanded.unmatched.begin();
  for (const dockerfile::Instruction& instruction : file.meta_args) {
    const auto& arg = std::get<dockerfile::Arg>(instruction.node);
    for (const auto& declaration : arg.declarations) {
      if (declaration.name.text != name) continue;
      error.WithHint(fmt::format(
          "ARG {0} on line {1} has no default: give it one, or pass "
          "--build-arg {0}=…",
          name, instruction.range.begin().line));
      return error;
    }
  }
  for (const dockerfile::Stage& stage : file.stages) {
    for (const dockerfile::Instruction& instruction : stage.instructions) {
      const auto* arg = std::get_if<dockerfile::Arg>(&instruction.node);
      if (arg == nullptr) continue;
      for (const dockerfile::ArgDeclaration& declaration : arg->declarations) {
        if (declaration.name.text == name) {
          error.WithHint(fmt::format(
              "ARG {} on line {} stands inside a stage; FROM sees only ARGs "
              "that stand before the first FROM",
              name, instruction.range.begin().line));
          return error;
        }
      }
    }
  }
  error.WithHint(fmt::format(
      "ARG {0} is not defined: write `ARG {0}=…` before the first FROM, or "
      "pass --build-arg {0}=…",
      name));
  return error;
}

// The context of just this name; one for the platform goes before.
std::optional<std::string> FindExactContext(const PlanOptions& options,
                                            const std::string& name,
                                            const oci::Platform& platform) {
  std::optional<std::string> found;
  for (const auto& [key, value] : options.named_contexts) {
    const ContextName known = SplitContextName(key);
    if (known.name != name) continue;
    if (!known.platform) {
      found = key;
    } else if (*known.platform == platform) {
      return key;
    }
  }
  return found;
}

}  // namespace

std::optional<Word> MountFrom(const dockerfile::RawMount& mount) {
  for (const dockerfile::RawMount::Option& option : mount.options) {
    if (option.key == "from" && option.value && !option.value->empty()) {
      return Word{*option.value, option.range};
    }
  }
  return std::nullopt;
}

std::optional<std::string> FindNamedContext(const PlanOptions& options,
                                            const std::string& name,
                                            const oci::Platform& platform) {
  if (options.named_contexts.empty()) return std::nullopt;
  if (name == "scratch" || name == "context") return std::nullopt;
  if (auto key = FindExactContext(options, name, platform)) return key;
  const auto wanted = oci::Reference::TryParse(name);
  if (!wanted) return std::nullopt;
  std::optional<std::string> found;
  for (const auto& [key, value] : options.named_contexts) {
    const ContextName known = SplitContextName(key);
    if (known.platform && *known.platform != platform) continue;
    const auto reference = oci::Reference::TryParse(known.name);
    if (!reference || reference->WithDefaultTag() != wanted->WithDefaultTag()) {
      continue;
    }
    if (known.platform) return key;
    if (!found) found = key;
  }
  return found;
}

StageTable::StageTable(const dockerfile::Dockerfile& file,
                       const PlanOptions& options, const GlobalArgs& globals) {
  stages_.resize(file.stages.size());
  for (size_t i = 0; i < file.stages.size(); ++i) {
    EvaluateFrom(file, options, globals, i);
    if (!stages_[i].name.empty()) by_name_[stages_[i].name].push_back(i);
  }
  target_ = FindTarget(file, options.target);
}

void StageTable::EvaluateFrom(const dockerfile::Dockerfile& file,
                              const PlanOptions& options,
                              const GlobalArgs& globals, size_t index) {
  StageInfo& info = stages_[index];
  info.stage = &file.stages[index];
  info.index = index;
  const auto& from = std::get<dockerfile::From>(info.stage->from.node);
  if (from.name) info.name = ToLower(from.name->text);
  info.display_name = !info.name.empty()       ? info.name
                      : file.stages.size() > 1 ? fmt::format("stage-{}", index)
                                               : "";
  const dockerfile::Lookup lookup = globals.variables().AsLookup();
  const dockerfile::ExpandResult image =
      dockerfile::Expand(from.image, lookup, file.escape);
  if (Trim(image.text).empty()) throw BlankBase(from.image, file, image);
  info.base = image.text;
  info.base_args = image.matched;
  if (from.platform) {
    const dockerfile::ExpandResult platform =
        dockerfile::Expand(*from.platform, lookup, file.escape);
    if (Trim(platform.text).empty()) {
      Error error =
          Invalid(fmt::format("empty platform value from expression {}",
                              from.platform->text),
                  from.platform->range);
      for (const std::string& name : platform.unmatched) {
        const auto near =
            Suggest(name, {"TARGETPLATFORM", "TARGETOS", "TARGETARCH",
                           "BUILDPLATFORM", "BUILDOS", "BUILDARCH"});
        if (near) error.WithHint(fmt::format("did you mean {}?", *near));
      }
      throw error;
    }
    try {
      info.platform = oci::Platform::Parse(platform.text);
    } catch (Error& error) {
      throw Invalid(error.message(), from.platform->range);
    }
  }
  const bool reserved = info.name == "scratch" || info.name == "context";
  const oci::Platform& platform =
      info.platform ? *info.platform : options.target_platform;
  if (!info.name.empty() && !reserved) {
    info.context = FindExactContext(options, info.name, platform);
    info.replaced = info.context.has_value();
  }
  if (!info.replaced) {
    info.base_stage = FindBefore(info.base, index);
    if (!info.base_stage && ToLower(info.base) != "scratch") {
      info.context = FindNamedContext(options, info.base, platform);
    }
  }
}

size_t StageTable::FindTarget(const dockerfile::Dockerfile& file,
                              const std::string& target) const {
  if (target.empty()) return stages_.size() - 1;
  const auto found = FindBefore(target, stages_.size());
  if (found) return *found;
  Error error(ErrorCode::kDockerfile,
              fmt::format("target stage {} could not be found in {}",
                          Quoted(target), file.source->name()));
  if (ParseUint(target)) {
    error.WithHint("a target is chosen by its name: FROM … AS NAME");
  } else if (const auto near = Suggest(target, Names())) {
    error.WithHint(fmt::format("did you mean {}?", *near));
  } else if (!Names().empty()) {
    error.WithHint("the stages are: " + Join(Names(), ", "));
  }
  throw error;
}

std::optional<size_t> StageTable::FindBefore(std::string_view name,
                                             size_t before) const {
  const auto it = by_name_.find(ToLower(name));
  if (it == by_name_.end()) return std::nullopt;
  // The latest definition before the user wins.
  const auto after = std::ranges::lower_bound(it->second, before);
  if (after == it->second.begin()) return std::nullopt;
  return *std::prev(after);
}

std::optional<size_t> StageTable::FindSource(const Word& from, size_t user,
                                             bool allow_index) const {
  if (allow_index) {
    if (const auto number = ParseUint(from.text)) {
      if (*number >= stages_.size()) {
        throw Invalid(fmt::format("invalid from flag value {}: there are {} "
                                  "stages, counted from 0",
                                  from.text, stages_.size()),
                      from.range);
      }
      if (*number >= user) {
        throw Invalid(
            fmt::format("invalid from flag value {}: {}", from.text,
                        *number == user ? "refers to the current stage"
                                        : "refers to a later stage"),
            from.range);
      }
      return static_cast<size_t>(*number);
    }
  }
  if (const auto found = FindBefore(from.text, user)) return found;
  if (stages_[user].name == ToLower(from.text)) {
    throw Invalid(fmt::format("circular dependency: stage {} copies from "
                              "itself",
                              Quoted(from.text)),
                  from.range);
  }
  if (FindBefore(from.text, stages_.size())) {
    throw Invalid(fmt::format("stage {} needs to be defined before the stage "
                              "that uses it",
                              Quoted(from.text)),
                  from.range);
  }
  return std::nullopt;
}

std::vector<size_t> StageTable::DirectDependencies(size_t index) const {
  const StageInfo& info = stages_[index];
  std::vector<size_t> out;
  if (info.replaced) return out;
  if (info.base_stage) out.push_back(*info.base_stage);
  for (const dockerfile::Instruction& instruction : info.stage->instructions) {
    if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.node)) {
      if (!copy->from) continue;
      if (const auto s = FindSource(*copy->from, index, true))
        out.push_back(*s);
    } else if (const auto* run =
                   std::get_if<dockerfile::Run>(&instruction.node)) {
      for (const dockerfile::RawMount& mount : run->mounts) {
        const auto from = MountFrom(mount);
        if (!from) continue;
        if (const auto s = FindSource(*from, index, false)) out.push_back(*s);
      }
    }
  }
  return out;
}

std::vector<size_t> StageTable::Reached() const {
  std::vector<bool> seen(stages_.size(), false);
  std::vector<size_t> todo = {target_};
  seen[target_] = true;
  while (!todo.empty()) {
    const size_t index = todo.back();
    todo.pop_back();
    for (const size_t next : DirectDependencies(index)) {
      if (!seen[next]) {
        seen[next] = true;
        todo.push_back(next);
      }
    }
  }
  std::vector<size_t> out;
  for (size_t i = 0; i < seen.size(); ++i) {
    if (seen[i]) out.push_back(i);
  }
  return out;
}

std::vector<std::string> StageTable::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, indexes] : by_name_) names.push_back(name);
  return names;
}

}  // namespace imgbuild::plan
