#include "support/memory_images.h"

#include <algorithm>
#include <map>

#include "imgbuild/util/error.h"

namespace imgbuild::store {
namespace {

bool SameTriple(const NameRecord& a, const NameRecord& b) {
  return a.repository == b.repository && a.tag == b.tag &&
         a.target == b.target && a.manifest == b.manifest;
}

template <typename Keep>
std::vector<NameRecord> Sorted(const std::vector<NameRecord>& names,
                               Keep keep) {
  std::vector<NameRecord> kept;
  std::ranges::copy_if(names, std::back_inserter(kept), keep);
  std::ranges::sort(kept, NameLess);
  return kept;
}

}  // namespace

void MemoryImages::PutImage(const ImageRecord& image) {
  for (ImageRecord& old : images_) {
    if (old.manifest != image.manifest) continue;
    const int64_t stored = old.stored_s;
    old = image;
    old.stored_s = stored;
    return;
  }
  images_.push_back(image);
}

void MemoryImages::Insert(const NameRecord& name) {
  for (NameRecord& old : names_) {
    if (!SameTriple(old, name)) continue;
    if (name.tag_hint) old.tag_hint = name.tag_hint;
    old.pulled = old.pulled || name.pulled;
    return;
  }
  names_.push_back(name);
}

std::optional<oci::Digest> MemoryImages::SetName(const NameRecord& name) {
  NameRecord tag = name;
  tag.tag_hint.reset();
  if (!FindManifest(name.manifest)) {
    throw Error(ErrorCode::kHost,
                "name " + Familiar(name) + ": there is no image " +
                    name.manifest.ToString() + " in the store");
  }
  std::optional<oci::Digest> before;
  if (name.tag) {
    std::erase_if(names_, [&](const NameRecord& old) {
      if (old.repository != name.repository || old.tag != name.tag) {
        return false;
      }
      if (old.manifest != name.manifest) before = old.manifest;
      return true;
    });
    Insert(tag);
  }
  NameRecord link = name;
  link.tag.reset();
  Insert(link);
  return before;
}

void MemoryImages::LinkIndex(const oci::Digest& index,
                             const oci::Digest& manifest) {
  links_.emplace(index, manifest);
}

std::optional<Match> MemoryImages::Find(const std::string& text) const {
  const Lookup lookup = ParseLookup(text);
  if (lookup.digest) return FindDigest(lookup);
  if (!lookup.digest_prefix.empty()) return FindPrefix(lookup);
  if (lookup.tag) {
    for (const NameRecord& name : names_) {
      if (name.repository == *lookup.repository && name.tag == lookup.tag) {
        return Match{*FindManifest(name.manifest), Match::How::kTag, name};
      }
    }
  }
  if (!lookup.id_prefix.empty()) return FindId(lookup);
  return std::nullopt;
}

std::optional<Match> MemoryImages::FindDigest(const Lookup& lookup) const {
  const oci::Digest& digest = *lookup.digest;
  const auto names = Sorted(names_, [&](const NameRecord& name) {
    return (!lookup.repository || name.repository == *lookup.repository) &&
           (name.target == digest || name.manifest == digest);
  });
  std::set<oci::Digest> manifests;
  for (const NameRecord& name : names) manifests.insert(name.manifest);
  if (!lookup.repository) {
    for (const ImageRecord& image : images_) {
      if (image.manifest == digest || image.id.digest() == digest) {
        manifests.insert(image.manifest);
      }
    }
    for (const auto& [index, manifest] : links_) {
      if (index == digest) manifests.insert(manifest);
    }
  }
  std::vector<ImageRecord> found;
  for (const ImageRecord& image : images_) {
    if (manifests.contains(image.manifest)) found.push_back(image);
  }
  if (found.empty()) return std::nullopt;
  const ImageRecord& image = found[ChooseImage(found)];
  Match match{image, Match::How::kDigest, std::nullopt};
  for (const NameRecord& name : names) {
    if (lookup.repository && name.manifest == image.manifest) match.name = name;
  }
  return match;
}

std::optional<Match> MemoryImages::FindPrefix(const Lookup& lookup) const {
  std::map<oci::Digest, std::vector<NameRecord>> found;
  for (const NameRecord& name : names_) {
    if (name.repository != *lookup.repository) continue;
    for (const oci::Digest& digest :
         std::set<oci::Digest>{name.target, name.manifest}) {
      if (digest.hex().starts_with(lookup.digest_prefix)) {
        found[digest].push_back(name);
      }
    }
  }
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    std::vector<Candidate> candidates;
    for (auto& [digest, names] : found) {
      candidates.push_back(
          {digest.ToString(), Sorted(names, [](auto&) { return true; })});
    }
    throw AmbiguousError(lookup.text, candidates);
  }
  Lookup whole = lookup;
  whole.digest = found.begin()->first;
  return FindDigest(whole);
}

std::optional<Match> MemoryImages::FindId(const Lookup& lookup) const {
  std::map<oci::Digest, std::vector<ImageRecord>> by_id;
  for (const ImageRecord& image : images_) {
    if (image.id.hex().starts_with(lookup.id_prefix)) {
      by_id[image.id.digest()].push_back(image);
    }
  }
  if (by_id.empty()) return std::nullopt;
  if (by_id.size() > 1) {
    std::vector<Candidate> candidates;
    for (const auto& [id, images] : by_id) {
      candidates.push_back({id.ToString(), NamesOfId(oci::ImageId(id))});
    }
    throw AmbiguousError(lookup.text, candidates);
  }
  const auto& images = by_id.begin()->second;
  return Match{images[ChooseImage(images)], Match::How::kId, std::nullopt};
}

std::optional<ImageRecord> MemoryImages::FindManifest(
    const oci::Digest& manifest) const {
  for (const ImageRecord& image : images_) {
    if (image.manifest == manifest) return image;
  }
  return std::nullopt;
}

std::vector<NameRecord> MemoryImages::NamesOf(
    const oci::Digest& manifest) const {
  return Sorted(names_, [&](const NameRecord& name) {
    return name.manifest == manifest;
  });
}

std::vector<NameRecord> MemoryImages::NamesOfId(const oci::ImageId& id) const {
  return Sorted(names_, [&](const NameRecord& name) {
    const auto image = FindManifest(name.manifest);
    return image && image->id == id;
  });
}

std::vector<NamedImage> MemoryImages::List(ListDetail detail) const {
  std::vector<NamedImage> list;
  for (const ImageRecord& image : images_) {
    list.push_back({image, NamesOf(image.manifest)});
    if (detail == ListDetail::kFull) continue;
    list.back().image.diff_ids.clear();
    list.back().image.layers.clear();
  }
  std::ranges::stable_sort(list, [](const NamedImage& a, const NamedImage& b) {
    return a.image.stored_s > b.image.stored_s;
  });
  return list;
}

void MemoryImages::RemoveName(const NameRecord& name) {
  std::erase_if(names_,
                [&](const NameRecord& old) { return SameTriple(old, name); });
}

void MemoryImages::RemoveImage(const oci::Digest& manifest) {
  std::erase_if(
      names_, [&](const NameRecord& old) { return old.manifest == manifest; });
  std::erase_if(links_,
                [&](const auto& link) { return link.second == manifest; });
  std::erase_if(images_, [&](const ImageRecord& image) {
    return image.manifest == manifest;
  });
}

std::set<oci::Digest> MemoryImages::Needed() const {
  std::set<oci::Digest> needed;
  for (const ImageRecord& image : images_) {
    needed.insert(image.manifest);
    needed.insert(image.id.digest());
    for (const oci::DiffId& id : image.diff_ids) needed.insert(id.digest());
    for (const auto& layer : image.layers) needed.insert(layer.digest);
  }
  for (const NameRecord& name : names_) needed.insert(name.target);
  for (const auto& [index, manifest] : links_) needed.insert(index);
  return needed;
}

}  // namespace imgbuild::store
