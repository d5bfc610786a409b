#include "plan/names.h"

#include <fmt/format.h>

#include "imgbuild/dockerfile/directives.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

// Mistakes are told when the instruction is evaluated, not while names are
// looked for.
void PrefetchSource(PlanContext& context, const dockerfile::Word& from,
                    size_t index, bool allow_index) {
  if (dockerfile::HasVariable(from.text, context.file.escape)) return;
  try {
    if (context.stages.FindSource(from, index, allow_index)) return;
  } catch (const Error&) {
    return;
  }
  if (from.text == "scratch" ||
      FindNamedContext(context.options, from.text,
                       context.options.target_platform)) {
    return;
  }
  if (const auto reference = oci::Reference::TryParse(from.text)) {
    context.resolver.Prefetch(reference->WithDefaultTag(),
                              context.options.target_platform);
  }
}

}  // namespace

std::string TargetStageName(const dockerfile::Dockerfile& file,
                            const PlanOptions& options) {
  if (!options.target.empty()) return options.target;
  const auto& from = std::get<dockerfile::From>(file.stages.back().from.node);
  return from.name ? from.name->text : "default";
}

std::string NameOf(const oci::Reference& reference) {
  const oci::Reference full = reference.WithDefaultTag();
  return (full.tag() ? full.WithoutDigest() : full).ToString();
}

std::string WithoutUserInfo(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const size_t start = scheme + 3;
  const size_t end = url.find_first_of("/?#", start);
  const size_t at = url.substr(0, end).rfind('@');
  if (at == std::string::npos || at < start) return url;
  return url.substr(0, start) + url.substr(at + 1);
}

void PrefetchStage(PlanContext& context, size_t index) {
  const StageInfo& info = context.stages.at(index);
  if (!info.base_stage && !info.context && ToLower(info.base) != "scratch") {
    if (const auto reference = oci::Reference::TryParse(info.base)) {
      context.resolver.Prefetch(
          reference->WithDefaultTag(),
          info.platform.value_or(context.options.target_platform));
    }
  }
  if (info.replaced) return;
  for (const dockerfile::Instruction& instruction : info.stage->instructions) {
    if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.node)) {
      if (copy->from) PrefetchSource(context, *copy->from, index, true);
    } else if (const auto* run =
                   std::get_if<dockerfile::Run>(&instruction.node)) {
      for (const dockerfile::RawMount& mount : run->mounts) {
        if (const auto from = MountFrom(mount)) {
          PrefetchSource(context, *from, index, false);
        }
      }
    }
  }
}

void NoteFrontend(PlanContext& context) {
  for (const dockerfile::Directive& directive : context.file.directives) {
    if (directive.name != "syntax") continue;
    const dockerfile::Word value = dockerfile::DirectiveValue(directive);
    const auto reference = oci::Reference::TryParse(value.text);
    if (!reference) continue;
    ExternalName name;
    name.kind = ExternalName::Kind::kFrontend;
    name.image = reference->WithDefaultTag();
    name.name = NameOf(*reference);
    name.written = value.text;
    name.range = value.range;
    name.site = "# syntax";
    name.platform = context.options.build_platform;
    context.graph.names.push_back(std::move(name));
  }
}

ExternalName StageEvaluator::NewName(ExternalName::Kind kind,
                                     const dockerfile::Word& word,
                                     const std::string& site) const {
  ExternalName name;
  name.kind = kind;
  name.written = word.text;
  name.range = word.range;
  name.site = site;
  if (triggers_) {
    // A trigger's own text is in the base: people look at FROM.
    name.range = std::get<dockerfile::From>(info_.stage->from.node).image.range;
    name.site = "ONBUILD " + site;
  }
  name.stage = info_.display_name;
  name.platform = context_.options.target_platform;
  return name;
}

namespace {

// Every stage counts, whether a target needs it or not. `evaluate` gets the
// context after all names were told to the resolver, so that requests overlap.
template <typename Evaluate>
void WithAllStages(const dockerfile::Dockerfile& file,
                   const PlanOptions& options, ImageResolver& resolver,
                   Evaluate evaluate) {
  BuildGraph graph;
  const GlobalArgs globals(file, options, TargetStageName(file, options));
  const StageTable stages(file, options, globals);
  PlanContext context{file, options, resolver, globals, stages, graph,
                      {},   {},      {},       {},      nullptr};
  for (size_t i = 0; i < stages.size(); ++i) PrefetchStage(context, i);
  evaluate(context);
}

}  // namespace

std::vector<ExternalName> ExternalNames(const dockerfile::Dockerfile& file,
                                        const PlanOptions& options,
                                        ImageResolver& resolver) {
  std::vector<ExternalName> names;
  WithAllStages(file, options, resolver, [&](PlanContext& context) {
    NoteFrontend(context);
    for (size_t i = 0; i < context.stages.size(); ++i) EnsureStage(context, i);
    names = std::move(context.graph.names);
  });
  return names;
}

void PrefetchExternalNames(const dockerfile::Dockerfile& file,
                           const PlanOptions& options,
                           ImageResolver& resolver) {
  WithAllStages(file, options, resolver, [](PlanContext&) {});
}

}  // namespace imgbuild::plan
