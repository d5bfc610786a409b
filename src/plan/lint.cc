#include "imgbuild/plan/lint.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "plan/eval.h"
#include "plan/lint_findings.h"
#include "plan/names.h"

namespace imgbuild::plan {
namespace {

using dockerfile::RuleId;

// An image without a file, so that the rest of the Dockerfile can be judged.
ResolvedImage MadeUpImage(const oci::Reference& reference,
                          const oci::Platform& platform) {
  const oci::Digest digest = oci::Digest::OfBytes(reference.ToString());
  oci::ImageConfig config;
  config.platform = platform;
  config.working_dir = "/";
  return {reference, digest, digest, digest, config, {}};
}

// `alpine:3.20`, as people write it.
std::string Shown(const oci::Reference& reference) {
  return reference.Familiar();
}

// What `result` stands on, itself included, in order.
std::vector<Vertex> StepsOf(const BuildGraph& graph, VertexIndex result) {
  std::vector<bool> needed(graph.vertices.size());
  needed[result] = true;
  std::vector<Vertex> out;
  // An edge only goes to a lower index.
  for (VertexIndex i = result + 1; i-- > 0;) {
    if (!needed[i]) continue;
    const Vertex& vertex = graph.vertices[i];
    if (vertex.parent) needed[*vertex.parent] = true;
    for (const VertexIndex input : vertex.inputs) needed[input] = true;
    out.push_back(vertex);
  }
  std::ranges::reverse(out);
  return out;
}

// The steps of the target.
std::vector<Vertex> EvaluateStages(const dockerfile::Dockerfile& file,
                                   const PlanOptions& options,
                                   ImageResolver& resolver,
                                   LintSession& session, BuildGraph& graph) {
  const std::string target_name = TargetStageName(file, options);
  const GlobalArgs globals(file, options, target_name);
  LintFroms(file, options, target_name, globals, graph.findings);
  const StageTable stages(file, options, globals);
  PlanContext context{file, options, resolver, globals, stages,  graph,
                      {},   {},      {},       {},      &session};
  std::vector<size_t> wanted = {stages.target()};
  if (options.target.empty()) {
    wanted.resize(stages.size());
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] = i;
  }
  for (const size_t index :
       options.target.empty() ? wanted : stages.Reached()) {
    PrefetchStage(context, index);
  }
  for (const size_t index : wanted) EnsureStage(context, index);
  return StepsOf(graph, EnsureStage(context, stages.target()).vertex);
}

}  // namespace

ResolvedImage ResolveImage(PlanContext& context,
                           const oci::Reference& reference,
                           const oci::Platform& platform) {
  if (context.lint == nullptr) {
    return context.resolver.Resolve(reference, platform);
  }
  try {
    return context.resolver.Resolve(reference, platform);
  } catch (const Error& error) {
    // kUsage: the store was asked alone, and has nothing.
    if (error.code() != ErrorCode::kRegistry &&
        error.code() != ErrorCode::kUsage) {
      throw;
    }
    if (!IsUnresolved(context, reference)) {
      context.lint->unresolved.push_back({reference, error});
    }
    return MadeUpImage(reference, platform);
  }
}

bool IsUnresolved(const PlanContext& context, const oci::Reference& reference) {
  return context.lint != nullptr &&
         std::ranges::any_of(
             context.lint->unresolved,
             [&](const UnresolvedImage& u) { return u.name == reference; });
}

void LintBasePlatform(PlanContext& context, const StageInfo& info,
                      const oci::Platform& wanted, const oci::Platform& got) {
  if (wanted.os == got.os && wanted.architecture == got.architecture) return;
  const auto& from = std::get<dockerfile::From>(info.stage->from.node);
  context.graph.findings.push_back(
      {RuleId::kInvalidBaseImagePlatform,
       fmt::format("Base image {} was pulled with platform {}, expected {} for "
                   "current build",
                   info.base, Quoted(got.ToString()),
                   Quoted(wanted.ToString())),
       info.stage->from.range, from.image.range});
}

void LintPin(PlanContext& context, const oci::Reference& reference,
             const SourceRange& instruction, const SourceRange& focus) {
  if (context.lint == nullptr) return;
  const LockLookup& locked = context.lint->locked;
  const std::optional<oci::Digest> digest =
      locked ? locked(reference) : std::nullopt;
  if (!reference.digest()) {
    if (digest) return;
    context.graph.findings.push_back(
        {RuleId::kUnpinnedImage,
         fmt::format("Image {} is not pinned: it has no digest{}",
                     Shown(reference),
                     locked ? ", and the lock has no entry for it"
                            : " and there is no Dockerfile.lock"),
         instruction, focus});
  } else if (digest && *digest != *reference.digest()) {
    context.graph.findings.push_back(
        {RuleId::kLockMismatch,
         fmt::format("Image {} has the digest {}, but the lock has {}",
                     Shown(reference.WithoutDigest()),
                     reference.digest()->ToString(), digest->ToString()),
         instruction, focus});
  }
}

std::vector<RuleId> RulesThatNeedBases() {
  return {RuleId::kUndefinedVar, RuleId::kJSONArgsRecommended,
          RuleId::kInvalidBaseImagePlatform};
}

LintReport Lint(const dockerfile::Dockerfile& file, const PlanOptions& options,
                const LockLookup& locked, ImageResolver& resolver) {
  LintReport report;
  report.findings = dockerfile::Lint(
      {file, dockerfile::LintOccasion::kCheck, options.target});
  LintSession session{locked, report.unresolved};
  BuildGraph graph;
  try {
    report.steps = EvaluateStages(file, options, resolver, session, graph);
  } catch (const Error& error) {
    report.error = error;
  }
  std::ranges::move(graph.findings, std::back_inserter(report.findings));
  return report;
}

}  // namespace imgbuild::plan
