// WORKDIR makes its directory, owned by USER, when it is missing.
#include "imgbuild/exec/user.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "build/copy_tree.h"
#include "build/step.h"

namespace imgbuild::build {
namespace {

// USER may name somebody whom only a later step makes: until then the
// directory is root's, as it is with BuildKit.
Owner OwnerOf(const FileTree& below, const std::string& user) {
  // A number alone is the group's too, as in COPY --chown.
  if (const auto number = ParseUint(user); number && *number <= UINT32_MAX) {
    const auto id = static_cast<uint32_t>(*number);
    return {id, id};
  }
  try {
    const exec::ResolvedUser found = exec::ResolveUser(below, user);
    return {found.uid, found.gid};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kStep) throw;
    return {};
  }
}

}  // namespace

std::optional<store::StoredLayer> PerformWorkdir(Step& step,
                                                 const plan::WorkdirOp& op) {
  const auto below = step.ParentTree();
  const Owner owner = OwnerOf(*below, op.user);
  CopyTree tree(below, step.vertex().epoch);
  tree.MakeDirs(ResolveInTree(*below, op.path.substr(1), true), 0755, owner);
  return step.WriteLayer([&](layer::LayerWriter& writer) {
    tree.Write(writer, step.env().pool, step.state().cancel);
  });
}

}  // namespace imgbuild::build
