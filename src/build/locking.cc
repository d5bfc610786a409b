#include "imgbuild/build/locking.h"

#include <fmt/format.h>

#include <map>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

lock::Kind ToKind(plan::ExternalName::Kind kind) {
  switch (kind) {
    case plan::ExternalName::Kind::kImage:
      return lock::Kind::kImage;
    case plan::ExternalName::Kind::kUrl:
      return lock::Kind::kUrl;
    case plan::ExternalName::Kind::kGit:
      return lock::Kind::kGit;
    case plan::ExternalName::Kind::kFrontend:
      return lock::Kind::kFrontend;
  }
  return lock::Kind::kImage;
}

// "Dockerfile.lock", as the user calls it.
std::string LockName(const lock::Lockfile& lock) {
  return lock.source ? lock.source->name() : "the lock";
}

}  // namespace

lock::UsedName ToUsedName(const plan::ExternalName& name,
                          const std::string& variant) {
  return {ToKind(name.kind), name.image, name.name,        name.written,
          name.range,        name.site,  name.stage,       name.platform,
          name.args,         variant,    name.own_checksum};
}

const lock::ImagePin* LockedResolver::Find(
    const oci::Reference& reference) const {
  return lock_.FindImage(reference);
}

void LockedResolver::Missing(const std::string& what, const std::string& name) {
  if (mode_ == LockMode::kPrefer) {
    if (!warned_.insert(what).second) return;
    warnings_.push_back(fmt::format(
        "{}; `imgbuild lock{}` adds what is missing", what, flags_));
    return;
  }
  throw Error(ErrorCode::kPolicy, what)
      .WithHint(
          fmt::format("`imgbuild lock add{} {}` adds it, `imgbuild lock{}` "
                      "everything that is missing",
                      flags_, name, flags_));
}

void LockedResolver::CheckOwnDigest(const oci::Reference& reference,
                                    const lock::ImagePin& pin) const {
  if (!reference.digest() || *reference.digest() == pin.digest) return;
  const std::string name = lock::KeyOf(reference).Familiar();
  throw Error(ErrorCode::kPolicy,
              fmt::format("{} has the digest {} here and {} in {}", name,
                          reference.digest()->ToString(), pin.digest.ToString(),
                          LockName(lock_)))
      .WithHint(
          fmt::format("`imgbuild lock{} --update {}` takes the Dockerfile's",
                      flags_, name));
}

void LockedResolver::CheckAnswer(const plan::ResolvedImage& image,
                                 const lock::ImagePin& pin,
                                 const oci::Platform& platform,
                                 const lock::PlatformPin& own) const {
  const std::string name = pin.name.Familiar();
  const auto wrong = [&](const std::string& why) {
    Error error(ErrorCode::kPolicy,
                fmt::format("the lock of {} for {} is wrong: {}", name,
                            platform.ToString(), why));
    return error.At(own.range).WithHint(fmt::format(
        "`imgbuild lock{} --update {}` resolves it again", flags_, name));
  };
  if (image.manifest != own.manifest) {
    throw wrong(fmt::format("the manifest of {} is {}", pin.digest.ToString(),
                            image.manifest.ToString()));
  }
  if (image.config_digest != own.config) {
    throw wrong(fmt::format("the config of {} is {}", own.manifest.ToString(),
                            image.config_digest.ToString()));
  }
  const std::string actual = image.config.platform.Normalized().ToString();
  if (!oci::MatchRank(platform, image.config.platform) &&
      actual != own.actual) {
    throw wrong("the image is for " + actual);
  }
}

plan::ResolvedImage LockedResolver::Pinned(const oci::Reference& reference,
                                           const oci::Platform& platform,
                                           const lock::ImagePin* pin) {
  try {
    return next_.Resolve(reference, platform);
  } catch (Error& error) {
    const std::string name = lock::KeyOf(reference).Familiar();
    if (mode_ == LockMode::kFrozen) {
      throw Error(ErrorCode::kPolicy,
                  fmt::format("{} is not in the store, and --frozen fetches "
                              "nothing",
                              reference.Familiar()))
          .WithHint(
              fmt::format("`imgbuild lock fetch{}` brings everything into the "
                          "store",
                          flags_));
    }
    if (pin == nullptr || error.temporary()) throw;
    // The pin is what cannot be had.
    error.At(pin->range);
    if (error.hint().empty()) {
      error.WithHint(
          fmt::format("the registry may have lost it; `imgbuild lock{} "
                      "--update {}` takes what the name stands for "
                      "now",
                      flags_, name));
    }
    throw;
  }
}

plan::ResolvedImage LockedResolver::Resolve(const oci::Reference& reference,
                                            const oci::Platform& platform) {
  const lock::ImagePin* pin = Find(reference);
  const std::string name = lock::KeyOf(reference).Familiar();
  if (pin == nullptr && reference.digest()) {
    // Pinned in the text: as good as an entry.
    return Pinned(reference, platform, nullptr);
  }
  if (pin == nullptr) {
    Missing(fmt::format("{} is not in {}", name, LockName(lock_)), name);
    return next_.Resolve(reference, platform);
  }
  CheckOwnDigest(reference, *pin);
  const auto own = pin->platforms.find(platform.ToString());
  if (own == pin->platforms.end()) {
    std::vector<std::string> covered;
    for (const auto& [text, unused] : pin->platforms) covered.push_back(text);
    Missing(fmt::format("{} is locked for {}, not for {}", name,
                        Join(covered, ", "), platform.ToString()),
            fmt::format("--platform {} {}", platform.ToString(), name));
  }
  plan::ResolvedImage image =
      Pinned(reference.WithDigest(pin->digest), platform, pin);
  image.name = reference;
  if (own != pin->platforms.end()) {
    CheckAnswer(image, *pin, platform, own->second);
  }
  return image;
}

void LockedResolver::Prefetch(const oci::Reference& reference,
                              const oci::Platform& platform) {
  const lock::ImagePin* pin = Find(reference);
  if (pin != nullptr) {
    next_.Prefetch(reference.WithDigest(pin->digest), platform);
  } else if (mode_ == LockMode::kPrefer) {
    next_.Prefetch(reference, platform);
  }
}

std::string LockedResolver::PinOf(const plan::ExternalName& name) {
  std::string pin;
  if (name.kind == plan::ExternalName::Kind::kUrl) {
    const lock::UrlPin* found = lock_.FindUrl(name.name);
    if (found != nullptr) pin = found->checksum.ToString();
  } else if (name.kind == plan::ExternalName::Kind::kGit) {
    const lock::GitPin* found = lock_.FindGit(name.name);
    if (found != nullptr) pin = found->commit;
  }
  if (pin.empty()) {
    if (!name.own_checksum.empty()) return "";  // pinned in the text
    Missing(fmt::format("{} is not in {}", name.name, LockName(lock_)),
            name.name);
    return "";
  }
  if (!name.own_checksum.empty() && !pin.starts_with(name.own_checksum)) {
    throw Error(ErrorCode::kPolicy,
                fmt::format("{} has the checksum {} here and {} in {}",
                            name.name, name.own_checksum, pin, LockName(lock_)))
        .WithHint(
            fmt::format("`imgbuild lock{} --update {}` takes the Dockerfile's",
                        flags_, name.name));
  }
  return pin;
}

namespace {

// Goes on where the other one refuses, with an image that is nothing.
class SurveyResolver : public plan::ImageResolver {
 public:
  explicit SurveyResolver(LockedResolver& next) : next_(next) {}

  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform) override {
    try {
      return next_.Resolve(reference, platform);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kPolicy || error.range()) throw;
      images_.emplace(
          std::pair(lock::KeyOf(reference).ToString(), platform.ToString()),
          error);
      oci::ImageConfig config;
      config.platform = platform;
      config.working_dir = "/";
      const oci::Digest none = oci::Digest::OfBytes("");
      return {reference, none, none, none, std::move(config), {}};
    }
  }
  plan::ResolvedImage ResolveLayout(const std::string& layout,
                                    const oci::Platform& platform) override {
    return next_.ResolveLayout(layout, platform);
  }
  std::string PinOf(const plan::ExternalName& name) override {
    try {
      return next_.PinOf(name);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kPolicy) throw;
      remotes_.emplace(name.range.begin(), error);
      return "";
    }
  }

  // nullptr: nothing is wrong with it.
  const Error* Find(const plan::ExternalName& name) const {
    if (!name.image) {
      const auto it = remotes_.find(name.range.begin());
      return it == remotes_.end() ? nullptr : &it->second;
    }
    const auto it = images_.find(std::pair(lock::KeyOf(*name.image).ToString(),
                                           name.platform.ToString()));
    return it == images_.end() ? nullptr : &it->second;
  }

 private:
  LockedResolver& next_;
  std::map<std::pair<std::string, std::string>, Error> images_;
  std::map<SourcePos, Error> remotes_;
};

}  // namespace

std::vector<LockRefusal> LockRefusals(const dockerfile::Dockerfile& file,
                                      const plan::PlanOptions& options,
                                      LockedResolver& resolver) {
  std::vector<LockRefusal> out;
  SurveyResolver survey(resolver);
  try {
    const plan::BuildGraph graph = plan::Plan(file, options, survey);
    std::set<std::pair<std::string, std::string>> told;
    for (const plan::ExternalName& name : graph.names) {
      const Error* error = survey.Find(name);
      if (error == nullptr ||
          !told.emplace(name.range.ToString(), error->message()).second) {
        continue;
      }
      out.push_back({name.range, error->message(), error->hint()});
    }
  } catch (const Error&) {
    // What is made up may be what is wrong: the first refusal stands alone.
  }
  return out;
}

PinnedCount CountPinned(const std::vector<plan::ExternalName>& names,
                        const lock::Lockfile& lock) {
  std::map<std::string, bool> pinned;
  for (const plan::ExternalName& name : names) {
    if (name.kind == plan::ExternalName::Kind::kFrontend) continue;
    bool known = !name.own_checksum.empty();
    if (name.image) {
      known = name.image->digest().has_value() ||
              lock.FindImage(*name.image) != nullptr;
    } else if (name.kind == plan::ExternalName::Kind::kUrl) {
      known = known || lock.FindUrl(name.name) != nullptr;
    } else {
      known = known || lock.FindGit(name.name) != nullptr;
    }
    const auto [it, first] = pinned.emplace(name.name, known);
    if (!first) it->second = it->second && known;
  }
  PinnedCount count;
  for (const auto& [name, known] : pinned) {
    ++count.names;
    count.pinned += known ? 1 : 0;
  }
  return count;
}

}  // namespace imgbuild::build
