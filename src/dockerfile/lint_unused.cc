// Stages and ARGs that nothing uses. Where the text leaves a doubt (a variable
// in FROM, a RUN that may read its environment) the answer is "used".
#include <algorithm>
#include <map>
#include <set>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/lint_rules.h"

namespace imgbuild::dockerfile {
namespace {

const From& FromOf(const Stage& stage) {
  return std::get<From>(stage.from.node);
}

std::string StageName(const Stage& stage) {
  return FromOf(stage).name ? FromOf(stage).name->text : "";
}

// Which stages are named by others.
class StageUses {
 public:
  explicit StageUses(const Dockerfile& file)
      : used_(file.stages.size(), false) {
    for (size_t i = 0; i < file.stages.size(); ++i) {
      const Stage& stage = file.stages[i];
      UseBase(FromOf(stage).image.text);
      for (const Instruction& instruction : stage.instructions) {
        Look(instruction, i);
      }
      const std::string name = StageName(stage);
      if (!name.empty()) latest_[name] = i;
    }
  }
  bool Used(size_t index) const { return used_[index]; }

 private:
  // The latest stage of that name before the user.
  void Use(const std::string& name) {
    const auto it = latest_.find(ToLower(name));
    if (it != latest_.end()) used_[it->second] = true;
  }
  void UseBase(const std::string& image) {
    const size_t variable = image.find('$');
    if (variable == std::string::npos) return Use(image);
    // FROM build-${KIND}: any stage that begins so may be meant.
    const std::string prefix = ToLower(image.substr(0, variable));
    for (const auto& [name, index] : latest_) {
      if (name.starts_with(prefix)) used_[index] = true;
    }
  }
  void Look(const Instruction& instruction, size_t user) {
    if (const auto* copy = std::get_if<Copy>(&instruction.node)) {
      if (!copy->from) return;
      const auto number = ParseUint(copy->from->text);
      if (number && *number < user) {
        used_[*number] = true;
      } else {
        Use(copy->from->text);
      }
    } else if (const auto* run = std::get_if<Run>(&instruction.node)) {
      for (const RawMount& mount : run->mounts) {
        for (const RawMount::Option& option : mount.options) {
          if (option.key == "from" && option.value) Use(*option.value);
        }
      }
    } else if (const auto* trigger = std::get_if<OnBuild>(&instruction.node)) {
      // Rarely: ONBUILD COPY --from=stage.
      const std::string text = ToLower(trigger->trigger);
      const size_t at = text.find("from=");
      if (at == std::string::npos) return;
      const size_t end = text.find_first_of(" ,\t\"", at);
      Use(text.substr(at + 5, end == std::string::npos ? end : end - at - 5));
    }
  }

  std::vector<bool> used_;
  std::map<std::string, size_t> latest_;
};

bool IsDescribed(const Stage& stage) {
  const std::string name = StageName(stage);
  return !name.empty() && !stage.from.comments.empty() &&
         Trim(stage.from.comments.back()).starts_with(name + " ");
}

// The variables that something reads; `everything` once that cannot be told.
struct Reads {
  bool everything = false;
  std::set<std::string, std::less<>> names;

  void Add(const Word& word, char escape) {
    if (word.text.find('$') == std::string::npos) return;
    try {
      const ExpandResult result = Expand(
          word, [](std::string_view) { return std::nullopt; }, escape);
      names.insert(result.unmatched.begin(), result.unmatched.end());
    } catch (const std::exception&) {
      everything = true;  // ${X:?must be set}
    }
  }
  void Add(const std::optional<Word>& word, char escape) {
    if (word) Add(*word, escape);
  }
  void Merge(Reads&& other) {
    everything = everything || other.everything;
    if (other.names.size() > names.size()) names.swap(other.names);
    names.merge(other.names);
  }
  bool Has(const std::string& name) const {
    return everything || names.contains(name);
  }
};

void AddReads(const Instruction& instruction, char escape, Reads& reads) {
  const auto add_all = [&](const std::vector<Word>& words) {
    for (const Word& word : words) reads.Add(word, escape);
  };
  const auto add_pairs = [&](const std::vector<KeyValue>& pairs) {
    for (const KeyValue& pair : pairs) {
      reads.Add(pair.key, escape);
      reads.Add(pair.value, escape);
    }
  };
  if (std::holds_alternative<Run>(instruction.node) ||
      std::holds_alternative<OnBuild>(instruction.node)) {
    reads.everything = true;
  } else if (const auto* copy = std::get_if<Copy>(&instruction.node)) {
    add_all(copy->sources);
    reads.Add(copy->destination, escape);
    reads.Add(copy->chown, escape);
    reads.Add(copy->chmod, escape);
    reads.Add(copy->checksum, escape);
    for (const Heredoc& heredoc : copy->heredocs) {
      if (heredoc.expand) reads.Add(Word{heredoc.body, {}}, '\\');
    }
  } else if (const auto* env = std::get_if<Env>(&instruction.node)) {
    add_pairs(env->pairs);
  } else if (const auto* label = std::get_if<Label>(&instruction.node)) {
    add_pairs(label->pairs);
  } else if (const auto* arg = std::get_if<Arg>(&instruction.node)) {
    for (const ArgDeclaration& d : arg->declarations) {
      reads.Add(d.name, escape);
      reads.Add(d.value, escape);
    }
  } else if (const auto* expose = std::get_if<Expose>(&instruction.node)) {
    add_all(expose->ports);
  } else if (const auto* user = std::get_if<User>(&instruction.node)) {
    reads.Add(user->user, escape);
  } else if (const auto* workdir = std::get_if<Workdir>(&instruction.node)) {
    reads.Add(workdir->path, escape);
  } else if (const auto* volume = std::get_if<Volume>(&instruction.node)) {
    add_all(volume->paths);
  } else if (const auto* stop = std::get_if<StopSignal>(&instruction.node)) {
    reads.Add(stop->signal, escape);
  }
}

// Names that mean something to the builder itself once they are declared.
bool BuilderReads(std::string_view name) {
  const std::string lower = ToLower(name);
  return name.starts_with("BUILDKIT_") || name == "SOURCE_DATE_EPOCH" ||
         lower.ends_with("_proxy");
}

void Report(const Instruction& instruction, const ArgDeclaration& declaration,
            bool global, std::vector<Finding>& out) {
  out.push_back(
      {RuleId::kUnusedArg,
       "ARG " + declaration.name.text +
           (global ? " is used by no FROM, and no stage declares it again"
                   : " is used by nothing after it"),
       instruction.range, declaration.name.range});
}

bool IsCandidate(const ArgDeclaration& declaration) {
  const std::string& name = declaration.name.text;
  return name.find('$') == std::string::npos && !BuilderReads(name);
}

void JudgeGlobals(const Dockerfile& file, std::vector<Finding>& out) {
  Reads reads;
  for (const Stage& stage : file.stages) {
    reads.Add(FromOf(stage).image, file.escape);
    reads.Add(FromOf(stage).platform, file.escape);
    for (const Instruction& instruction : stage.instructions) {
      const auto* arg = std::get_if<Arg>(&instruction.node);
      if (arg == nullptr) continue;
      for (const auto& d : arg->declarations) reads.names.insert(d.name.text);
    }
  }
  for (const Instruction& instruction : file.meta_args) {
    AddReads(instruction, file.escape, reads);
  }
  for (const Instruction& instruction : file.meta_args) {
    for (const auto& d : std::get<Arg>(instruction.node).declarations) {
      if (!IsCandidate(d) || reads.Has(d.name.text)) continue;
      Report(instruction, d, true, out);
    }
  }
}

}  // namespace

void JudgeUnusedStage(const LintInput& input, std::vector<Finding>& out) {
  const Dockerfile& file = input.file;
  const StageUses uses(file);
  for (size_t i = 0; i + 1 < file.stages.size(); ++i) {
    const Stage& stage = file.stages[i];
    const std::string name = StageName(stage);
    if (uses.Used(i) || IsDescribed(stage)) continue;
    if (!name.empty() && ToLower(input.target) == name) continue;
    out.push_back(
        {RuleId::kUnusedStage,
         name.empty()
             ? "Stage " + std::to_string(i) +
                   " has no name and no other stage uses it, so it is never "
                   "built"
             : "Stage " + Quoted(name) +
                   " is used by no other stage, so only --target builds it",
         stage.from.range, FromOf(stage).name.value_or(Word{}).range});
  }
}

void JudgeUnusedArg(const LintInput& input, std::vector<Finding>& out) {
  const Dockerfile& file = input.file;
  JudgeGlobals(file, out);
  // From the last stage to the first: what stands on a stage reads its ARGs.
  std::vector<Reads> reads(file.stages.size());
  std::map<std::string, std::vector<size_t>> by_name;
  for (size_t i = 0; i < file.stages.size(); ++i) {
    by_name[StageName(file.stages[i])].push_back(i);
  }
  std::vector<Finding> found;
  for (size_t i = file.stages.size(); i-- > 0;) {
    const Stage& stage = file.stages[i];
    Reads& later = reads[i];
    for (auto it = stage.instructions.rbegin(); it != stage.instructions.rend();
         ++it) {
      if (const auto* arg = std::get_if<Arg>(&it->node)) {
        for (const ArgDeclaration& d : arg->declarations) {
          if (!IsCandidate(d) || later.Has(d.name.text)) continue;
          // ARG A=1 B=$A: the line itself reads it.
          Reads same_line;
          AddReads(*it, file.escape, same_line);
          if (!same_line.Has(d.name.text)) Report(*it, d, false, found);
        }
      }
      AddReads(*it, file.escape, later);
    }
    const auto bases = by_name.find(ToLower(FromOf(stage).image.text));
    if (bases == by_name.end() || bases->first.empty()) continue;
    const auto after = std::ranges::lower_bound(bases->second, i);
    if (after == bases->second.begin()) continue;
    reads[*std::prev(after)].Merge(std::move(later));
  }
  // Found backwards; told in the order of the file.
  out.insert(out.end(), found.rbegin(), found.rend());
}

}  // namespace imgbuild::dockerfile
