// `imgbuild build` and `imgbuild plan`.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/build_input.h"
#include "cli/call.h"
#include "cli/check.h"
#include "cli/commands.h"
#include "cli/devices.h"
#include "cli/include_files.h"
#include "cli/lint_report.h"
#include "cli/lock_bundle.h"
#include "cli/lock_input.h"
#include "cli/output_lock.h"
#include "cli/policed_plan.h"
#include "cli/progress.h"
#include "cli/store_limit.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

// Findings are told at the end, where they are seen; programs that read the
// events get them as such.
void ShowWarnings(const BuildFlags& flags, const plan::BuildGraph& graph,
                  const std::vector<dockerfile::Finding>& findings,
                  ProgressSink& progress) {
  for (const plan::PlanWarning& warning : graph.warnings) {
    progress.Warning(fmt::format(
        "{}: {}{}", warning.rule, warning.message,
        warning.range ? " (" + warning.range.ToString() + ")" : ""));
  }
  if (flags.progress != "rawjson" || flags.quiet) return;
  for (const dockerfile::Finding& finding : findings) {
    progress.Warning(OneLine(finding));
  }
}

void ShowSummary(const BuildFlags& flags,
                 const std::vector<dockerfile::Finding>& findings) {
  if (flags.quiet || flags.progress == "quiet" || flags.progress == "none" ||
      flags.progress == "rawjson") {
    return;
  }
  std::fputs(BuildSummary(findings, ::isatty(2) != 0).c_str(), stderr);
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
  for (const auto& [key, value] : result.descriptor_annotations) {
    document["containerimage.descriptor"]["annotations"][key] = value;
  }
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
    for (const build::OutputSpec& other : outputs.specs) {
      if (spec.dest.empty() || spec.dest == "-" || other.dest.empty()) continue;
      if (fs::CleanPath(spec.dest) != fs::CleanPath(other.dest)) continue;
      throw Error(
          ErrorCode::kUsage,
          fmt::format("two outputs cannot both go to {}", Quoted(spec.dest)));
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

// Annotations of a descriptor are kept where one is written.
void RequireDescriptor(const Annotations& annotations, const Outputs& outputs) {
  using Type = build::OutputSpec::Type;
  const bool written =
      std::ranges::any_of(outputs.specs, [](const build::OutputSpec& spec) {
        return spec.type == Type::kOci || spec.type == Type::kDocker;
      });
  if (annotations.descriptor.empty() || written) return;
  throw Error(ErrorCode::kUsage,
              "--annotation manifest-descriptor: no output has a descriptor")
      .WithHint("an archive has one: --output type=oci,dest=FILE");
}

// `findings`: what the checks found, once that is known.
build::BuildResult Build(App& app, const BuildFlags& flags,
                         const Outputs& outputs, ProgressSink& progress,
                         std::vector<dockerfile::Finding>& findings) {
  // Everything that can be refused is refused before anything is fetched.
  plan::PlanOptions options = ToPlanOptions(flags);
  const auto secrets = ParseSecrets(flags);
  const unsigned jobs = ParseJobs(flags);
  const exec::ResourceLimits limits = ParseLimits(flags);
  const Annotations annotations =
      ParseAnnotations(flags, options.target_platform);
  RequireDescriptor(annotations, outputs);
  const build::SshAgents agents(ParseSsh(flags), app.cancel);
  app.fetcher_options = {agents.Socket("default").value_or(""), secrets};
  // What is fetched from here on cannot be swept away.
  const auto lease = app.store().Hold();
  const BuildInput input = ReadInput(app, flags, progress);
  options.hidden_by_ignore_file = IgnoreProbe(input);
  HostDevices devices;
  options.devices = devices.Lister();
  const dockerfile::Dockerfile file = ParseDockerfile(input);
  const dockerfile::CheckOptions checks = CheckOptionsOf(file, options);

  const BuildLock lock = OpenLock(input, flags);
  const OutputLock expected(lock, options.build_args, flags.record_output);
  if (!flags.lock_bundle.empty()) {
    ImportBundle(app, flags.lock_bundle, *lock.lock);
  }
  const plan::BuildGraph graph =
      PlanLocked(app, file, options, lock, flags, progress);
  for (const plan::ResolvedImage& image : graph.images) {
    app.store().NoteUse(image.manifest);
  }
  findings = BuildFindings(file, checks, graph);
  ShowWarnings(flags, graph, findings, progress);
  FailOnFindings(checks, findings);

  const OpenedContexts contexts(app, input, options.named_contexts,
                                graph.contexts, progress);
  build::BuildEnvironment environment{
      app.store(), app.transfer(), app.executor(), progress,
      app.pool(),  app.cancel,     &app.fetcher()};
  const build::BuildRequest request{graph,
                                    contexts.map(),
                                    secrets,
                                    input.slot_prefix,
                                    jobs,
                                    outputs.tags,
                                    &agents,
                                    limits,
                                    annotations.manifest,
                                    flags.slow_path,
                                    [&](const oci::Digest& made) {
                                      expected.Check(file, graph, options, made,
                                                     progress);
                                    },
                                    devices.registry_if_read()};
  build::BuildResult result = build::Builder(environment).Build(request);
  result.descriptor_annotations = annotations.descriptor;
  for (const build::OutputSpec& output : outputs.specs) {
    build::Export(environment, result, output, outputs.tags);
  }
  expected.Record(file, graph, options, result.manifest.digest, progress);
  ShowExport(progress, result, outputs.tags);
  return result;
}

// --store-max: kept before a build, or there is none, and after it.
class SizeLimit {
 public:
  SizeLimit(App& app, const BuildFlags& flags)
      : app_(app), max_bytes_(ParseStoreMax(flags.store_max)) {
    if (!max_bytes_) return;
    keep_ = LockedDigests(flags.keep_locked);
    // What this build is about to use.
    std::string path = flags.lockfile;
    if (path.empty()) {
      path = flags.file.empty() ? flags.context + "/Dockerfile" : flags.file;
      path += ".lock";
    }
    if (::access(path.c_str(), R_OK) == 0) keep_.merge(LockedDigests({path}));
    KeepBelow(app_, *max_bytes_, keep_);
  }

  // The image is made by now: a limit that cannot be kept is told, and refuses
  // the next build.
  void After(const build::BuildResult& result) const {
    if (!max_bytes_) return;
    std::set<oci::Digest> keep = keep_;
    keep.insert(result.manifest.digest);
    try {
      KeepBelow(app_, *max_bytes_, keep);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kHost) throw;
      std::string text = error.Render();
      text.replace(0, text.find(':'), "warning");
      std::fputs(text.c_str(), stderr);
    }
  }

 private:
  App& app_;
  std::optional<uint64_t> max_bytes_;
  std::set<oci::Digest> keep_;
};

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
  const Call call = ParseCall(flags);
  if (call.method != Call::Method::kBuild) return RunCall(app, flags, call);

  if (!flags.lock_bundle.empty()) flags.frozen = true;
  const Outputs outputs = ReadOutputs(flags);
  RequireRoot();
  ApplyLockFlags(app, flags);
  const auto progress =
      MakeProgress(flags.quiet ? "quiet" : flags.progress, stderr);
  // A layer that is fetched or unpacked says so under the plan's steps.
  app.transfer_options.warn = [&](const std::string& text) {
    progress->sink().Warning(text);
  };
  std::vector<dockerfile::Finding> findings;
  try {
    const SizeLimit limit(app, flags);
    const build::BuildResult result =
        Build(app, flags, outputs, progress->sink(), findings);
    progress->Close();
    limit.After(result);
    ShowSummary(flags, findings);
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
    ShowSummary(flags, findings);
    throw;
  }
}

int PlanCommand(App& app, const Words& words) {
  BuildFlags flags;
  Args args("plan [OPTIONS] PATH|URL|-",
            "Show what a build would do, and the recipes of its cache keys.");
  AddPlanFlags(args, flags);
  args.Value("--lock-bundle", &flags.lock_bundle, "FILE",
             "take what is locked from here, and fetch nothing");
  args.Value("--format", &flags.format, "FORMAT", "text, json or dot");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (flags.format != "text" && flags.format != "json" &&
      flags.format != "dot") {
    throw Error(ErrorCode::kUsage,
                fmt::format("unknown --format {}", Quoted(flags.format)))
        .WithHint("the formats are text, json and dot");
  }
  if (!flags.lock_bundle.empty()) flags.frozen = true;
  ApplyLockFlags(app, flags);
  plan::PlanOptions options = ToPlanOptions(flags);
  NullProgress progress;
  const auto lease = flags.lock_bundle.empty() ? nullptr : app.store().Hold();
  const BuildInput input = ReadInput(app, flags, progress);
  options.hidden_by_ignore_file = IgnoreProbe(input);
  HostDevices devices;
  options.devices = devices.Lister();
  const dockerfile::Dockerfile file = ParseDockerfile(input);
  const BuildLock lock = OpenLock(input, flags);
  if (!flags.lock_bundle.empty()) {
    ImportBundle(app, flags.lock_bundle, *lock.lock);
  }
  plan::BuildGraph graph =
      PlanLocked(app, file, options, lock, flags, progress);
  graph.findings = BuildFindings(file, CheckOptionsOf(file, options), graph);
  const std::string text = flags.format == "json"  ? plan::ToJson(graph)
                           : flags.format == "dot" ? plan::ToDot(graph)
                                                   : plan::ToText(graph);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace imgbuild::cli
