#include "imgbuild/lock/lockfile.h"

#include <algorithm>

namespace imgbuild::lock {
namespace {

template <typename Pin, typename Name>
const Pin* Find(const std::vector<Pin>& sorted, const Name& name) {
  const auto it = std::ranges::lower_bound(sorted, name, {}, &Pin::name);
  return it != sorted.end() && it->name == name ? &*it : nullptr;
}

}  // namespace

oci::Reference KeyOf(const oci::Reference& reference) {
  const oci::Reference full = reference.WithDefaultTag();
  return full.tag() ? full.WithoutDigest() : full;
}

const ImagePin* Lockfile::FindImage(const oci::Reference& reference) const {
  // References order by their parts, the file by their text.
  const std::string key = KeyOf(reference).ToString();
  const auto it = std::ranges::lower_bound(
      images, key, {}, [](const ImagePin& pin) { return pin.name.ToString(); });
  return it != images.end() && it->name.ToString() == key ? &*it : nullptr;
}

const UrlPin* Lockfile::FindUrl(std::string_view url) const {
  return Find(urls, url);
}

const GitPin* Lockfile::FindGit(std::string_view name) const {
  return Find(gits, name);
}

std::string LockPathOf(std::string_view dockerfile_path) {
  return std::string(dockerfile_path) + ".lock";
}

}  // namespace imgbuild::lock
