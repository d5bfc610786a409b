#include "cli/lock_probe.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/plan/external_names.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

using lock::Finding;
using lock::State;

Finding Start(lock::Kind kind, const std::string& name,
              const std::string& before, const SourceRange& range) {
  Finding finding;
  finding.state = State::kFresh;
  finding.kind = kind;
  finding.name = name;
  finding.before = before;
  finding.after = before;
  finding.range = range;
  return finding;
}

std::string Ago(const std::string& created, int64_t now_s) {
  const auto then = ParseRfc3339(created);
  if (!then || *then <= 0 || *then > now_s) return "";
  return HumanDuration(now_s - *then) + " old";
}

// What the new digest means for the platforms that are locked.
void DescribeMove(const lock::ImagePin& pin, const oci::Digest& now,
                  build::NameTable& table, int64_t now_s, Finding& finding) {
  std::vector<std::string> changed;
  std::vector<std::string> lost;
  std::string age;
  for (const auto& [platform, own] : pin.platforms) {
    try {
      const plan::ResolvedImage image =
          table.Image(pin.name.WithDigest(now), oci::Platform::Parse(platform));
      if (image.manifest == own.manifest) {
        finding.unchanged_platforms.push_back(platform);
      } else {
        changed.push_back(platform);
        if (age.empty()) age = Ago(image.config.created.value_or(""), now_s);
      }
    } catch (const Error&) {
      lost.push_back(platform);
    }
  }
  std::vector<std::string> parts;
  if (changed.empty() && lost.empty()) {
    parts.push_back("index changed, " +
                    Join(finding.unchanged_platforms, ", ") + " unchanged");
  } else if (!changed.empty()) {
    parts.push_back(Join(changed, ", ") + " changed");
  }
  if (!changed.empty() && !finding.unchanged_platforms.empty()) {
    parts.push_back(Join(finding.unchanged_platforms, ", ") + " unchanged");
  }
  if (!lost.empty()) parts.push_back("no " + Join(lost, ", ") + " any more");
  if (!age.empty()) parts.push_back(age);
  finding.message = Join(parts, ", ");
}

bool StillThere(const lock::ImagePin& pin, build::NameTable& table) {
  try {
    table.Head(oci::Reference(pin.name.repository(), std::nullopt, pin.digest));
    return true;
  } catch (const registry::NotFoundError&) {
    return false;
  }
}

Finding ProbeImage(const lock::ImagePin& pin, build::NameTable& table,
                   int64_t now_s) {
  Finding finding = Start(lock::Kind::kImage, pin.name.ToString(),
                          pin.digest.ToString(), pin.range);
  try {
    const build::NamedDocument now = table.Head(pin.name);
    if (now.digest == pin.digest) return finding;
    finding.after = now.digest.ToString();
    if (!StillThere(pin, table)) {
      finding.state = State::kGone;
      finding.message = "the registry has lost the locked digest";
      return finding;
    }
    finding.state = State::kMoved;
    DescribeMove(pin, now.digest, table, now_s, finding);
  } catch (const registry::NotFoundError&) {
    finding.after.clear();
    const bool there = !pin.name.digest() && StillThere(pin, table);
    finding.state = there ? State::kMoved : State::kGone;
    finding.message = there ? "the tag is gone, the digest is still there"
                            : "the registry has lost it";
  }
  return finding;
}

Finding ProbeUrl(const lock::UrlPin& pin, build::NameTable& table,
                 State other) {
  Finding finding =
      Start(lock::Kind::kUrl, pin.name, pin.checksum.ToString(), pin.range);
  try {
    const build::UrlContent now = table.AskUrl(pin.name);
    finding.after = now.checksum.ToString();
    if (now.checksum == pin.checksum) return finding;
    finding.state = other;
    finding.message = fmt::format("{} now, {} when it was locked",
                                  HumanSize(now.size), HumanSize(pin.size));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kRegistry || error.temporary()) throw;
    finding.after.clear();
    finding.state = State::kGone;
    finding.message = error.message();
  }
  return finding;
}

Finding ProbeGit(const lock::GitPin& pin, build::NameTable& table) {
  Finding finding = Start(lock::Kind::kGit, pin.name, pin.commit, pin.range);
  try {
    plan::GitSource source;
    const size_t hash = pin.name.find('#');
    source.remote = pin.name.substr(0, hash);
    if (hash != std::string::npos) source.ref = pin.name.substr(hash + 1);
    finding.after = table.AskCommit(source);
    if (finding.after != pin.commit) {
      finding.state = State::kMoved;
      finding.message = "the ref is another commit now";
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kRegistry) throw;
    finding.after.clear();
    finding.state = State::kGone;
    finding.message = error.message();
  }
  return finding;
}

Finding ProbeFrontend(const lock::FrontendPin& pin, build::NameTable& table) {
  Finding finding = Start(lock::Kind::kFrontend, pin.name.ToString(),
                          pin.digest.ToString(), pin.range);
  const build::NamedDocument now = table.Head(pin.name);
  finding.after = now.digest.ToString();
  if (now.digest != pin.digest) {
    finding.state = State::kMoved;
    finding.message = "recorded for other builders; no build of ours needs it";
  }
  return finding;
}

// Everything of one platform, from the registry, hashed by the client.
void VerifyPlatform(App& app, const lock::ImagePin& pin,
                    const std::string& platform, const lock::PlatformPin& own,
                    const oci::Document& top) {
  const oci::Repository& repository = pin.name.repository();
  const auto drift = [&](const std::string& why) {
    return registry::WrongDigestError(platform + ": " + why);
  };
  oci::Document document = top;
  // An index may hold an index, as far as a build follows them.
  for (int depth = 0; document.index && depth < 4; ++depth) {
    const oci::Descriptor& chosen = oci::ChoosePlatform(
        *document.index, oci::Platform::Parse(platform), pin.name.Familiar());
    document = app.client().FetchDocument(
        oci::Reference(repository, std::nullopt, chosen.digest), app.cancel);
  }
  if (document.digest != own.manifest) {
    throw drift(fmt::format("{} leads to the manifest {}, the lock says {}",
                            pin.digest.ToString(), document.digest.ToString(),
                            own.manifest.ToString()));
  }
  if (!document.manifest || document.manifest->config.digest != own.config) {
    throw drift("the manifest has another config than the lock says");
  }
  app.client().FetchSmallBlob(repository, document.manifest->config,
                              oci::kMaxConfigBytes, app.cancel);
  for (const oci::Descriptor& layer : document.manifest->layers) {
    if (app.client().BlobExists(repository, layer.digest, app.cancel)) continue;
    throw registry::NotFoundError(
        fmt::format("{}: layer {} is gone", platform, layer.digest.ToString()));
  }
}

Finding VerifyImage(App& app, const lock::ImagePin& pin) {
  Finding finding = Start(lock::Kind::kImage, pin.name.ToString(),
                          pin.digest.ToString(), pin.range);
  try {
    const oci::Document top = app.client().FetchDocument(
        oci::Reference(pin.name.repository(), std::nullopt, pin.digest),
        app.cancel);
    for (const auto& [platform, own] : pin.platforms) {
      VerifyPlatform(app, pin, platform, own, top);
    }
    std::vector<std::string> platforms;
    for (const auto& [platform, own] : pin.platforms) {
      platforms.push_back(platform);
    }
    finding.message = "verified for " + Join(platforms, ", ");
  } catch (const registry::NotFoundError& error) {
    finding.state = State::kGone;
    finding.message = error.message();
  } catch (const registry::WrongDigestError& error) {
    finding.state = State::kDrift;
    finding.message = error.message();
  }
  return finding;
}

}  // namespace

void Expect(const lock::Lockfile& lock, build::NameTable& table) {
  for (const lock::ImagePin& pin : lock.images) table.WantHead(pin.name);
  for (const lock::FrontendPin& pin : lock.frontends) {
    table.WantHead(pin.name);
  }
}

std::vector<Finding> ProbeNames(const lock::Lockfile& lock,
                                build::NameTable& table, int64_t now_s) {
  std::vector<Finding> out;
  for (const lock::ImagePin& pin : lock.images) {
    out.push_back(ProbeImage(pin, table, now_s));
  }
  for (const lock::UrlPin& pin : lock.urls) {
    out.push_back(ProbeUrl(pin, table, State::kMoved));
  }
  for (const lock::GitPin& pin : lock.gits) out.push_back(ProbeGit(pin, table));
  for (const lock::FrontendPin& pin : lock.frontends) {
    out.push_back(ProbeFrontend(pin, table));
  }
  return out;
}

std::vector<Finding> VerifyPins(App& app, const lock::Lockfile& lock,
                                build::NameTable& table) {
  std::vector<Finding> out;
  for (const lock::ImagePin& pin : lock.images) {
    app.cancel.Check();
    out.push_back(VerifyImage(app, pin));
  }
  // A URL has no history: other bytes mean that the locked ones are gone.
  for (const lock::UrlPin& pin : lock.urls) {
    out.push_back(ProbeUrl(pin, table, State::kGone));
  }
  for (const lock::GitPin& pin : lock.gits) out.push_back(ProbeGit(pin, table));
  return out;
}

}  // namespace imgbuild::cli
