// What a word sees: ordered variables with the last value of a name winning,
// and the platform and BuildKit names that exist without being declared.
#ifndef IMGBUILD_PLAN_SCOPE_H_
#define IMGBUILD_PLAN_SCOPE_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/plan/planner.h"

#include "plan/shared_map.h"

namespace imgbuild::plan {

// Variables in the order in which they were first set. A copy costs nothing.
class Variables {
 public:
  void Set(std::string_view name, std::string_view value);
  void Unset(std::string_view name);
  std::optional<std::string> Find(std::string_view name) const;
  bool Has(std::string_view name) const { return map_.Find(name) != nullptr; }
  size_t size() const { return map_.size(); }
  std::vector<std::string> AsEnv() const;  // "K=V"
  dockerfile::Lookup AsLookup() const;     // valid while *this lives

 private:
  OrderedMap<std::string> map_;
};

// TARGETPLATFORM … BUILDOSVERSION, TARGETSTAGE.
std::vector<std::pair<std::string, std::string>> PlatformArgs(
    const oci::Platform& target, const oci::Platform& build,
    const std::string& target_stage);

// HTTP_PROXY and its relatives, any case.
bool IsProxyArg(std::string_view name);
// Names that need no ARG line: proxies, BUILDKIT_*, SOURCE_DATE_EPOCH.
bool IsPredefinedArg(std::string_view name);
// What a RUN gets from --build-arg HTTP_PROXY=… : both spellings.
std::vector<std::string> ProxyEnv(
    const std::map<std::string, std::string>& build_args);

// The ARGs before the first FROM, evaluated in order: --build-arg, else the
// default expanded with what came before.
class GlobalArgs {
 public:
  GlobalArgs(const dockerfile::Dockerfile& file, const PlanOptions& options,
             const std::string& target_stage);
  // What FROM lines and stage ARGs without a value see.
  const Variables& variables() const { return variables_; }
  bool Declared(std::string_view name) const;
  // Those of `names` that are ARGs (platform ARGs too) and the ARGs that their
  // values were made of, with their values.
  std::map<std::string, std::string> Origins(
      const std::set<std::string>& names) const;
  // Of the declared ones and the automatic ones.
  std::vector<std::string> Names() const;

 private:
  Variables variables_;
  std::vector<std::string> declared_;
  // ARG -> what its default used.
  std::map<std::string, std::set<std::string>> made_of_;
};

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_SCOPE_H_
