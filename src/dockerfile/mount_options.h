// The options of one --mount by name, expanded.
#ifndef IMGBUILD_DOCKERFILE_MOUNT_OPTIONS_H_
#define IMGBUILD_DOCKERFILE_MOUNT_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/dockerfile/mount.h"
#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {

// Every option as it may be written, in the order in which messages list them.
const std::vector<std::string>& MountKeys();
// Of an alias (src, dst, destination, ro, rw) the one name.
std::string CanonicalMountKey(const std::string& key);
// Which types take an option (by its canonical name).
bool MountTakes(MountSpec::Type type, std::string_view key);

class MountOptions {
 public:
  // Aliases become one name; of an option that
  // is given twice the last counts, as in the reference implementation.
  MountOptions(const RawMount& raw,
               const std::function<std::string(const Word& value)>& expand);

  // Canonical names in the order in which they were first written.
  const std::vector<std::string>& keys() const { return order_; }
  bool Has(const std::string& key) const { return values_.contains(key); }
  // The name as it was written: "src".
  const std::string& Written(const std::string& key) const {
    return values_.at(key).written;
  }
  std::optional<std::string> Text(const std::string& key) const;
  // A bare option is true. Throws for anything that Go's ParseBool refuses.
  std::optional<bool> Bool(const std::string& key) const;
  // Throws for anything else than digits of `base` up to `max`.
  std::optional<uint32_t> Number(const std::string& key, int base,
                                 uint32_t max) const;

  // An Error about `key`, at its value, at the key itself; about the mount.
  Error AtKey(const std::string& key, const std::string& what) const;
  Error At(const std::string& key, const std::string& what) const;
  Error Whole(const std::string& what) const;

 private:
  struct Value {
    std::string written;
    std::optional<std::string> text;
    SourceRange range;
    SourceRange key_range;
  };
  std::map<std::string, Value> values_;
  std::vector<std::string> order_;
  SourceRange range_;
};

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_MOUNT_OPTIONS_H_
