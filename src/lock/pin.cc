#include "imgbuild/lock/pin.h"

#include <fmt/format.h>

#include <map>
#include <utility>
#include <variant>

#include "imgbuild/dockerfile/directives.h"
#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/dockerfile/parser.h"

#include "lock/pin_spot.h"

namespace imgbuild::lock {
namespace {

using dockerfile::Word;

struct Site {
  Word word;
  std::string what;
};

void AddMounts(const dockerfile::Run& run, const std::string& what,
               std::vector<Site>& out) {
  for (const dockerfile::RawMount& mount : run.mounts) {
    for (const dockerfile::RawMount::Option& option : mount.options) {
      if (option.key != "from" || !option.value) continue;
      out.push_back({{*option.value, option.range}, what});
    }
  }
}

void AddSources(const dockerfile::Instruction& instruction,
                const std::string& prefix, std::vector<Site>& out) {
  if (const auto* copy = std::get_if<dockerfile::Copy>(&instruction.node)) {
    if (copy->from) out.push_back({*copy->from, prefix + "COPY --from"});
  } else if (const auto* run =
                 std::get_if<dockerfile::Run>(&instruction.node)) {
    AddMounts(*run, prefix + "RUN --mount", out);
  }
}

// Every word that may name an image, in the order of the file.
std::vector<Site> Sites(const dockerfile::Dockerfile& file) {
  std::vector<Site> out;
  for (const dockerfile::Directive& directive : file.directives) {
    if (directive.name != "syntax") continue;
    out.push_back({dockerfile::DirectiveValue(directive), "# syntax"});
  }
  for (const dockerfile::Stage& stage : file.stages) {
    out.push_back({std::get<dockerfile::From>(stage.from.node).image, "FROM"});
    for (const dockerfile::Instruction& instruction : stage.instructions) {
      AddSources(instruction, "", out);
      const auto* trigger = std::get_if<dockerfile::OnBuild>(&instruction.node);
      if (trigger == nullptr) continue;
      for (TriggerName& name : TriggerNames(*trigger, file.escape)) {
        out.push_back({std::move(name.word), std::move(name.site)});
      }
    }
  }
  return out;
}

// Where a word of the trigger's text stands in the Dockerfile.
SourceRange PlaceInFile(const dockerfile::OnBuild& trigger,
                        const SourceRange& word) {
  const SourceRange& whole = trigger.trigger_range;
  const std::string_view raw = TextAt(whole);
  const std::string_view text = TextAt(word);
  const size_t start = OffsetOf(*whole.file(), whole.begin());
  size_t at = OffsetOf(*word.file(), word.begin());
  if (!trigger.trigger.starts_with(raw)) {
    // Continued lines: what is there once is it.
    const std::string option = "from=" + std::string(text);
    const size_t found = raw.find(option);
    if (found == std::string_view::npos || raw.rfind(option) != found) {
      return {};
    }
    at = found + option.size() - text.size();
  }
  return SourceRange::FromOffsets(whole.file(), start + at,
                                  start + at + text.size());
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
      change.edit = {spot.begin, spot.end,
                     change.after.empty() ? "" : "@" + change.after};
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
  using Place = std::pair<const SourceFile*, SourcePos>;
  std::map<Place, const UsedName*> by_place;
  for (const UsedName& name : used) {
    const bool is_image =
        name.kind == Kind::kImage || name.kind == Kind::kFrontend;
    if (!is_image || !name.image || !name.variant.empty()) continue;
    by_place.emplace(Place(name.range.file().get(), name.range.begin()), &name);
  }
  Pinner pinner(file, mode, digest_of);
  for (const Site& site : Sites(file)) {
    const auto it = by_place.find(
        Place(site.word.range.file().get(), site.word.range.begin()));
    if (it == by_place.end()) continue;
    // A base's trigger stands at the FROM line, not at its word.
    if (it->second->range.end() != site.word.range.end()) continue;
    pinner.Do(site, *it->second);
  }
  return pinner.Take();
}

std::vector<TriggerName> TriggerNames(const dockerfile::OnBuild& trigger,
                                      char escape) {
  std::vector<Site> sites;
  const auto source = std::make_shared<SourceFile>("ONBUILD", trigger.trigger);
  // The Dockerfile's parser has read it once: it is well-formed.
  AddSources(dockerfile::ParseTrigger(source, escape), "ONBUILD ", sites);
  std::vector<TriggerName> out;
  for (Site& site : sites) {
    const std::string& text = site.word.text;
    // A stage has neither registry nor tag in its name.
    if (text.find_first_of("/:") == std::string::npos ||
        dockerfile::HasVariable(text, escape)) {
      continue;
    }
    site.word.range = PlaceInFile(trigger, site.word.range);
    if (!site.word.range) continue;
    out.push_back({std::move(site.word), std::move(site.what)});
  }
  return out;
}

}  // namespace imgbuild::lock
