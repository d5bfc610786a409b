// The plan: a graph of what has to be done to make one image. Pure data; it
// prints itself. Vertices are in topological order: an edge only goes to a
// lower index.
#ifndef IMGBUILD_PLAN_BUILD_GRAPH_H_
#define IMGBUILD_PLAN_BUILD_GRAPH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "imgbuild/dockerfile/lint.h"
#include "imgbuild/dockerfile/mount.h"
#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/plan/external_names.h"
#include "imgbuild/plan/git_source.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/util/source.h"

namespace imgbuild::plan {

using VertexIndex = uint32_t;

// FROM scratch: no layers.
struct ScratchOp {};

// FROM image, COPY --from=image: layers that exist already.
struct ImageOp {
  ResolvedImage image;
};

// Files to read: the build context (or a named one), or a vertex's files.
struct FileSource {
  enum class Kind { kContext, kVertex };
  Kind kind = Kind::kContext;
  std::string context;     // kContext: its name, "" for the main one
  VertexIndex vertex = 0;  // kVertex: index into Vertex::inputs
};

struct RunMount {
  dockerfile::MountSpec spec;
  std::string target;  // absolute, clean
  std::optional<FileSource> from;
};

struct RunOp {
  std::vector<std::string> args;
  // What the process sees and the key holds, as "K=V"; made when it is asked
  // for: ten thousand steps below ten thousand variables have a hundred million
  // of them.
  std::function<std::vector<std::string>()> env;
  // Seen by the process, kept out of key and history (proxies).
  std::vector<std::string> hidden_env;
  std::string cwd;
  std::string user;
  std::string network;  // "default", "none", "host"
  bool insecure = false;
  std::vector<RunMount> mounts;
  // A heredoc that begins with "#!": mounted read-only and run.
  struct Script {
    std::string path;  // in the container
    std::string text;
  };
  std::optional<Script> script;
  std::string hostname;
  std::vector<std::pair<std::string, std::string>> extra_hosts;
  uint64_t shm_bytes = 0;
  std::vector<std::string> ulimits;
  std::string cgroup_parent;
  // HostDevice::name and its recipe, each once.
  std::vector<std::pair<std::string, std::string>> devices;
};

// COPY and ADD.
struct CopyOp {
  struct Pattern {  // a path in `source`, wildcards as written
    std::string text;
    SourceRange range;
  };
  struct Inline {  // a heredoc
    std::string name;
    std::string text;
  };
  struct Remote {  // ADD of a URL or a git repository
    std::string url;
    std::optional<GitSource> git;  // set when it is one
    SourceRange range;
    // What the bytes must be, "sha256:…", or the commit; "" for whatever comes.
    // Kept out of the key, which has the contents anyway.
    std::string pin;
    size_t patterns_before = 0;  // how many of `patterns` are written first
  };
  bool is_add = false;
  FileSource source;
  std::vector<Pattern> patterns;
  std::vector<Inline> inlines;
  std::vector<Remote> remotes;
  std::string destination;  // absolute; keeps a trailing slash
  std::string chown;        // "" for none
  std::string chmod;
  std::string checksum;
  bool unpack_archives = false;  // ADD of local archives
  std::optional<bool> unpack;    // --unpack as written
  bool link = false;
  bool parents = false;
  bool if_exists = false;  // a source that is not there is left out
  std::vector<std::string> excludes;
  SourceRange destination_range;
  SourceRange chown_range;
};

// WORKDIR: makes the directory when it is missing.
struct WorkdirOp {
  std::string path;
  std::string user;
};

using Op = std::variant<ScratchOp, ImageOp, RunOp, CopyOp, WorkdirOp>;

struct Vertex {
  Op op;
  // The root file system it starts from; none for ScratchOp and ImageOp.
  std::optional<VertexIndex> parent;
  // Further vertices whose files it reads.
  std::vector<VertexIndex> inputs;
  // Times later than this are clamped to it.
  int64_t epoch = 0;
  oci::Platform platform;
  // "[builder 4/7] RUN make"; "[builder 1/7] FROM docker.io/library/alpine…".
  std::string name;
  std::string stage;  // name or index of the stage
  // The same step of the same Dockerfile in another build: "builder/3".
  std::string slot;
  SourceRange range;
  bool no_cache = false;
};

// The image that comes out, but for the layers that the build will make.
struct ImageTemplate {
  // diff_ids and history are the base's; `created` is the epoch's.
  oci::ImageConfig config;
  struct Step {
    oci::History history;
    std::optional<VertexIndex> vertex;  // the layer it makes
  };
  std::vector<Step> steps;
  VertexIndex result = 0;  // whose layers the image has
};

// A remark that is no check: about the command line, or about what an
// extension met.
struct PlanWarning {
  std::string rule;
  std::string message;
  SourceRange range;
};

struct BuildGraph {
  std::vector<Vertex> vertices;
  ImageTemplate image;
  std::string target;  // stage name, "" for an unnamed last one
  oci::Platform platform;
  std::vector<PlanWarning> warnings;
  // What the rules find that plans judge, nothing left out yet.
  std::vector<dockerfile::Finding> findings;
  // Names pinned on the way, in order of use.
  std::vector<ResolvedImage> images;
  // Every place that names something outside, in order of evaluation.
  std::vector<ExternalName> names;
  // Contexts that are read ("" is the main one).
  std::vector<std::string> contexts;
};

// How `imgbuild plan` shows it. Stable; golden tests pin it.
std::string ToText(const BuildGraph& graph);
std::string ToJson(const BuildGraph& graph);
std::string ToDot(const BuildGraph& graph);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_BUILD_GRAPH_H_
