// `ps --filter`: which containers are meant.
#ifndef IMGBUILD_CLI_PS_FILTER_H_
#define IMGBUILD_CLI_PS_FILTER_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/container/containers.h"

namespace imgbuild::cli {

// Several values of one key are alternatives, several keys all must hold; of
// `label` every value must hold. Docker's keys: id, name, label, exited,
// status, ancestor, before, since, volume, network, publish, expose, health.
class PsFilter {
 public:
  // KEY=VALUE words. Throws Error(kUsage), for an image or a container that is
  // named and not there too.
  PsFilter(const std::vector<std::string>& words,
           container::Containers& containers);

  bool Matches(const container::Container& container) const;
  // A status that is no running one is asked for: stopped ones count.
  bool wants_all() const { return wants_all_; }

 private:
  using Values = std::vector<std::string>;
  void Resolve(container::Containers& containers);
  bool MatchesImage(const container::Container& container) const;
  bool MatchesTime(const container::Container& container) const;
  bool MatchesLabels(const container::Container& container) const;
  bool MatchesPorts(const container::Container& container) const;
  const Values* Find(const std::string& key) const;

  container::Containers& containers_;
  std::map<std::string, Values> values_;
  std::set<oci::Digest> ancestors_;  // image ids
  std::vector<std::vector<oci::DiffId>> ancestor_layers_;
  std::optional<int64_t> before_ns_;
  std::optional<int64_t> since_ns_;
  bool wants_all_ = false;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_PS_FILTER_H_
