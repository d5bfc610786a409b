// `imgbuild build` and `imgbuild plan`.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/build_input.h"
#include "cli/commands.h"
#include "cli/include_files.h"
#include "cli/lock_input.h"
#include "cli/progress.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

void ShowWarnings(const plan::BuildGraph& graph,
                  const dockerfile::Dockerfile& file, ProgressSink& progress) {
  const auto show = [&](const std::string& rule, const std::string& message,
                        const SourceRange& range) {
    progress.Warning(fmt::format("{}: {}{}", rule, message,
                                 range ? " (" + range.ToString() + ")" : ""));
  };
  for (const auto& w : file.warnings) show(w.rule, w.message, w.range);
  for (const auto& w : graph.warnings) show(w.rule, w.message, w.range);
}

// The same keys as `docker buildx build --metadata-file`.
std::string Metadata(const build::BuildResult& result,
                     const std::vector<oci::Reference>& tags) {
  Json document = {{"containerimage.config.digest", result.image_id.ToString()},
                   {"containerimage.digest", result.manifest.digest.ToString()},
                   {"containerimage.descriptor",
                    {{"mediaType", result.manifest.media_type},
                     {"digest", result.manifest.digest.ToString()},
                     {"size", result.manifest.bytes.size()},
                     {"platform",
                      {{"architecture", result.platform.architecture},
                       {"os", result.platform.os}}}}}};
  if (!tags.empty()) {
    std::vector<std::string> names;
    names.reserve(tags.size());
    for (const oci::Reference& tag : tags) names.push_back(tag.ToString());
    document["image.name"] = Join(names, ",");
  }
  return document.dump(2) + "\n";
}

// The step that shows what became of the result.
void ShowExport(ProgressSink& progress, const build::BuildResult& result,
                const std::vector<oci::Reference>& tags) {
  const VertexId row = progress.AddVertex("exporting to image");
  progress.Started(row);
  progress.Log(
      row, 1,
      fmt::format("writing image {} done\n", result.image_id.ToString()));
  for (const oci::Reference& tag : tags) {
    progress.Log(row, 1, fmt::format("naming to {} done\n", tag.ToString()));
  }
  progress.Finished(row, VertexOutcome::kDone, "");
}

struct Outputs {
  std::vector<build::OutputSpec> specs;
  std::vector<oci::Reference> tags;
  bool stdout_taken = false;
};

Outputs ReadOutputs(const BuildFlags& flags) {
  Outputs outputs;
  outputs.tags = ParseTags(flags);
  for (const std::string& text : flags.outputs) {
    build::OutputSpec spec = build::ParseOutput(text);
    for (const std::string& name : spec.names) {
      BuildFlags named;
      named.tags = {name};
      const auto parsed = ParseTags(named);
      outputs.tags.insert(outputs.tags.end(), parsed.begin(), parsed.end());
    }
    if (spec.dest == "-") {
      if (outputs.stdout_taken) {
        throw Error(ErrorCode::kUsage,
                    "two outputs cannot both go to standard output");
      }
      if (::isatty(1) != 0) {
        throw Error(ErrorCode::kUsage,
                    "an archive is not written to a terminal")
            .WithHint("redirect it, or give dest=FILE");
      }
      outputs.stdout_taken = true;
    }
    outputs.specs.push_back(std::move(spec));
  }
  return outputs;
}

build::BuildResult Build(App& app, const BuildFlags& flags,
                         const Outputs& outputs, ProgressSink& progress) {
  // Everything that can be refused is refused before anything is fetched.
  const plan::PlanOptions options = ToPlanOptions(flags);
  const auto secrets = ParseSecrets(flags);
  const unsigned jobs = ParseJobs(flags);
  const exec::ResourceLimits limits = ParseLimits(flags);
  const auto annotations = ParseAnnotations(flags, options.target_platform);
  const build::SshAgents agents(ParseSsh(flags), app.cancel);
  app.fetcher_options = {agents.Socket("default").value_or(""), secrets};
  // What is fetched from here on cannot be swept away.
  const auto lease = app.store().Hold();
  const BuildInput input = ReadInput(app, flags, progress);
  const dockerfile::Dockerfile file = ParseDockerfile(input);

  const BuildLock lock = OpenLock(input, flags);
  const plan::BuildGraph graph =
      PlanLocked(app, file, options, lock, flags, progress);
  ShowWarnings(graph, file, progress);

  const OpenedContexts contexts(app, input, options.named_contexts,
                                graph.contexts, progress);
  build::BuildEnvironment environment{
      app.store(), app.transfer(), app.executor(), progress,
      app.pool(),  app.cancel,     &app.fetcher()};
  const build::BuildRequest request{
      graph,       contexts.map(), secrets, input.slot_prefix,
      jobs,        outputs.tags,   &agents, limits,
      annotations, flags.slow_path};
  build::BuildResult result = build::Builder(environment).Build(request);
  for (const build::OutputSpec& output : outputs.specs) {
    build::Export(environment, result, output, outputs.tags);
  }
  ShowExport(progress, result, outputs.tags);
  return result;
}

void WriteResultFiles(const BuildFlags& flags, const build::BuildResult& result,
                      const std::vector<oci::Reference>& tags) {
  if (!flags.iidfile.empty()) {
    fs::WriteFileAtomic(AT_FDCWD, flags.iidfile, result.image_id.ToString());
  }
  if (!flags.metadata_file.empty()) {
    fs::WriteFileAtomic(AT_FDCWD, flags.metadata_file, Metadata(result, tags));
  }
}

}  // namespace

int BuildCommand(App& app, const Words& words) {
  BuildFlags flags;
  Args args("build [OPTIONS] PATH|URL|-", "Build an image from a Dockerfile.");
  AddPlanFlags(args, flags);
  AddBuildFlags(args, flags);
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  const Outputs outputs = ReadOutputs(flags);
  RequireRoot();
  ApplyLockFlags(app, flags);
  const auto progress =
      MakeProgress(flags.quiet ? "quiet" : flags.progress, stderr);
  // A layer that is fetched or unpacked says so under the plan's steps.
  app.transfer_options.warn = [&](const std::string& text) {
    progress->sink().Warning(text);
  };
  try {
    const build::BuildResult result =
        Build(app, flags, outputs, progress->sink());
    progress->Close();
    WriteResultFiles(flags, result, outputs.tags);
    if (outputs.stdout_taken) return 0;
    if (flags.quiet) {
      fmt::print("{}\n", result.image_id.ToString());
    } else {
      fmt::print("Digest: {}{}\n", result.manifest.digest.ToString(),
                 result.unchanged ? " (unchanged)" : "");
    }
    return 0;
  } catch (Error&) {
    progress->Close();
    std::fputs(progress->FailureBlock().c_str(), stderr);
    throw;
  }
}

int PlanCommand(App& app, const Words& words) {
  BuildFlags flags;
  Args args("plan [OPTIONS] PATH|URL|-",
            "Show what a build would do, and the recipes of its cache keys.");
  AddPlanFlags(args, flags);
  args.Value("--format", &flags.format, "FORMAT", "text, json or dot");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (flags.format != "text" && flags.format != "json" &&
      flags.format != "dot") {
    throw Error(ErrorCode::kUsage,
                fmt::format("unknown --format {}", Quoted(flags.format)))
        .WithHint("the formats are text, json and dot");
  }
  ApplyLockFlags(app, flags);
  const plan::PlanOptions options = ToPlanOptions(flags);
  NullProgress progress;
  const BuildInput input = ReadInput(app, flags, progress);
  const dockerfile::Dockerfile file = ParseDockerfile(input);
  const BuildLock lock = OpenLock(input, flags);
  const plan::BuildGraph graph =
      PlanLocked(app, file, options, lock, flags, progress);
  const std::string text = flags.format == "json"  ? plan::ToJson(graph)
                           : flags.format == "dot" ? plan::ToDot(graph)
                                                   : plan::ToText(graph);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace imgbuild::cli
