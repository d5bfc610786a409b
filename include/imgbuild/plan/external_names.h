// What a Dockerfile names outside itself, evaluated: images, URLs,
// repositories and the frontend, each with its word and place. The planner
// notes them while it resolves, so that what is locked is what a build asks
// for.
#ifndef IMGBUILD_PLAN_EXTERNAL_NAMES_H_
#define IMGBUILD_PLAN_EXTERNAL_NAMES_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/oci/platform.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/plan/git_source.h"
#include "imgbuild/util/source.h"

namespace imgbuild::plan {

class ImageResolver;
struct PlanOptions;

struct ExternalName {
  enum class Kind { kImage, kUrl, kGit, kFrontend };
  Kind kind = Kind::kImage;
  // kImage, kFrontend: with a tag or a digest or both.
  std::optional<oci::Reference> image;
  // The canonical text: `host/repository:tag` (or `@digest` where there is no
  // tag), the URL without user info, `remote#ref`.
  std::string name;
  std::string written;  // the word of the Dockerfile or of --build-context
  SourceRange range;    // of that word; of FROM's word for an ONBUILD trigger's
  std::string site;     // "FROM", "COPY --from", "ONBUILD ADD", …
  std::string stage;
  oci::Platform platform;  // kImage: what it is asked for
  // Build arguments that made the name, those that those are made of too.
  std::map<std::string, std::string> args;
  // --checksum, ?checksum= or a full commit: pinned in the text.
  std::string own_checksum;
  std::string url;               // kUrl: as evaluated
  std::optional<GitSource> git;  // kGit
};

// A URL or a git remote without `user:password@`.
std::string WithoutUserInfo(const std::string& url);

// Every name that a build of any stage can reach, in the order of evaluation;
// a name stands in it once for each place. Asks `resolver` for each image,
// because bases have triggers and variables. Throws as Plan().
std::vector<ExternalName> ExternalNames(const dockerfile::Dockerfile& file,
                                        const PlanOptions& options,
                                        ImageResolver& resolver);

// Tells the resolver about the images that ExternalNames() will ask for, as
// far as the text alone says. Throws as Plan(), but for what the resolver does.
void PrefetchExternalNames(const dockerfile::Dockerfile& file,
                           const PlanOptions& options, ImageResolver& resolver);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_EXTERNAL_NAMES_H_
