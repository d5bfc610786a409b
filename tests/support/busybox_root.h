// A root file system with a static busybox, and an Executor on it: for tests
// that run real containers.
#ifndef IMGBUILD_TESTS_SUPPORT_BUSYBOX_ROOT_H_
#define IMGBUILD_TESTS_SUPPORT_BUSYBOX_ROOT_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::exec {

// Why no container can run here (no root, no runtime, no busybox-static, no
// namespaces); empty when one can.
std::string WhyNoContainers();

class BusyboxRoot {
 public:
  BusyboxRoot();

  // The image's only layer, to add things to before a run.
  const std::string& layer() const { return layer_; }
  std::string layer_path(const std::string& path) const {
    return layer_ + "/" + path;
  }
  const std::string& state_dir() const { return state_; }
  // A directory of its own, outside of every root.
  std::string MakeOutside(const std::string& name);
  // A file in the layer (or elsewhere, absolute), with its parents.
  void WriteFile(const std::string& path, const std::string& text,
                 unsigned mode = 0644);
  void Link(const std::string& target, const std::string& path);

  // sh -c COMMAND over the layer, with a fresh upper and work directory, no
  // network and PATH=/bin.
  ProcessSpec Spec(const std::string& command);

  struct Outcome {
    ExitResult result;
    std::string out;
    std::string err;
  };
  static Outcome Run(Executor& executor, const ProcessSpec& spec);

  // Names in spec.rootfs.upper.
  static std::vector<std::string> Upper(const ProcessSpec& spec);

 private:
  fs::TempDir dir_;
  std::string layer_;
  std::string state_;
  std::atomic<int> next_ = 0;
};

}  // namespace imgbuild::exec

#endif  // IMGBUILD_TESTS_SUPPORT_BUSYBOX_ROOT_H_
