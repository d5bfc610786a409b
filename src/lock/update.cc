#include "imgbuild/lock/update.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>

namespace imgbuild::lock {
namespace {

std::string NameOf(const ImagePin& pin) { return pin.name.ToString(); }
std::string NameOf(const FrontendPin& pin) { return pin.name.ToString(); }
template <typename Pin>
std::string NameOf(const Pin& pin) {
  return pin.name;
}

// Where `name` stands or belongs.
template <typename Pin>
auto Place(std::vector<Pin>& pins, const std::string& name) {
  return std::ranges::lower_bound(pins, name, {},
                                  [](const Pin& pin) { return NameOf(pin); });
}

template <typename Value>
void Remember(std::vector<Value> previous, const Value& old,
              const Value& current, std::vector<Value>& out) {
  out = std::move(previous);
  std::erase(out, current);
  if (old == current) return;
  std::erase(out, old);
  out.insert(out.begin(), old);
  if (out.size() > kMaxPrevious) out.resize(kMaxPrevious, old);
}

template <typename Pin, typename Merge>
void PutPin(std::vector<Pin>& pins, Pin pin, Merge merge) {
  const std::string name = NameOf(pin);
  const auto at = Place(pins, name);
  if (at == pins.end() || NameOf(*at) != name) {
    pins.insert(at, std::move(pin));
    return;
  }
  pin.unknown = at->unknown;
  merge(*at, pin);
  *at = std::move(pin);
}

void ComparePlatforms(const ImagePin& before, const ImagePin& after,
                      Change& change) {
  for (const auto& [platform, own] : after.platforms) {
    const auto it = before.platforms.find(platform);
    if (it == before.platforms.end()) {
      change.added_platforms.push_back(platform);
    } else if (it->second.manifest == own.manifest) {
      change.unchanged_platforms.push_back(platform);
    } else {
      change.changed_platforms.push_back(platform);
    }
  }
  for (const auto& [platform, own] : before.platforms) {
    if (!after.platforms.contains(platform)) {
      change.removed_platforms.push_back(platform);
    }
  }
}

std::string ValueOf(const ImagePin& pin) { return pin.digest.ToString(); }
std::string ValueOf(const UrlPin& pin) { return pin.checksum.ToString(); }
std::string ValueOf(const GitPin& pin) { return pin.commit; }
std::string ValueOf(const FrontendPin& pin) { return pin.digest.ToString(); }

template <typename Pin>
void DiffPins(Kind kind, const std::vector<Pin>& before,
              const std::vector<Pin>& after, std::vector<Change>& out) {
  size_t i = 0;
  size_t j = 0;
  while (i < before.size() || j < after.size()) {
    Change change;
    change.kind = kind;
    const bool old_only =
        j == after.size() ||
        (i < before.size() && NameOf(before[i]) < NameOf(after[j]));
    const bool new_only = !old_only && (i == before.size() ||
                                        NameOf(after[j]) < NameOf(before[i]));
    if (old_only) {
      change.what = Change::What::kRemoved;
      change.name = NameOf(before[i]);
      change.before = ValueOf(before[i++]);
      out.push_back(std::move(change));
      continue;
    }
    change.name = NameOf(after[j]);
    change.after = ValueOf(after[j]);
    if (new_only) {
      if constexpr (std::is_same_v<Pin, ImagePin>) {
        for (const auto& [platform, own] : after[j].platforms) {
          change.added_platforms.push_back(platform);
        }
      }
      ++j;
      out.push_back(std::move(change));
      continue;
    }
    change.what = Change::What::kUpdated;
    change.before = ValueOf(before[i]);
    bool differs = change.before != change.after;
    if constexpr (std::is_same_v<Pin, ImagePin>) {
      ComparePlatforms(before[i], after[j], change);
      differs = differs || !change.changed_platforms.empty() ||
                !change.added_platforms.empty() ||
                !change.removed_platforms.empty();
    }
    if (differs) out.push_back(std::move(change));
    ++i;
    ++j;
  }
}

bool MatchesPattern(std::string_view pattern, const std::string& text) {
  return ::fnmatch(std::string(pattern).c_str(), text.c_str(), 0) == 0;
}

}  // namespace

void Put(Lockfile& lock, ImagePin pin) {
  PutPin(lock.images, std::move(pin), [](const ImagePin& old, ImagePin& now) {
    Remember(old.previous, old.digest, now.digest, now.previous);
    now.added = now.added || old.added;
    for (auto& [platform, own] : now.platforms) {
      const auto it = old.platforms.find(platform);
      if (it != old.platforms.end()) own.unknown = it->second.unknown;
    }
    if (old.digest == now.digest) {
      now.platforms.insert(old.platforms.begin(), old.platforms.end());
    }
  });
}

void Put(Lockfile& lock, UrlPin pin) {
  PutPin(lock.urls, std::move(pin), [](const UrlPin& old, UrlPin& now) {
    Remember(old.previous, old.checksum, now.checksum, now.previous);
  });
}

void Put(Lockfile& lock, GitPin pin) {
  PutPin(lock.gits, std::move(pin), [](const GitPin& old, GitPin& now) {
    Remember(old.previous, old.commit, now.commit, now.previous);
  });
}

void Put(Lockfile& lock, FrontendPin pin) {
  PutPin(lock.frontends, std::move(pin),
         [](const FrontendPin&, FrontendPin&) {});
}

void Put(Lockfile& lock, Variant variant) {
  PutPin(lock.variants, std::move(variant), [](const Variant&, Variant&) {});
}

void Put(Lockfile& lock, ExpectedOutput output) {
  for (ExpectedOutput& known : lock.outputs) {
    if (known.target == output.target && known.platform == output.platform &&
        known.variant == output.variant) {
      known.manifest = output.manifest;
      return;
    }
  }
  lock.outputs.push_back(std::move(output));
}

std::vector<std::string> Prune(Lockfile& lock,
                               const std::vector<UsedName>& used,
                               bool added_too) {
  std::set<std::pair<Kind, std::string>> names;
  for (const UsedName& name : used) names.emplace(name.kind, name.name);
  std::vector<std::string> removed;
  const auto sweep = [&](Kind kind, auto& pins) {
    std::erase_if(pins, [&](const auto& pin) {
      if (names.contains({kind, NameOf(pin)})) return false;
      if constexpr (std::is_same_v<std::decay_t<decltype(pin)>, ImagePin>) {
        if (pin.added && !added_too) return false;
      }
      removed.push_back(NameOf(pin));
      return true;
    });
  };
  sweep(Kind::kImage, lock.images);
  sweep(Kind::kUrl, lock.urls);
  sweep(Kind::kGit, lock.gits);
  sweep(Kind::kFrontend, lock.frontends);
  return removed;
}

bool MatchesName(std::string_view typed, Kind kind, const std::string& name) {
  if (typed == name || MatchesPattern(typed, name)) return true;
  if (kind != Kind::kImage && kind != Kind::kFrontend) return false;
  const auto reference = oci::Reference::TryParse(name);
  if (!reference) return false;
  for (const std::string& text :
       {reference->Familiar(), reference->repository().Familiar(),
        reference->repository().ToString()}) {
    if (typed == text || MatchesPattern(typed, text)) return true;
  }
  const auto wanted = oci::Reference::TryParse(typed);
  return wanted && wanted->tag() && KeyOf(*wanted).ToString() == name;
}

std::vector<NamedEntry> EntriesOf(const Lockfile& lock) {
  std::vector<NamedEntry> out;
  const auto add = [&](Kind kind, const auto& pins) {
    for (const auto& pin : pins) out.push_back({kind, NameOf(pin)});
  };
  add(Kind::kImage, lock.images);
  add(Kind::kUrl, lock.urls);
  add(Kind::kGit, lock.gits);
  add(Kind::kFrontend, lock.frontends);
  return out;
}

std::vector<Change> Diff(const Lockfile& before, const Lockfile& after) {
  std::vector<Change> out;
  DiffPins(Kind::kImage, before.images, after.images, out);
  DiffPins(Kind::kUrl, before.urls, after.urls, out);
  DiffPins(Kind::kGit, before.gits, after.gits, out);
  DiffPins(Kind::kFrontend, before.frontends, after.frontends, out);
  return out;
}

}  // namespace imgbuild::lock
