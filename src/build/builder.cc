#include "imgbuild/build/builder.h"

#include <poll.h>

#include <atomic>
#include <optional>
#include <thread>

#include "imgbuild/util/error.h"

#include "build/assemble.h"
#include "build/scheduler.h"
#include "build/step.h"

namespace imgbuild::build {
namespace {

// Cancels the build when the user's token is cancelled, as long as it lives.
// Two tokens, because a failing step cancels its siblings but not the caller.
class Forward {
 public:
  Forward(const CancelToken& from, CancelToken& to)
      : thread_([this, from, to]() mutable {
          pollfd fds[] = {{from.fd(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
          while (poll(fds, 2, -1) < 0) {
          }
          if (fds[0].revents != 0) to.Cancel();
        }) {}
  ~Forward() {
    stop_.Cancel();
    thread_.join();
  }

 private:
  CancelToken stop_;
  std::thread thread_;
};

std::vector<std::vector<uint32_t>> Edges(const plan::BuildGraph& graph) {
  std::vector<std::vector<uint32_t>> edges;
  edges.reserve(graph.vertices.size());
  for (const plan::Vertex& vertex : graph.vertices) {
    std::vector<uint32_t> needs = vertex.inputs;
    if (vertex.parent) needs.push_back(*vertex.parent);
    edges.push_back(std::move(needs));
  }
  return edges;
}

// Whether an op looks at the files of the step before it.
bool ReadsParent(const plan::Vertex& vertex) {
  if (const auto* copy = std::get_if<plan::CopyOp>(&vertex.op)) {
    return !copy->link;
  }
  return true;
}

// By vertex: whether another one reads the files of its result.
std::vector<bool> FilesWanted(const plan::BuildGraph& graph) {
  std::vector<bool> wanted(graph.vertices.size());
  // Inputs and parents come before their users.
  for (size_t i = graph.vertices.size(); i-- > 0;) {
    const plan::Vertex& vertex = graph.vertices[i];
    for (const plan::VertexIndex input : vertex.inputs) wanted[input] = true;
    if (vertex.parent && (wanted[i] || ReadsParent(vertex))) {
      wanted[*vertex.parent] = true;
    }
  }
  return wanted;
}

class Run {
 public:
  Run(BuildEnvironment& env, const BuildRequest& request)
      : state_{env, request, CancelToken(), TreeCache(request.jobs + 1)},
        forward_(env.cancel, state_.cancel),
        files_wanted_(FilesWanted(request.graph)),
        results_(request.graph.vertices.size()) {
    for (const plan::Vertex& vertex : request.graph.vertices) {
      ids_.push_back(env.progress.AddVertex(vertex.name));
    }
  }

  const std::vector<VertexResult>& Perform() {
    RunGraph(Edges(state_.request.graph), state_.request.jobs, state_.cancel,
             [this](uint32_t index) { PerformVertex(index); });
    return results_;
  }
  unsigned cached() const { return cached_; }
  unsigned ran() const { return ran_; }

 private:
  void PerformVertex(uint32_t index);

  BuildState state_;
  Forward forward_;
  const std::vector<bool> files_wanted_;
  std::vector<VertexResult> results_;
  std::vector<VertexId> ids_;
  std::atomic<unsigned> cached_{0};
  std::atomic<unsigned> ran_{0};
};

void Run::PerformVertex(uint32_t index) {
  ProgressSink& progress = state_.env.progress;
  const plan::Vertex& vertex = state_.request.graph.vertices[index];
  std::vector<const VertexResult*> inputs;
  for (const plan::VertexIndex i : vertex.inputs) {
    inputs.push_back(&results_[i]);
  }
  Step step(state_, vertex, ids_[index],
            vertex.parent ? &results_[*vertex.parent] : nullptr,
            std::move(inputs), files_wanted_[index]);
  progress.Started(ids_[index]);
  try {
    results_[index] = step.Run();
  } catch (Error& error) {
    const bool interrupted = error.code() == ErrorCode::kInterrupted;
    error.At(vertex.range);
    progress.Finished(
        ids_[index],
        interrupted ? VertexOutcome::kCancelled : VertexOutcome::kError,
        error.message());
    throw;
  }
  const bool counted = vertex.parent.has_value();
  if (counted) ++(results_[index].cached ? cached_ : ran_);
  progress.Finished(ids_[index],
                    results_[index].cached && counted ? VertexOutcome::kCached
                                                      : VertexOutcome::kDone,
                    "");
}

}  // namespace

BuildResult Builder::Build(const BuildRequest& request) {
  // From here on nothing that comes into the store can be swept away.
  const auto lease = env_.store.Hold();

  // Every step, in parallel. Afterwards each vertex has its layers.
  Run run(env_, request);
  const std::vector<VertexResult>& results = run.Perform();

  // Blobs of the base that no step has read stay where they are: whoever needs
  // them (an archive, a run, a push elsewhere) fetches them then.
  BuildResult result = Assemble(request.graph, results, request.annotations);
  result.cached_steps = run.cached();
  result.run_steps = run.ran();
  Record(env_.store, result);
  if (request.accept) request.accept(result.manifest.digest);
  MoveTags(env_.store, result, request.tags);
  return result;
}

}  // namespace imgbuild::build
