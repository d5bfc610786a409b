// `imgbuild config show`: which endpoint, trust and credentials a name leads
// to, and which rule of which file said so.
#include <fmt/format.h>

#include "imgbuild/registry/explain.h"
#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;
using registry::Explanation;

Json ToJson(const Explanation& step) {
  const registry::Endpoint& endpoint = step.endpoint;
  Json out = {{"url", endpoint.base_url + "/v2/" + endpoint.path_prefix},
              {"mirror", endpoint.is_mirror},
              {"rule", endpoint.rule},
              {"verify", !endpoint.tls.skip_verify},
              {"plainHttp", endpoint.insecure},
              {"trust", endpoint.trust},
              {"caFiles", endpoint.tls.ca_files},
              {"clientCertificate", endpoint.tls.client_cert_file},
              {"proxy", step.proxy},
              {"credentials", nullptr}};
  if (!step.credential_rule.empty()) {
    out["credentials"] = {{"identity", step.identity},
                          {"source", step.credential_source},
                          {"rule", step.credential_rule}};
  }
  return out;
}

std::string TrustText(const registry::Endpoint& endpoint) {
  if (endpoint.insecure) {
    return fmt::format("not verified, plain http allowed ({})", endpoint.trust);
  }
  return endpoint.trust.empty() ? "the system's roots" : endpoint.trust;
}

void Line(const char* name, const std::string& text) {
  fmt::print("  {:<13}{}\n", name, text);
}

void PrintText(const Explanation& step) {
  const registry::Endpoint& endpoint = step.endpoint;
  fmt::print("{} {}/v2/{}\n", endpoint.is_mirror ? "mirror  " : "registry",
             endpoint.base_url, endpoint.path_prefix);
  Line("rule", endpoint.rule);
  Line("tls", TrustText(endpoint));
  for (const std::string& file : endpoint.tls.ca_files) Line("root", file);
  if (!endpoint.tls.client_cert_file.empty()) {
    Line("client cert", endpoint.tls.client_cert_file);
  }
  if (!step.proxy.empty()) Line("proxy", step.proxy);
  if (step.credential_rule.empty()) {
    Line("credentials", "none: anonymous");
    return;
  }
  const bool named =
      step.credential_rule.find(step.credential_source) != std::string::npos;
  Line("credentials",
       fmt::format("{}: {}{}", step.identity, step.credential_rule,
                   named ? "" : ", from " + step.credential_source));
}

}  // namespace

int ConfigCommand(App& app, const Words& words) {
  std::string verb;
  std::string name;
  std::string format = "plain";
  Args args("config show [OPTIONS] NAME[:TAG][@DIGEST]",
            "Show where requests for a name go, in the order in which the "
            "places are asked, and which rule of which file decided. No "
            "request is made and no secret is shown.");
  args.Value("--format", &format, "plain|json", "how to print it");
  args.Positional("show", &verb, true, "the only thing to do");
  args.Positional("NAME", &name, true, "an image or a repository");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (verb != "show") {
    throw Error(ErrorCode::kUsage, "unknown word after config: " + verb)
        .WithHint("imgbuild config show NAME");
  }
  CheckFormat(format);
  const oci::Reference reference = oci::Reference::Parse(name).WithDefaultTag();
  const auto steps =
      registry::Explain(app.hosts(), app.credentials(), reference.repository(),
                        reference.digest().has_value());
  if (format == "json") {
    Json out = {{"name", reference.ToString()}, {"endpoints", Json::array()}};
    for (const Explanation& step : steps) {
      out["endpoints"].push_back(ToJson(step));
    }
    fmt::print("{}\n", out.dump(2, ' ', false, Json::error_handler_t::replace));
    return 0;
  }
  fmt::print("{}\n", reference.ToString());
  for (const Explanation& step : steps) PrintText(step);
  return 0;
}

}  // namespace imgbuild::cli
