// Plans a text with a resolver that knows four images and notes what it was
// asked for.
#ifndef IMGBUILD_TESTS_PLAN_PLAN_FIXTURE_H_
#define IMGBUILD_TESTS_PLAN_PLAN_FIXTURE_H_

#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/plan/cache_key.h"
#include "imgbuild/plan/planner.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {

// busybox: an ordinary base. onbuild: with triggers. badtrigger: with one that
// does not parse. old: without PATH, of 1970. Anything else does not exist.
class FakeResolver : public ImageResolver {
 public:
  ResolvedImage Resolve(const oci::Reference& reference,
                        const oci::Platform& platform) override {
    asked.push_back(reference.ToString() + " " + platform.ToString());
    const std::string path = reference.repository().Familiar();
    oci::ImageConfig config;
    config.platform = platform;
    config.created = "2024-01-01T00:00:00Z";
    config.env = {"PATH=/bin"};
    config.cmd = std::vector<std::string>{"sh"};
    if (path == "onbuild") {
      config.on_build = {"ARG V=1", "RUN make $V", "COPY . /app"};
    } else if (path == "badtrigger") {
      config.on_build = {"RUNN make"};
    } else if (path == "old") {
      config.env = {"A=1"};
      config.created = "1970-01-01T00:00:00Z";
      config.working_dir = "/old";
      config.user = "app";
    } else if (path != "busybox") {
      throw Error(ErrorCode::kRegistry,
                  reference.ToString() + ": there is no such image");
    }
    const oci::Digest digest = oci::Digest::OfBytes(path + platform.ToString());
    config.diff_ids.push_back(oci::DiffId(digest));
    return {reference.WithDefaultTag(),
            digest,
            digest,
            digest,
            config,
            {oci::Descriptor{std::string(oci::media_type::kOciLayerGzip),
                             digest,
                             7,
                             {},
                             {},
                             {},
                             {}}}};
  }
  // A busybox in a directory.
  ResolvedImage ResolveLayout(const std::string& layout,
                              const oci::Platform& platform) override {
    asked.push_back("oci-layout://" + layout);
    ResolvedImage image =
        Resolve(oci::Reference::Parse("busybox:layout"), platform);
    asked.pop_back();
    return image;
  }
  std::vector<std::string> asked;
};

inline PlanOptions DefaultOptions() {
  PlanOptions options;
  options.target_platform = oci::Platform::Parse("linux/amd64");
  options.build_platform = options.target_platform;
  options.devices = [] {
    return std::vector<HostDevice>{{"vendor.com/gpu=0", "big", false, "E0"},
                                   {"vendor.com/gpu=1", "big", false, "E1"},
                                   {"vendor.com/usb=x", "", true, "EX"}};
  };
  return options;
}

// One option a line: `build-arg A=1`, `target x`, `platform linux/arm64`, …
inline PlanOptions ParseOptions(const std::string& text) {
  PlanOptions options = DefaultOptions();
  for (const std::string& line : Split(text, '\n')) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const std::string key = line.substr(0, space);
    const std::string value = line.substr(space + 1);
    const size_t eq = value.find('=');
    const std::string left = value.substr(0, eq);
    const std::string right =
        eq == std::string::npos ? "" : value.substr(eq + 1);
    if (key == "build-arg") {
      options.build_args[left] = right;
    } else if (key == "build-context") {
      options.named_contexts[left] = right;
    } else if (key == "label") {
      options.labels[left] = right;
    } else if (key == "target") {
      options.target = value;
    } else if (key == "platform") {
      options.target_platform = oci::Platform::Parse(value);
      options.target_platform_given = true;
    } else if (key == "allow") {
      options.entitlements.insert(value);
    } else if (key == "device") {  // NAME, or ALIAS > NAME
      const size_t arrow = value.find(" > ");
      options.granted_devices[value.substr(0, arrow)] =
          arrow == std::string::npos ? "" : value.substr(arrow + 3);
    } else if (key == "epoch") {
      options.source_date_epoch = std::stoll(value);
    } else {
      throw Error(ErrorCode::kUsage, "unknown option " + key);
    }
  }
  return options;
}

inline BuildGraph PlanText(const std::string& text, const PlanOptions& options,
                           ImageResolver& resolver) {
  const dockerfile::Dockerfile file =
      dockerfile::Parse(std::make_shared<SourceFile>("Dockerfile", text));
  return Plan(file, options, resolver);
}

inline std::string Show(const FileSource& source, const Vertex& vertex) {
  return source.kind == FileSource::Kind::kVertex
             ? fmt::format("vertex {}", vertex.inputs.at(source.vertex))
             : fmt::format("context {}", source.context);
}

// What a build is told: keys, what they leave out, and the config. Neither the
// text of the steps nor their places.
inline std::string Told(const BuildGraph& graph) {
  std::string out;
  for (const Vertex& vertex : graph.vertices) {
    KeyInputs inputs;
    if (const auto* image = std::get_if<ImageOp>(&vertex.op)) {
      out += fmt::format("image {}\n", image->image.target.ToString());
    } else if (const auto* copy = std::get_if<CopyOp>(&vertex.op)) {
      inputs.contents.assign(copy->remotes.size() + 1,
                             Show(copy->source, vertex));
      out += fmt::format("if-exists {} unpack {}\n", copy->if_exists,
                         copy->unpack_archives);
    } else if (const auto* run = std::get_if<RunOp>(&vertex.op)) {
      for (const RunMount& mount : run->mounts) {
        if (!mount.from) continue;
        inputs.contents.push_back(Show(*mount.from, vertex));
        out += "mounts " + inputs.contents.back() + "\n";
      }
    }
    out += fmt::format("no-cache {}\n", vertex.no_cache);
    out += MakeRecipe(vertex, inputs).Text();
  }
  return out + oci::Serialize(graph.image.config) + "\n";
}

}  // namespace imgbuild::plan

#endif  // IMGBUILD_TESTS_PLAN_PLAN_FIXTURE_H_
