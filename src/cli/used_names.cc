#include "cli/used_names.h"

#include <variant>

#include "imgbuild/dockerfile/directives.h"
#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/lock/pin.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "plan/stages.h"

namespace imgbuild::cli {
namespace {

using dockerfile::Word;

class Collector {
 public:
  Collector(const dockerfile::Dockerfile& file,
            const plan::PlanOptions& options)
      : file_(file),
        options_(options),
        globals_(file, options, ""),
        stages_(file, options, globals_) {}

  std::vector<lock::UsedName> Collect() {
    for (size_t i = 0; i < stages_.size(); ++i) {
      AddFrom(stages_.at(i));
      for (const auto& instruction : stages_.at(i).stage->instructions) {
        if (const auto* copy =
                std::get_if<dockerfile::Copy>(&instruction.node)) {
          if (copy->from) AddSource(*copy->from, i, true, "COPY --from");
        } else if (const auto* run =
                       std::get_if<dockerfile::Run>(&instruction.node)) {
          for (const dockerfile::RawMount& mount : run->mounts) {
            if (const auto from = plan::MountFrom(mount)) {
              AddSource(*from, i, false, "RUN --mount");
            }
          }
        }
      }
    }
    return std::move(names_);
  }

 private:
  void AddFrom(const plan::StageInfo& info) {
    if (info.base_stage || info.context || info.replaced) return;
    if (ToLower(info.base) == "scratch") return;
    const auto& from = std::get<dockerfile::From>(info.stage->from.node);
    lock::UsedName& used = Add(info.base, from.image, "FROM", info);
    used.platform = info.platform.value_or(options_.target_platform);
    const auto lookup = globals_.variables().AsLookup();
    for (const std::string& name :
         dockerfile::Expand(from.image, lookup, file_.escape).matched) {
      if (const auto value = lookup(name)) used.args[name] = *value;
    }
  }

  void AddSource(const Word& from, size_t stage, bool allow_index,
                 const char* site) {
    if (dockerfile::HasVariable(from.text, file_.escape)) return;
    if (stages_.FindSource(from, stage, allow_index)) return;
    if (plan::FindNamedContext(options_, from.text, options_.target_platform))
      return;
    Add(from.text, from, site, stages_.at(stage));
  }

  lock::UsedName& Add(const std::string& text, const Word& word,
                      const char* site, const plan::StageInfo& info) {
    lock::UsedName used;
    try {
      used.image = oci::Reference::Parse(text);
    } catch (Error& error) {
      throw Error(ErrorCode::kDockerfile, error.message())
          .At(word.range)
          .WithHint(error.hint());
    }
    used.name = used.image->WithDefaultTag().ToString();
    used.written = word.text;
    used.range = word.range;
    used.site = site;
    used.stage = info.display_name;
    used.platform = options_.target_platform;
    names_.push_back(std::move(used));
    return names_.back();
  }

  const dockerfile::Dockerfile& file_;
  const plan::PlanOptions& options_;
  const plan::GlobalArgs globals_;
  const plan::StageTable stages_;
  std::vector<lock::UsedName> names_;
};

}  // namespace

std::vector<lock::UsedName> UsedImages(const dockerfile::Dockerfile& file,
                                       const plan::PlanOptions& options) {
  return Collector(file, options).Collect();
}

std::vector<lock::UsedName> PinnableNames(const dockerfile::Dockerfile& file,
                                          const plan::PlanOptions& options) {
  std::vector<lock::UsedName> names = UsedImages(file, options);
  const auto add = [&](lock::Kind kind, const Word& word,
                       const std::string& site) {
    const auto image = oci::Reference::TryParse(word.text);
    if (!image) return;  // of a trigger: the build that runs it says so
    lock::UsedName used;
    used.kind = kind;
    used.image = *image;
    used.name = image->WithDefaultTag().ToString();
    used.written = word.text;
    used.range = word.range;
    used.site = site;
    used.platform = options.target_platform;
    names.push_back(std::move(used));
  };
  for (const dockerfile::Directive& directive : file.directives) {
    if (directive.name != "syntax") continue;
    add(lock::Kind::kFrontend, dockerfile::DirectiveValue(directive),
        "# syntax");
  }
  for (const dockerfile::Stage& stage : file.stages) {
    for (const dockerfile::Instruction& instruction : stage.instructions) {
      const auto* trigger = std::get_if<dockerfile::OnBuild>(&instruction.node);
      if (trigger == nullptr) continue;
      for (const lock::TriggerName& name :
           lock::TriggerNames(*trigger, file.escape)) {
        add(lock::Kind::kImage, name.word, name.site);
      }
    }
  }
  return names;
}

}  // namespace imgbuild::cli
