#include <fmt/format.h>

#include "imgbuild/plan/build_graph.h"
#include "imgbuild/plan/cache_key.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

namespace imgbuild::plan {
namespace {

// In a plan the digests of results are not known yet: symbols stand for them.
KeyInputs Symbols(const BuildGraph& graph, const Vertex& vertex) {
  KeyInputs inputs;
  const auto result = [&](VertexIndex index) -> std::string {
    const Vertex& other = graph.vertices[index];
    if (const auto* image = std::get_if<ImageOp>(&other.op)) {
      const auto chain = oci::ChainOf(image->image.config.diff_ids);
      return chain ? chain->ToString() : "";
    }
    if (std::holds_alternative<ScratchOp>(other.op)) return "";
    return fmt::format("<result of {}>", index);
  };
  if (vertex.parent) inputs.parent = result(*vertex.parent);
  const auto source = [&](const FileSource& from) {
    inputs.contents.push_back(
        from.kind == FileSource::Kind::kVertex
            ? fmt::format("<files of {}>", vertex.inputs[from.vertex])
            : fmt::format("<files of the context{}{}>",
                          from.context.empty() ? "" : " ", from.context));
  };
  if (const auto* copy = std::get_if<CopyOp>(&vertex.op)) {
    if (!copy->patterns.empty()) source(copy->source);
    for (const CopyOp::Remote& remote : copy->remotes) {
      inputs.contents.push_back(fmt::format("<contents of {}>", remote.url));
    }
  } else if (const auto* run = std::get_if<RunOp>(&vertex.op)) {
    for (const RunMount& mount : run->mounts) {
      if (mount.from && mount.spec.type == dockerfile::MountSpec::Type::kBind) {
        source(*mount.from);
      }
    }
  }
  return inputs;
}

bool HasKey(const Vertex& vertex) { return vertex.parent.has_value(); }

std::vector<VertexIndex> Edges(const Vertex& vertex) {
  std::vector<VertexIndex> edges;
  if (vertex.parent) edges.push_back(*vertex.parent);
  edges.insert(edges.end(), vertex.inputs.begin(), vertex.inputs.end());
  return edges;
}

const char* Kind(const Vertex& vertex) {
  static constexpr const char* kKinds[] = {"scratch", "image", "run", "copy",
                                           "workdir"};
  return kKinds[vertex.op.index()];
}

}  // namespace

std::string ToText(const BuildGraph& graph) {
  std::string out = fmt::format("target {} for {}\n",
                                graph.target.empty() ? "(last)" : graph.target,
                                graph.platform.ToString());
  for (size_t i = 0; i < graph.vertices.size(); ++i) {
    const Vertex& vertex = graph.vertices[i];
    out += fmt::format("{} {}\n", i, vertex.name);
    if (const auto* image = std::get_if<ImageOp>(&vertex.op)) {
      out += fmt::format("    manifest {}\n", image->image.manifest.ToString());
      out += fmt::format("    layers {}\n", image->image.layers.size());
    }
    if (!HasKey(vertex)) continue;
    out += fmt::format("    at {}\n", vertex.range.ToString());
    const Recipe recipe = MakeRecipe(vertex, Symbols(graph, vertex));
    for (const std::string& line : Split(recipe.Text(), '\n')) {
      if (!line.empty()) out += "    " + line + "\n";
    }
  }
  out += fmt::format("result {}\n", graph.image.result);
  for (const ImageTemplate::Step& step : graph.image.steps) {
    const std::string where =
        step.vertex ? fmt::format("layer of {}", *step.vertex) : "config";
    out += fmt::format("    {:<12} {}\n", where,
                       Split(step.history.created_by, '\n').front());
  }
  for (const dockerfile::Finding& finding : graph.findings) {
    out +=
        fmt::format("warning {}: {} ({})\n",
                    dockerfile::RuleOf(finding.rule).name, finding.message,
                    (finding.focus ? finding.focus : finding.range).ToString());
  }
  for (const PlanWarning& warning : graph.warnings) {
    out += fmt::format("warning {}: {} ({})\n", warning.rule, warning.message,
                       warning.range ? warning.range.ToString() : "-");
  }
  return out;
}

std::string ToJson(const BuildGraph& graph) {
  using Json = nlohmann::ordered_json;
  Json vertices = Json::array();
  for (size_t i = 0; i < graph.vertices.size(); ++i) {
    const Vertex& vertex = graph.vertices[i];
    Json node = {{"index", i},
                 {"op", Kind(vertex)},
                 {"name", vertex.name},
                 {"stage", vertex.stage},
                 {"edges", Edges(vertex)}};
    if (vertex.range) node["at"] = vertex.range.ToString();
    if (const auto* image = std::get_if<ImageOp>(&vertex.op)) {
      node["image"] = {{"name", image->image.name.ToString()},
                       {"digest", image->image.target.ToString()},
                       {"manifest", image->image.manifest.ToString()},
                       {"layers", image->image.layers.size()}};
    }
    if (HasKey(vertex)) {
      Json fields = Json::array();
      const Recipe recipe = MakeRecipe(vertex, Symbols(graph, vertex));
      for (const auto& [tag, value] : recipe.fields()) {
        fields.push_back({tag, value});
      }
      node["recipe"] = std::move(fields);
    }
    vertices.push_back(std::move(node));
  }
  Json history = Json::array();
  for (const ImageTemplate::Step& step : graph.image.steps) {
    Json entry = {{"created_by", step.history.created_by}};
    if (step.vertex) entry["vertex"] = *step.vertex;
    history.push_back(std::move(entry));
  }
  const Json document = {
      {"target", graph.target},
      {"platform", graph.platform.ToString()},
      {"vertices", std::move(vertices)},
      {"result", graph.image.result},
      {"config", Json::parse(oci::Serialize(graph.image.config))},
      {"history", std::move(history)}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string ToDot(const BuildGraph& graph) {
  std::string out = "digraph build {\n  rankdir=BT;\n  node [shape=box];\n";
  for (size_t i = 0; i < graph.vertices.size(); ++i) {
    const Vertex& vertex = graph.vertices[i];
    out += fmt::format("  v{} [label={}];\n", i, Quoted(vertex.name));
    if (vertex.parent) {
      out += fmt::format("  v{} -> v{};\n", i, *vertex.parent);
    }
    for (const VertexIndex input : vertex.inputs) {
      out += fmt::format("  v{} -> v{} [style=dashed];\n", i, input);
    }
  }
  return out + fmt::format("  v{} [penwidth=2];\n}}\n", graph.image.result);
}

}  // namespace imgbuild::plan
