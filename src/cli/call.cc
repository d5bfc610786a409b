#include "cli/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <vector>

#include "imgbuild/build/locking.h"
#include "imgbuild/build/policy_resolver.h"
#include "imgbuild/plan/outline.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/build_input.h"
#include "cli/check.h"
#include "cli/include_files.h"
#include "cli/lazy_resolver.h"
#include "cli/lock_input.h"
#include "cli/policed_plan.h"
#include "cli/source_json.h"
#include "registry/base64.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

constexpr char kMethods[] =
    "build, check, outline, targets and subrequests.describe";

Call::Method ParseMethod(const std::string& name) {
  if (name.empty() || name == "build") return Call::Method::kBuild;
  // What buildx called it first.
  if (name == "check" || name == "lint") return Call::Method::kCheck;
  if (name == "outline") return Call::Method::kOutline;
  if (name == "targets") return Call::Method::kTargets;
  if (name == "subrequests.describe") return Call::Method::kDescribe;
  Error error(ErrorCode::kUsage,
              fmt::format("unknown --call {}", Quoted(name)));
  const auto near = Suggest(
      name, {"build", "check", "outline", "targets", "subrequests.describe"});
  throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                            : fmt::format("the methods are {}", kMethods));
}

bool ParseTruth(const std::string& text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  throw Error(ErrorCode::kUsage,
              fmt::format("invalid --call: ignorestatus={}", text))
      .WithHint("it is true or false");
}

// Columns as Go's tabwriter sets them; the last one is not padded.
std::string Columns(const Rows& rows, size_t padding) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      const auto characters = std::ranges::count_if(
          row[i], [](char c) { return (c & 0xC0) != 0x80; });
      widths[i] = std::max(widths[i], static_cast<size_t>(characters));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 == row.size()) continue;
      const auto characters = std::ranges::count_if(
          row[i], [](char c) { return (c & 0xC0) != 0x80; });
      out.append(widths[i] + padding - static_cast<size_t>(characters), ' ');
    }
    out += '\n';
  }
  return out;
}

std::string NeedsText(const char* title,
                      const std::vector<plan::Outline::Need>& needs) {
  if (needs.empty()) return "";
  Rows rows = {{title, "REQUIRED"}};
  for (const auto& need : needs) {
    rows.push_back({need.id, need.required ? "true" : ""});
  }
  return Columns(rows, 3) + "\n";
}

std::string OutlineText(const plan::Outline& outline) {
  std::string out;
  if (!outline.target.empty()) {
    Rows rows = {{"TARGET:", outline.target}};
    if (!outline.description.empty()) {
      rows.push_back({"DESCRIPTION:", outline.description});
    }
    out += Columns(rows, 1) + "\n";
  }
  if (!outline.args.empty()) {
    Rows rows = {{"BUILD ARG", "VALUE", "DESCRIPTION"}};
    for (const auto& arg : outline.args) {
      rows.push_back({arg.name, arg.value.value_or(""), arg.description});
    }
    out += Columns(rows, 3) + "\n";
  }
  return out + NeedsText("SECRET", outline.secrets) +
         NeedsText("SSH", outline.ssh);
}

void AddText(Json& node, const char* key, const std::string& text) {
  if (!text.empty()) node[key] = text;
}

void AddSources(Json& document, const Sources& sources) {
  document["sources"] = Json::array();
  for (const auto& source : sources) {
    document["sources"].push_back(registry::Base64Encode(source->text()));
  }
}

void AddNeeds(Json& document, const char* key,
              const std::vector<plan::Outline::Need>& needs, Sources& sources) {
  for (const auto& need : needs) {
    Json node = {{"name", need.id}};
    if (need.required) node["required"] = true;
    node["location"] = LocationOf(need.range, sources);
    document[key].push_back(std::move(node));
  }
}

std::string OutlineJson(const plan::Outline& outline, Sources sources) {
  Json document = Json::object();
  AddText(document, "name", outline.target);
  AddText(document, "description", outline.description);
  for (const auto& arg : outline.args) {
    Json node = {{"name", arg.name}};
    AddText(node, "description", arg.description);
    AddText(node, "value", arg.value.value_or(""));
    node["location"] = LocationOf(arg.range, sources);
    document["args"].push_back(std::move(node));
  }
  AddNeeds(document, "secrets", outline.secrets, sources);
  AddNeeds(document, "ssh", outline.ssh, sources);
  AddSources(document, sources);
  return DumpGoJson(document);
}

std::string TargetsText(const std::vector<plan::TargetInfo>& targets) {
  Rows rows = {{"TARGET", "DESCRIPTION"}};
  for (const plan::TargetInfo& target : targets) {
    std::string name = target.name;
    if (target.is_default) name += name.empty() ? "(default)" : " (default)";
    rows.push_back({name, target.description});
  }
  return Columns(rows, 1);
}

std::string TargetsJson(const std::vector<plan::TargetInfo>& targets,
                        Sources sources) {
  Json document = {{"targets", Json::array()}};
  for (const plan::TargetInfo& target : targets) {
    Json node = Json::object();
    AddText(node, "name", target.name);
    if (target.is_default) node["default"] = true;
    AddText(node, "description", target.description);
    AddText(node, "base", target.base);
    AddText(node, "platform", target.platform);
    node["location"] = LocationOf(target.range, sources);
    document["targets"].push_back(std::move(node));
  }
  AddSources(document, sources);
  return DumpGoJson(document);
}

struct Subrequest {
  const char* name;
  const char* description;
};
constexpr Subrequest kSubrequests[] = {
    {"outline", "List all parameters current build target supports"},
    {"targets", "List all targets current build supports"},
    {"subrequests.describe", "List available subrequest types"}};

std::string DescribeText() {
  Rows rows = {{"NAME", "VERSION", "DESCRIPTION"}};
  for (const Subrequest& request : kSubrequests) {
    rows.push_back({request.name, "1.0.0", request.description});
  }
  return Columns(rows, 1);
}

std::string DescribeJson() {
  Json document = Json::array();
  for (const Subrequest& request : kSubrequests) {
    Json node = {{"name", std::string("frontend.") + request.name},
                 {"version", "1.0.0"},
                 {"type", "rpc"},
                 {"description", request.description}};
    node["opts"] = nullptr;
    if (&request == &kSubrequests[0]) {
      node["opts"] = Json::array(
          {{{"name", "target"}, {"description", "Target build stage"}}});
    } else if (&request == &kSubrequests[1]) {
      node["opts"] = Json::array();
    }
    node["inputs"] = nullptr;
    node["metadata"] =
        Json::array({{{"name", "result.json"}, {"description", ""}},
                     {{"name", "result.txt"}, {"description", ""}}});
    node["refs"] = nullptr;
    document.push_back(std::move(node));
  }
  return DumpGoJson(document);
}

// Base images are what a build would take: out of the lock, under the policy.
plan::Outline OutlineOf(App& app, const BuildFlags& flags,
                        const BuildInput& input,
                        const dockerfile::Dockerfile& file) {
  const BuildLock lock = OpenLock(input, flags);
  LazyResolver registry(app, flags.frozen ? transfer::PullPolicy::kNever
                             : flags.pull ? transfer::PullPolicy::kAlways
                                          : transfer::PullPolicy::kMissing);
  plan::ImageResolver* resolver = &registry;
  std::optional<build::LockedResolver> locked;
  if (lock.lock) {
    resolver = &locked.emplace(*lock.lock, lock.mode, lock.flags, *resolver);
  }
  const auto policy = LoadSourcePolicy(flags);
  std::optional<build::PolicyResolver> policed;
  if (policy) resolver = &policed.emplace(*policy, *resolver);
  return plan::MakeOutline(file, ToPlanOptions(flags), *resolver);
}

}  // namespace

Call ParseCall(const BuildFlags& flags) {
  const std::vector<std::string> parts = Split(flags.call, ',');
  Call call;
  call.method = ParseMethod(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].starts_with("format=")) {
      call.format = parts[i].substr(7);
    } else if (parts[i].starts_with("ignorestatus=")) {
      call.ignore_status = ParseTruth(parts[i].substr(13));
    } else {
      throw Error(ErrorCode::kUsage,
                  fmt::format("invalid --call: unknown {}", Quoted(parts[i])))
          .WithHint("the form is METHOD[,format=FORMAT][,ignorestatus=true]");
    }
  }
  if (flags.check) call.method = Call::Method::kCheck;
  if (call.method == Call::Method::kBuild) {
    if (parts.size() > 1) {
      throw Error(ErrorCode::kUsage, "--call build takes no format");
    }
    return call;
  }
  const ReportFormat format =
      ParseReportFormat(call.format.empty() ? "text" : call.format);
  if (format == ReportFormat::kSarif && call.method != Call::Method::kCheck) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--call {} has no format sarif", parts[0]))
        .WithHint("the formats are text and json");
  }
  return call;
}

int RunCall(App& app, const BuildFlags& flags, const Call& call) {
  const bool json = call.format == "json";
  if (call.method == Call::Method::kCheck) {
    const int status = RunCheck(
        app, flags,
        ParseReportFormat(call.format.empty() ? "text" : call.format), false);
    return call.ignore_status ? 0 : status;
  }
  std::string text;
  if (call.method == Call::Method::kDescribe) {
    text = json ? DescribeJson() : DescribeText();
  } else {
    ApplyLockFlags(app, flags);
    NullProgress progress;
    const BuildInput input = ReadInput(app, flags, progress);
    const dockerfile::Dockerfile file = ParseDockerfile(input);
    const Sources sources = {input.dockerfile};
    if (call.method == Call::Method::kTargets) {
      const auto targets = plan::ListTargets(file);
      text = json ? TargetsJson(targets, sources) : TargetsText(targets);
    } else {
      const plan::Outline outline = OutlineOf(app, flags, input, file);
      text = json ? OutlineJson(outline, sources) : OutlineText(outline);
    }
  }
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace imgbuild::cli
