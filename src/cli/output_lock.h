// What a build makes against what its lock expects of it.
#ifndef IMGBUILD_CLI_OUTPUT_LOCK_H_
#define IMGBUILD_CLI_OUTPUT_LOCK_H_

#include <map>
#include <optional>
#include <string>

#include "imgbuild/build/builder.h"
#include "imgbuild/dockerfile/ast.h"

#include "cli/lock_input.h"

namespace imgbuild::cli {

// The [[output]] of one build.
class OutputLock {
 public:
  // With `record` (--record-output) throws Error(kUsage) where there is no lock
  // to write, or none of its variants has the arguments of this build. `lock`
  // must outlive it.
  OutputLock(const BuildLock& lock,
             const std::map<std::string, std::string>& build_args, bool record);

  // Compares, unless it is to be recorded: the same is said, another digest is
  // a warning, or with --locked an Error(kPolicy) at the output's line.
  void Check(const dockerfile::Dockerfile& file, const plan::BuildGraph& graph,
             const plan::PlanOptions& options, const oci::Digest& made,
             ProgressSink& progress) const;
  // Writes it into the lock, if that was asked for: atomic, and held so that
  // two commands at once lose nothing. Throws Error.
  void Record(const dockerfile::Dockerfile& file, const plan::BuildGraph& graph,
              const plan::PlanOptions& options, const oci::Digest& made,
              ProgressSink& progress) const;

 private:
  const BuildLock& lock_;
  const bool record_;
  std::optional<std::string> variant_;  // nullopt: nothing to compare with
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_OUTPUT_LOCK_H_
