#include "imgbuild/lock/pin.h"

#include <fmt/format.h>

#include <map>
#include <utility>
#include <variant>

#include "lock/pin_spot.h"

namespace imgbuild::lock {
namespace {

using dockerfile::Word;

struct Site {
  Word word;
  const char* what;
};

// Every word that may name an image, in the order of the file.
std::vector<Site> Sites(const dockerfile::Dockerfile& file) {
  std::vector<Site> out;
  for (const dockerfile::Stage& stage : file.stages) {
    out.push_back({std::get<dockerfile::From>(stage.from.node).image, "FROM"});
    for (const dockerfile::Instruction& instruction : stage.instructions) {
      if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.node)) {
        if (copy->from) out.push_back({*copy->from, "COPY --from"});
      } else if (const auto* run =
                     std::get_if<dockerfile::Run>(&instruction.node)) {
        for (const dockerfile::RawMount& mount : run->mounts) {
          for (const dockerfile::RawMount::Option& option : mount.options) {
            if (option.key != "from" || !option.value) continue;
            out.push_back({{*option.value, option.range}, "RUN --mount"});
          }
        }
      }
    }
  }
  return out;
}

class Pinner {
 public:
  Pinner(const dockerfile::Dockerfile& file, PinMode mode,
         const DigestOf& digest_of)
      : file_(file), mode_(mode), digest_of_(digest_of) {}

  void Do(const Site& site, const UsedName& used) {
    const oci::Reference& image = *used.image;
    PinChange change;
    change.name = image.WithoutDigest().Familiar();
    change.before = image.digest() ? image.digest()->ToString() : "";
    change.after = change.before;
    change.site = site.what;
    change.range = site.word.range;
    change.at = change.range;
    change.no_tag = !image.tag();
    if (mode_ == PinMode::kUnpin) {
      change.after.clear();
      if (!image.digest()) return;
    } else if (mode_ == PinMode::kPin && image.digest()) {
      plan_.kept.push_back(std::move(change));
      return;
    }
    try {
      const PinSpot spot =
          FindPinSpot(file_, site.word, used, mode_ != PinMode::kUnpin);
      change.at = spot.at;
      change.arg = spot.arg;
      if (mode_ != PinMode::kUnpin) change.after = Ask(image).ToString();
      if (change.after == change.before) {
        plan_.kept.push_back(std::move(change));
        return;
      }
      plan_.edits.push_back({spot.begin, spot.end,
                             change.after.empty() ? "" : "@" + change.after});
      plan_.changes.push_back(std::move(change));
    } catch (Error& error) {
      if (error.range()) {
        error.While(fmt::format("while pinning the {} at {}", site.what,
                                site.word.range.ToString()));
      }
      plan_.refused.push_back(std::move(error.At(site.word.range)));
    }
  }

  PinPlan Take() { return std::move(plan_); }

 private:
  oci::Digest Ask(const oci::Reference& image) {
    const oci::Reference name = image.WithoutDigest().WithDefaultTag();
    const std::string key = name.ToString();
    auto it = asked_.find(key);
    if (it == asked_.end()) it = asked_.emplace(key, digest_of_(name)).first;
    if (it->second) return *it->second;
    throw Error(ErrorCode::kPolicy,
                fmt::format("nothing is known about {}", name.Familiar()));
  }

  const dockerfile::Dockerfile& file_;
  const PinMode mode_;
  const DigestOf& digest_of_;
  std::map<std::string, std::optional<oci::Digest>> asked_;
  PinPlan plan_;
};

}  // namespace

PinPlan PlanPins(const dockerfile::Dockerfile& file,
                 const std::vector<UsedName>& used, PinMode mode,
                 const DigestOf& digest_of) {
  std::map<SourcePos, const UsedName*> by_place;
  for (const UsedName& name : used) {
    if (name.kind != Kind::kImage || !name.image || !name.variant.empty() ||
        name.range.file() != file.source) {
      continue;
    }
    by_place.emplace(name.range.begin(), &name);
  }
  Pinner pinner(file, mode, digest_of);
  for (const Site& site : Sites(file)) {
    const auto it = by_place.find(site.word.range.begin());
    if (it == by_place.end()) continue;
    // A base's trigger stands at the FROM line, not at its word.
    if (it->second->range.end() != site.word.range.end()) continue;
    pinner.Do(site, *it->second);
  }
  return pinner.Take();
}

}  // namespace imgbuild::lock
