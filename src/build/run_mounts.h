// The mounts of a RUN: what each one is on the host while the step runs.
#ifndef IMGBUILD_BUILD_RUN_MOUNTS_H_
#define IMGBUILD_BUILD_RUN_MOUNTS_H_

#include <list>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/exec/cdi.h"
#include "imgbuild/exec/executor.h"
#include "imgbuild/util/fs.h"

#include "build/agent_proxy.h"
#include "build/step.h"

namespace imgbuild::build {

// Lives as long as the step runs; everything temporary goes with it.
class RunMounts {
 public:
  // Throws Error at the mount: missing secret, missing source.
  // `edits`: of the devices; their files are mounted too.
  RunMounts(Step& step, const plan::RunOp& op,
            const exec::ContainerEdits& edits, const FileTree& root);

  const std::vector<exec::Mount>& mounts() const { return mounts_; }
  // Secrets that are wanted as variables: "NAME=value".
  const std::vector<std::string>& secret_env() const { return secret_env_; }

 private:
  void AddBind(const plan::RunMount& mount);
  void AddCache(const plan::RunMount& mount);
  void AddTmpfs(const plan::RunMount& mount);
  void AddSecret(const plan::RunMount& mount);
  void AddSsh(const plan::RunMount& mount);
  void AddScript(const plan::RunOp::Script& script);
  void AddDeviceFile(const exec::ContainerEdits::Bind& bind);
  // Writes what `from` has at `path` below `dir`; returns where it is and
  // whether it is a file.
  struct Materialized {
    std::string path;
    bool is_file = false;
  };
  Materialized Materialize(const plan::FileSource& from,
                           const std::string& path, const SourceRange& range,
                           const fs::TempDir& dir);
  std::string InRoot(const std::string& target) const;

  Step& step_;
  const FileTree& root_;
  std::vector<exec::Mount> mounts_;
  std::vector<std::string> secret_env_;
  std::list<fs::TempDir> temporary_;
  std::list<fs::FileLock> locks_;
  std::list<AgentProxy> proxies_;
};

// Writes a tree of selected items below dir_fd, through the one extraction
// routine. Times later than `epoch` become it.
void WriteItems(const std::shared_ptr<const FileTree>& source,
                const std::vector<context::ContextSource::Item>& items,
                const std::string& strip, int64_t epoch, int dir_fd,
                ThreadPool& pool, const CancelToken& cancel);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_RUN_MOUNTS_H_
