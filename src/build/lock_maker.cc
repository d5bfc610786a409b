#include "imgbuild/build/lock_maker.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "imgbuild/build/locking.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/lock/update.h"
#include "imgbuild/registry/client.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

bool MatchesAny(const std::vector<std::string>& typed, lock::Kind kind,
                const std::string& name) {
  return std::ranges::any_of(typed, [&](const std::string& word) {
    return lock::MatchesName(word, kind, name);
  });
}

// Answers the planner's questions out of the lock where it keeps its pins, else
// out of the table; remembers what it answered.
class MakingResolver : public plan::ImageResolver {
 public:
  struct Answer {
    NamedDocument document;
    std::map<std::string, plan::ResolvedImage> platforms;
  };

  MakingResolver(const lock::Lockfile& current, const LockOptions& options,
                 NameTable& table)
      : current_(current), options_(options), table_(table) {}

  void Prefetch(const oci::Reference& reference,
                const oci::Platform&) override {
    const lock::ImagePin* pin = current_.FindImage(reference);
    if (reference.digest()) {
      table_.Want(reference);
    } else if (pin == nullptr) {
      table_.Want(reference);
    } else if (Updates(*pin)) {
      table_.WantHead(reference);
    }
  }

  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform) override {
    const lock::ImagePin* pin = current_.FindImage(reference);
    if (pin == nullptr || options_.refuse_conflicts) {
      return Answered(reference, platform);
    }
    try {
      return Answered(reference, platform);
    } catch (const registry::NotFoundError&) {
      // The report has a line for it, and others: one digest that was lost
      // must not hide them. Its triggers are not known.
      const oci::Digest& digest = pin->digest;
      return {reference, digest, digest, digest, {}, {}, 0};
    }
  }

  plan::ResolvedImage ResolveLayout(const std::string& layout,
                                    const oci::Platform& platform) override {
    return table_.Layout(layout, platform);
  }

  // Whether the lock says too little about an entry of this name.
  bool Wants(const std::string& name, const oci::Platform& platform) const {
    const lock::ImagePin* pin = current_.FindImage(oci::Reference::Parse(name));
    return pin == nullptr || !pin->platforms.contains(platform.ToString()) ||
           Updates(*pin) || options_.choose.contains(name);
  }

  const std::map<std::string, Answer>& answers() const { return answers_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  plan::ResolvedImage Answered(const oci::Reference& reference,
                               const oci::Platform& platform) {
    const std::string key = lock::KeyOf(reference).ToString();
    auto it = answers_.find(key);
    if (it == answers_.end()) {
      it = answers_.emplace(key, Answer{Decide(reference, platform), {}}).first;
    } else if (reference.digest() &&
               *reference.digest() != it->second.document.digest) {
      throw Error(ErrorCode::kPolicy,
                  fmt::format("{} has two digests: {} here and {} elsewhere in "
                              "this Dockerfile",
                              lock::KeyOf(reference).Familiar(),
                              reference.digest()->ToString(),
                              it->second.document.digest.ToString()));
    }
    Answer& answer = it->second;
    const std::string text = platform.ToString();
    const auto known = answer.platforms.find(text);
    if (known != answer.platforms.end()) return known->second;
    plan::ResolvedImage image =
        table_.Image(reference.WithDigest(answer.document.digest), platform);
    image.name = reference;
    answer.platforms.emplace(text, image);
    return image;
  }

  bool Updates(const lock::ImagePin& pin) const {
    return options_.update_all ||
           MatchesAny(options_.update, lock::Kind::kImage, pin.name.ToString());
  }

  NamedDocument Decide(const oci::Reference& reference,
                       const oci::Platform& platform) {
    const lock::ImagePin* pin = current_.FindImage(reference);
    const auto chosen = options_.choose.find(lock::KeyOf(reference).ToString());
    if (chosen != options_.choose.end()) {
      return table_.Ask(
          reference.WithDigest(oci::Digest::Parse(chosen->second)));
    }
    if (reference.digest()) {
      if (pin != nullptr && pin->digest != *reference.digest() &&
          !Updates(*pin) && options_.refuse_conflicts) {
        throw Conflict(reference, *pin);
      }
      return table_.Ask(reference);
    }
    if (pin == nullptr) return table_.Ask(reference);
    NamedDocument kept{pin->digest, pin->media_type, pin->size};
    if (!Updates(*pin)) return kept;
    const NamedDocument now = table_.Head(reference);
    if (now.digest == pin->digest) return kept;
    if (options_.min_age_s > 0 && TooYoung(reference, now, platform)) {
      return kept;
    }
    return table_.Ask(reference.WithDigest(now.digest));
  }

  bool TooYoung(const oci::Reference& reference, const NamedDocument& now,
                const oci::Platform& platform) {
    const plan::ResolvedImage image =
        table_.Image(reference.WithDigest(now.digest), platform);
    const auto created = image.config.created
                             ? ParseRfc3339(*image.config.created)
                             : std::nullopt;
    if (!created || options_.now_s - *created >= options_.min_age_s) {
      return false;
    }
    warnings_.push_back(fmt::format(
        "{} stays: {} was made {} ago, --min-age asks for {}",
        lock::KeyOf(reference).Familiar(), now.digest.ToString(),
        HumanDuration(std::max<int64_t>(0, options_.now_s - *created)),
        HumanDuration(options_.min_age_s)));
    return true;
  }

  static Error Conflict(const oci::Reference& reference,
                        const lock::ImagePin& pin) {
    const std::string name = lock::KeyOf(reference).Familiar();
    return Error(ErrorCode::kPolicy,
                 fmt::format("{} has the digest {} here and {} in the lock",
                             name, reference.digest()->ToString(),
                             pin.digest.ToString()))
        .WithHint(fmt::format("`imgbuild lock --update {}` takes the "
                              "Dockerfile's",
                              name));
  }

  const lock::Lockfile& current_;
  const LockOptions& options_;
  NameTable& table_;
  std::map<std::string, Answer> answers_;
  std::vector<std::string> warnings_;
};

// What a lock is made for: every combination is evaluated.
struct Evaluation {
  std::string variant;
  plan::PlanOptions options;
};

std::vector<oci::Platform> PlatformsOf(const lock::Settings& settings) {
  std::vector<oci::Platform> out;
  for (const std::string& text : settings.platforms) {
    out.push_back(oci::Platform::Parse(text));
  }
  return out;
}

std::vector<Evaluation> Evaluations(const lock::Lockfile& lock) {
  const std::vector<oci::Platform> targets = PlatformsOf(lock.settings);
  std::vector<oci::Platform> builders = targets;
  if (std::ranges::find(builders, oci::Platform::Host()) == builders.end()) {
    builders.push_back(oci::Platform::Host());
  }
  std::vector<lock::Variant> variants(1);
  variants[0].name = lock::kDefaultVariant;
  variants.insert(variants.end(), lock.variants.begin(), lock.variants.end());
  std::vector<Evaluation> out;
  for (const lock::Variant& variant : variants) {
    for (const oci::Platform& target : targets) {
      for (const oci::Platform& builder : builders) {
        Evaluation evaluation;
        evaluation.variant = variant.name;
        evaluation.options.build_args = variant.args;
        evaluation.options.named_contexts = lock.settings.contexts;
        evaluation.options.target_platform = target;
        evaluation.options.build_platform = builder;
        // What a build may do is asked of the build.
        evaluation.options.entitlements = {"network.host", "security.insecure"};
        out.push_back(std::move(evaluation));
      }
    }
  }
  return out;
}

// Names that only a variant can evaluate are no mistake of the others.
template <typename Do>
void ForEachEvaluation(const lock::Lockfile& lock, Do run,
                       std::vector<std::string>* warnings) {
  for (const Evaluation& evaluation : Evaluations(lock)) {
    try {
      run(evaluation);
    } catch (const Error& error) {
      const bool others = evaluation.variant == lock::kDefaultVariant &&
                          !lock.variants.empty() &&
                          error.code() == ErrorCode::kDockerfile;
      if (!others) throw;
      std::string text = fmt::format(
          "{}: the names of the default build arguments are not locked: {}",
          error.range().ToString(), error.message());
      if (std::ranges::find(*warnings, text) == warnings->end()) {
        warnings->push_back(std::move(text));
      }
    }
  }
}

std::vector<lock::UsedName> Evaluate(
    const dockerfile::Dockerfile& file, const lock::Lockfile& lock,
    plan::ImageResolver& resolver,
    std::map<std::string, plan::ExternalName>* remotes,
    std::vector<std::string>* warnings) {
  std::vector<lock::UsedName> used;
  ForEachEvaluation(
      lock,
      [&](const Evaluation& evaluation) {
        for (const plan::ExternalName& name :
             plan::ExternalNames(file, evaluation.options, resolver)) {
          used.push_back(ToUsedName(name, evaluation.variant));
          if (remotes != nullptr) remotes->emplace(name.name, name);
        }
      },
      warnings);
  return used;
}

// The lock with what the command line says about all of it.
lock::Lockfile Prepare(const lock::Lockfile& current,
                       const LockOptions& options) {
  lock::Lockfile lock = current;
  lock::Settings& settings = lock.settings;
  settings.layer_format = layer::kLayerFormat;
  settings.encoder = layer::EncoderVersion();
  if (options.source_date_epoch) {
    settings.source_date_epoch = options.source_date_epoch;
  }
  for (const auto& [name, value] : options.contexts) {
    settings.contexts[name] = value;
  }
  for (const oci::Platform& platform : options.platforms) {
    settings.platforms.push_back(platform.ToString());
  }
  if (settings.platforms.empty()) {
    settings.platforms.push_back(oci::Platform::Host().ToString());
  }
  std::ranges::sort(settings.platforms);
  const auto same = std::ranges::unique(settings.platforms);
  settings.platforms.erase(same.begin(), same.end());
  if (options.variant) lock::Put(lock, *options.variant);
  return lock;
}

// What the uses of one name have in common.
struct Uses {
  std::set<std::string> written;
  std::map<std::string, std::string> args;
  std::set<std::string> variants;

  void Add(const lock::UsedName& used) {
    written.insert(used.written);
    args.insert(used.args.begin(), used.args.end());
    variants.insert(used.variant);
  }
  template <typename Pin>
  void Fill(Pin& pin) const {
    pin.args = args;
    if (variants.size() == 1 && *variants.begin() == lock::kDefaultVariant) {
      return;
    }
    pin.variants.assign(variants.begin(), variants.end());
  }
};

lock::ImagePin ToPin(const MakingResolver::Answer& answer,
                     const std::string& name, const Uses& uses) {
  lock::ImagePin pin{oci::Reference::Parse(name),
                     {uses.written.begin(), uses.written.end()},
                     answer.document.digest,
                     answer.document.media_type,
                     answer.document.size,
                     {},
                     {},
                     {},
                     {},
                     {},
                     {}};
  uses.Fill(pin);
  for (const auto& [platform, image] : answer.platforms) {
    lock::PlatformPin own{image.manifest,
                          image.manifest_size,
                          image.config_digest,
                          "",
                          image.config.created.value_or(""),
                          {},
                          {}};
    if (!oci::MatchRank(oci::Platform::Parse(platform),
                        image.config.platform)) {
      own.actual = image.config.platform.Normalized().ToString();
    }
    pin.platforms.emplace(platform, std::move(own));
  }
  return pin;
}

class Maker {
 public:
  Maker(LockResult& result, const LockOptions& options, NameTable& table)
      : lock_(result.lock),
        warnings_(result.warnings),
        options_(options),
        table_(table) {}

  void PutImage(const std::string& name, const MakingResolver::Answer& answer,
                const Uses& uses) {
    if (Wanted(lock::Kind::kImage, name)) {
      lock::Put(lock_, ToPin(answer, name, uses));
    }
  }

  void PutAdded(const oci::Reference& name,
                const MakingResolver::Answer& answer) {
    Uses uses;
    uses.written.insert(name.Familiar());
    uses.variants.insert(lock::kDefaultVariant);
    lock::ImagePin pin = ToPin(answer, lock::KeyOf(name).ToString(), uses);
    pin.added = true;
    lock::Put(lock_, std::move(pin));
  }

  void PutRemote(const plan::ExternalName& name, const Uses& uses) {
    try {
      if (name.kind == plan::ExternalName::Kind::kUrl) PutUrl(name, uses);
      if (name.kind == plan::ExternalName::Kind::kGit) PutGit(name, uses);
      if (name.kind == plan::ExternalName::Kind::kFrontend) PutFrontend(name);
    } catch (Error& error) {
      error.At(name.range);
      throw;
    }
  }

 private:
  bool Wanted(lock::Kind kind, const std::string& name) const {
    return options_.only.empty() || MatchesAny(options_.only, kind, name);
  }
  bool Updates(lock::Kind kind, const std::string& name) const {
    return options_.update_all || MatchesAny(options_.update, kind, name);
  }

  void PutUrl(const plan::ExternalName& name, const Uses& uses) {
    if (!Wanted(lock::Kind::kUrl, name.name)) return;
    const lock::UrlPin* known = lock_.FindUrl(name.name);
    // --checksum in the text pins it; an entry that is there must agree.
    if (known == nullptr && !name.own_checksum.empty()) return;
    lock::UrlPin pin{name.name, oci::Digest::OfBytes(""), 0, {}, {}, {}, {},
                     {}};
    if (known != nullptr && !Updates(lock::Kind::kUrl, name.name)) {
      pin = *known;
      pin.args.clear();
      pin.variants.clear();
    } else {
      const UrlContent content = table_.AskUrl(name.url);
      pin.checksum = content.checksum;
      pin.size = content.size;
    }
    uses.Fill(pin);
    lock::Put(lock_, std::move(pin));
  }

  void PutGit(const plan::ExternalName& name, const Uses& uses) {
    if (!Wanted(lock::Kind::kGit, name.name)) return;
    const lock::GitPin* known = lock_.FindGit(name.name);
    if (known == nullptr && plan::IsFullCommit(name.own_checksum)) return;
    lock::GitPin pin;
    if (known != nullptr && !Updates(lock::Kind::kGit, name.name)) {
      pin = *known;
      pin.args.clear();
      pin.variants.clear();
    } else {
      pin.name = name.name;
      pin.commit = table_.AskCommit(*name.git);
    }
    uses.Fill(pin);
    lock::Put(lock_, std::move(pin));
  }

  void PutFrontend(const plan::ExternalName& name) {
    if (!Wanted(lock::Kind::kFrontend, name.name)) return;
    const auto known = std::ranges::find_if(
        lock_.frontends, [&](const lock::FrontendPin& pin) {
          return pin.name.ToString() == name.name;
        });
    if (known != lock_.frontends.end() &&
        !Updates(lock::Kind::kFrontend, name.name)) {
      return;
    }
    try {
      const NamedDocument now = table_.Head(*name.image);
      lock::Put(lock_, lock::FrontendPin{lock::KeyOf(*name.image),
                                         now.digest,
                                         now.media_type,
                                         now.size,
                                         {},
                                         {}});
    } catch (const Error& error) {
      // No build of ours needs it: a host that cannot reach its registry can
      // still lock everything else. An entry that is there stays as it is.
      if (error.code() != ErrorCode::kRegistry) throw;
      warnings_.push_back(fmt::format(
          "# syntax={} is not recorded, and no build here needs it: {}",
          lock::KeyOf(*name.image).Familiar(), error.message()));
    }
  }

  lock::Lockfile& lock_;
  std::vector<std::string>& warnings_;
  const LockOptions& options_;
  NameTable& table_;
};

}  // namespace

void PrefetchLock(const dockerfile::Dockerfile& file,
                  const lock::Lockfile& current, const LockOptions& options,
                  NameTable& table) {
  const lock::Lockfile lock = Prepare(current, options);
  MakingResolver resolver(lock, options, table);
  std::vector<std::string> warnings;
  ForEachEvaluation(
      lock,
      [&](const Evaluation& evaluation) {
        plan::PrefetchExternalNames(file, evaluation.options, resolver);
      },
      &warnings);
}

// Entries that were added by name, and those that are to be: no Dockerfile
// asks for them.
std::vector<oci::Reference> AddedNames(const lock::Lockfile& lock,
                                       const LockOptions& options) {
  std::vector<oci::Reference> out;
  for (const oci::Reference& name : options.add) {
    out.push_back(name.WithDefaultTag());
  }
  if (!options.only.empty()) return out;
  for (const lock::ImagePin& pin : lock.images) {
    if (pin.added) out.push_back(pin.name);
  }
  return out;
}

LockResult MakeLock(const dockerfile::Dockerfile& file,
                    const lock::Lockfile& current, const LockOptions& options,
                    NameTable& table) {
  LockResult result;
  result.lock = Prepare(current, options);
  const lock::Lockfile before = result.lock;
  MakingResolver resolver(before, options, table);
  std::map<std::string, plan::ExternalName> remotes;
  result.used = Evaluate(file, before, resolver, &remotes, &result.warnings);
  std::map<std::string, Uses> uses;
  for (const lock::UsedName& used : result.used) uses[used.name].Add(used);
  std::map<std::string, oci::Reference> added;
  for (const oci::Reference& name : AddedNames(before, options)) {
    const std::string key = lock::KeyOf(name).ToString();
    for (const oci::Platform& platform : PlatformsOf(before.settings)) {
      if (resolver.Wants(key, platform)) resolver.Resolve(name, platform);
    }
    if (!uses.contains(key)) added.emplace(key, name);
  }
  result.warnings.insert(result.warnings.end(), resolver.warnings().begin(),
                         resolver.warnings().end());
  Maker maker(result, options, table);
  for (const auto& [name, answer] : resolver.answers()) {
    const auto it = added.find(name);
    if (it == added.end()) {
      maker.PutImage(name, answer, uses[name]);
    } else {
      maker.PutAdded(it->second, answer);
    }
  }
  for (const auto& [name, remote] : remotes) {
    maker.PutRemote(remote, uses[name]);
  }
  return result;
}

std::vector<lock::UsedName> UsedNames(const dockerfile::Dockerfile& file,
                                      const lock::Lockfile& current,
                                      NameTable& table,
                                      std::vector<std::string>* warnings) {
  LockOptions options;
  options.refuse_conflicts = false;
  const lock::Lockfile lock = Prepare(current, options);
  MakingResolver resolver(lock, options, table);
  return Evaluate(file, lock, resolver, nullptr, warnings);
}

}  // namespace imgbuild::build
