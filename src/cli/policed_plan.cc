#include "cli/policed_plan.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "imgbuild/build/policy_resolver.h"
#include "imgbuild/build/remote_context.h"
#include "imgbuild/lock/source_policy.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/fs.h"

#include "cli/text_file.h"

namespace imgbuild::cli {

std::optional<lock::SourcePolicy> LoadSourcePolicy(const BuildFlags& flags) {
  std::string path = flags.source_policy;
  if (path.empty()) {
    const char* env = std::getenv("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY");
    if (env != nullptr) path = env;
  }
  if (path.empty()) return std::nullopt;
  return lock::SourcePolicy::Parse(
      ReadTextFile(path, lock::kMaxSourcePolicyBytes, "source policy"));
}

namespace {

// imgbuild.toml beside the Dockerfile.
std::optional<lock::Policy> LoadPolicyFile(const std::string& dockerfile_path) {
  if (dockerfile_path.empty()) return std::nullopt;
  const size_t slash = dockerfile_path.rfind('/') + 1;
  const std::string path = dockerfile_path.substr(0, slash) + "imgbuild.toml";
  if (!fs::LstatIfExists(AT_FDCWD, path)) return std::nullopt;
  return lock::ParsePolicyFile(
      ReadTextFile(path, lock::kMaxPolicyBytes, "policy"));
}

lock::UsedName UsedImage(const plan::ImageOp& op, const plan::Vertex& vertex) {
  lock::UsedName used;
  used.image = op.image.name.WithDefaultTag();
  used.name = lock::KeyOf(*used.image).ToString();
  used.platform = vertex.platform;
  used.range = vertex.range;
  return used;
}

lock::UsedName UsedRemote(const plan::CopyOp& op,
                          const plan::CopyOp::Remote& remote) {
  lock::UsedName used;
  used.kind = remote.git ? lock::Kind::kGit : lock::Kind::kUrl;
  used.name = remote.url;
  used.range = remote.range;
  used.own_checksum = op.checksum;
  if (remote.git) {
    used.name = remote.git->remote;
    if (!remote.git->ref.empty()) used.name += "#" + remote.git->ref;
    if (used.own_checksum.empty()) used.own_checksum = remote.git->commit;
    const size_t length = remote.git->ref.size();
    const bool is_commit = (length == 40 || length == 64) &&
                           remote.git->ref.find_first_not_of(
                               "0123456789abcdef") == std::string::npos;
    if (is_commit) used.own_checksum = remote.git->ref;
  }
  return used;
}

plan::BuildGraph PlanUnderSourcePolicy(const lock::SourcePolicy& policy,
                                       const BuildFlags& flags,
                                       const dockerfile::Dockerfile& file,
                                       const plan::PlanOptions& options,
                                       plan::ImageResolver& resolver) {
  build::CheckLocalSources(policy, {});
  if (build::IsRemoteContext(flags.context)) {
    build::CheckRemoteContext(policy, flags.context);
  }
  build::PolicyResolver policed(policy, resolver);
  plan::BuildGraph graph = plan::Plan(file, options, policed);
  std::vector<std::string> local;
  for (const std::string& name : graph.contexts) {
    const std::string& value =
        name.empty() ? flags.context : options.named_contexts.at(name);
    if (!build::IsRemoteContext(value)) {
      local.push_back(name);
    } else if (!name.empty()) {
      build::CheckRemoteContext(policy, value);
    }
  }
  build::CheckLocalSources(policy, local);
  build::ApplyToRemotes(policy, graph);
  return graph;
}

}  // namespace

lock::PolicyFacts FactsOf(const std::vector<plan::Vertex>& steps,
                          const lock::Lockfile* lockfile) {
  lock::PolicyFacts facts;
  facts.lockfile = lockfile;
  facts.now = SystemClock().NowSeconds();
  for (const plan::Vertex& vertex : steps) {
    if (const auto* image = std::get_if<plan::ImageOp>(&vertex.op)) {
      facts.used.push_back(UsedImage(*image, vertex));
      facts.created[facts.used.back().name] =
          image->image.config.created.value_or("");
    } else if (const auto* copy = std::get_if<plan::CopyOp>(&vertex.op)) {
      for (const plan::CopyOp::Remote& remote : copy->remotes) {
        facts.used.push_back(UsedRemote(*copy, remote));
      }
    } else if (const auto* run = std::get_if<plan::RunOp>(&vertex.op)) {
      facts.runs.push_back({vertex.stage, run->network, vertex.range});
    }
  }
  return facts;
}

void EnforcePolicies(const std::string& dockerfile_path,
                     const lock::PolicyFacts& facts) {
  std::vector<lock::PolicyFinding> findings;
  const auto check = [&](const std::optional<lock::Policy>& policy) {
    if (!policy) return;
    for (auto& finding : lock::EvaluatePolicy(*policy, facts)) {
      findings.push_back(std::move(finding));
    }
  };
  if (facts.lockfile != nullptr) check(lock::PolicyOf(*facts.lockfile));
  check(LoadPolicyFile(dockerfile_path));
  if (findings.empty()) return;
  Error error = lock::ToError(findings.front());
  for (size_t i = 1; i < findings.size(); ++i) {
    error.WithNote(fmt::format("also at {}: {}", findings[i].range.ToString(),
                               findings[i].message));
  }
  throw error;
}

namespace {

// As a build calls the stages.
std::vector<lock::RunFact> RunsOf(const dockerfile::Dockerfile& file) {
  std::vector<lock::RunFact> out;
  for (size_t i = 0; i < file.stages.size(); ++i) {
    const dockerfile::Stage& stage = file.stages[i];
    const auto& from = std::get<dockerfile::From>(stage.from.node);
    const std::string name = from.name ? from.name->text
                             : file.stages.size() > 1
                                 ? fmt::format("stage-{}", i)
                                 : "";
    for (const dockerfile::Instruction& instruction : stage.instructions) {
      const auto* run = std::get_if<dockerfile::Run>(&instruction.node);
      if (run == nullptr) continue;
      out.push_back({name, run->network ? run->network->text : "default",
                     instruction.range});
    }
  }
  return out;
}

}  // namespace

void EnforcePoliciesOnLock(const std::string& dockerfile_path,
                           const dockerfile::Dockerfile* file,
                           std::vector<lock::UsedName> used,
                           const lock::Lockfile& lockfile) {
  lock::PolicyFacts facts;
  facts.used = std::move(used);
  facts.lockfile = &lockfile;
  facts.now = SystemClock().NowSeconds();
  if (file != nullptr) facts.runs = RunsOf(*file);
  EnforcePolicies(dockerfile_path, facts);
}

plan::BuildGraph PlanUnderPolicy(const BuildFlags& flags,
                                 const std::string& dockerfile_path,
                                 const dockerfile::Dockerfile& file,
                                 const plan::PlanOptions& options,
                                 plan::ImageResolver& resolver,
                                 const lock::Lockfile* lockfile) {
  const auto policy = LoadSourcePolicy(flags);
  plan::BuildGraph graph =
      policy ? PlanUnderSourcePolicy(*policy, flags, file, options, resolver)
             : plan::Plan(file, options, resolver);
  EnforcePolicies(dockerfile_path, FactsOf(graph.vertices, lockfile));
  return graph;
}

}  // namespace imgbuild::cli
