// WORKDIR makes its directory, owned by USER, when it is missing.
#include "imgbuild/exec/user.h"

#include "build/copy_tree.h"
#include "build/step.h"

namespace imgbuild::build {

std::optional<store::StoredLayer> PerformWorkdir(Step& step,
                                                 const plan::WorkdirOp& op) {
  const auto below = step.ParentTree();
  const exec::ResolvedUser user = exec::ResolveUser(*below, op.user);
  CopyTree tree(below, step.vertex().epoch);
  tree.MakeDirs(ResolveInTree(*below, op.path.substr(1), true), 0755,
                {user.uid, user.gid});
  return step.WriteLayer([&](layer::LayerWriter& writer) {
    tree.Write(writer, step.state().cancel);
  });
}

}  // namespace imgbuild::build
