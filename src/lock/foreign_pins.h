// Foreign pins while they are gathered: checked, each name once.
#ifndef IMGBUILD_SRC_LOCK_FOREIGN_PINS_H_
#define IMGBUILD_SRC_LOCK_FOREIGN_PINS_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "imgbuild/lock/interchange.h"
#include "imgbuild/lock/source_policy.h"
#include "imgbuild/util/error.h"

#include "lock/json_place.h"

namespace imgbuild::lock {

class PinCollector {
 public:
  explicit PinCollector(std::shared_ptr<const SourceFile> source)
      : source_(std::move(source)) {}

  // Each throws At(): a name or a digest that is none, a name that has another
  // digest already.
  void AddImage(const std::string& name, const std::string& digest,
                const JsonPath& path);
  void AddUrl(const std::string& url, const std::string& digest,
              const JsonPath& path);
  void AddGit(const std::string& name, const std::string& commit,
              const JsonPath& path);
  void Add(ForeignPin pin);
  void Skip(std::string why) { pins_.skipped.push_back(std::move(why)); }

  Error At(const JsonPath& path, std::string message) const;
  ForeignPins Take() { return std::move(pins_); }

 private:
  std::shared_ptr<const SourceFile> source_;
  std::map<std::pair<Kind, std::string>, size_t> by_name_;
  ForeignPins pins_;
};

// The rules that are plain pins: a name, made the same name with a digest; a
// URL with a checksum; a repository's ref, made a commit.
void CollectPolicy(const SourcePolicy& policy, PinCollector& out);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_SRC_LOCK_FOREIGN_PINS_H_
