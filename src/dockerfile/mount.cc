#include "imgbuild/dockerfile/mount.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/mount_options.h"
#include "dockerfile/quote.h"

namespace imgbuild::dockerfile {
namespace {

using Type = MountSpec::Type;

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kBind:
      return "bind";
    case Type::kCache:
      return "cache";
    case Type::kTmpfs:
      return "tmpfs";
    case Type::kSecret:
      return "secret";
    case Type::kSsh:
      return "ssh";
  }
  return "";
}

class Resolver {
 public:
  Resolver(const RawMount& raw,
           const std::function<std::string(const Word& value)>& expand)
      : options_(raw, expand) {
    spec_.range = raw.range;
  }

  MountSpec Resolve() {
    ReadType();
    CheckKeys();
    ReadCommon();
    if (spec_.type == Type::kSecret) {
      FinishSecret();
    } else if (spec_.type == Type::kSsh) {
      if (spec_.id.empty()) spec_.id = "default";
    } else if (spec_.target.empty()) {
      throw options_
          .Whole(std::string(TypeName(spec_.type)) + " needs a target")
          .WithHint("write target=PATH");
    }
    if (!spec_.target.empty() && fs::CleanPath(spec_.target) == "/")
      throw options_.At("target", "the target cannot be \"/\"");
    if (spec_.type == Type::kCache && spec_.id.empty())
      spec_.id = fs::CleanPath(spec_.target);
    return std::move(spec_);
  }

 private:
  void ReadType() {
    static const std::vector<std::string> names = {"bind", "cache", "tmpfs",
                                                   "secret", "ssh"};
    const std::optional<std::string> text = options_.Text("type");
    if (!text) return;
    const auto found = std::find(names.begin(), names.end(), ToLower(*text));
    if (found == names.end()) {
      Error error = options_.At("type", "unknown type " + Shown(*text));
      if (const std::optional<std::string> near = Suggest(*text, names)) {
        error.WithHint("did you mean \"" + *near + "\"?");
      } else {
        error.WithHint("it is bind, cache, tmpfs, secret or ssh");
      }
      throw error;
    }
    spec_.type = static_cast<Type>(found - names.begin());
  }

  void CheckKeys() {
    for (const std::string& key : options_.keys()) {
      if (MountTakes(spec_.type, key)) continue;
      throw options_.AtKey(
          key, "a mount of type " + std::string(TypeName(spec_.type)) +
                   " has no option " + Shown(options_.Written(key)));
    }
    if (spec_.type == Type::kSecret && options_.Has("source") &&
        options_.Has("id")) {
      throw options_.At("source", "both source and id are given")
          .WithHint("for a secret they are the same: remove one");
    }
  }

  void ReadCommon() {
    spec_.target = options_.Text("target").value_or("");
    spec_.source = options_.Text("source").value_or("");
    spec_.from = options_.Text("from");
    if (spec_.from && spec_.from->empty()) spec_.from.reset();
    spec_.id = options_.Text("id").value_or("");
    spec_.env = options_.Text("env");
    spec_.required = options_.Bool("required").value_or(false);
    spec_.mode = options_.Number("mode", 8, 07777);
    spec_.uid = options_.Number("uid", 10, UINT32_MAX);
    spec_.gid = options_.Number("gid", 10, UINT32_MAX);
    ReadAccess();
    ReadSharing();
    if (const std::optional<std::string> size = options_.Text("size")) {
      const std::optional<uint64_t> bytes = ParseByteSize(*size);
      if (!bytes)
        throw options_.At("size", "invalid size " + Shown(*size))
            .WithHint("a number with an optional unit: 512, 64k, 1m, 2g");
      spec_.size_bytes = *bytes;
    }
  }

  void ReadAccess() {
    spec_.read_only = spec_.type != Type::kCache && spec_.type != Type::kTmpfs;
    const std::optional<bool> ro = options_.Bool("readonly");
    const std::optional<bool> rw = options_.Bool("readwrite");
    if (ro && rw && *ro == *rw)
      throw options_.At("readwrite", "readonly and readwrite disagree");
    if (ro) spec_.read_only = *ro;
    if (rw) spec_.read_only = !*rw;
    if ((spec_.type == Type::kSecret || spec_.type == Type::kSsh) &&
        !spec_.read_only) {
      throw options_.At("readonly", "a mount of type " +
                                        std::string(TypeName(spec_.type)) +
                                        " is always read-only");
    }
  }

  void ReadSharing() {
    static const std::vector<std::string> names = {"shared", "private",
                                                   "locked"};
    const std::optional<std::string> text = options_.Text("sharing");
    if (!text) return;
    const auto found = std::find(names.begin(), names.end(), ToLower(*text));
    if (found == names.end()) {
      Error error =
          options_.At("sharing", "unknown sharing mode " + Shown(*text));
      if (const std::optional<std::string> near = Suggest(*text, names)) {
        error.WithHint("did you mean \"" + *near + "\"?");
      } else {
        error.WithHint("it is shared, private or locked");
      }
      throw error;
    }
    spec_.sharing = static_cast<MountSpec::Sharing>(found - names.begin());
  }

  void FinishSecret() {
    if (spec_.id.empty()) spec_.id = std::exchange(spec_.source, "");
    if (spec_.id.empty() && !spec_.target.empty()) {
      spec_.id = fs::BaseName(fs::CleanPath(spec_.target));
    }
    if (spec_.id.empty()) {
      throw options_.Whole("secret needs an id, a source or a target")
          .WithHint("write id=NAME");
    }
    if (spec_.env && spec_.env->empty())
      throw options_.At("env", "the variable's name is empty");
    // With env= alone there is no file.
    if (spec_.target.empty() && !spec_.env)
      spec_.target = "/run/secrets/" + fs::BaseName(fs::CleanPath(spec_.id));
  }

  MountOptions options_;
  MountSpec spec_;
};

}  // namespace

MountSpec ResolveMount(
    const RawMount& raw,
    const std::function<std::string(const Word& value)>& expand) {
  return Resolver(raw, expand).Resolve();
}

}  // namespace imgbuild::dockerfile
