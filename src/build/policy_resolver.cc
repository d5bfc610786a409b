#include "imgbuild/build/policy_resolver.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <variant>

#include "imgbuild/lock/interchange.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::build {
namespace {

void CheckLocal(const lock::SourcePolicy& policy, const std::string& name) {
  const std::string identifier = "local://" + name;
  if (policy.Evaluate({identifier, {}}).identifier == identifier) return;
  throw Error(ErrorCode::kPolicy,
              fmt::format("the source policy converts {}, which is a directory "
                          "of this build",
                          identifier));
}

using Remote = plan::CopyOp::Remote;

Error Cannot(const lock::PolicySource& asked, const lock::PolicySource& made,
             std::string_view why) {
  return Error(ErrorCode::kPolicy,
               fmt::format("the source policy makes {} of {}, {}",
                           made.identifier, asked.identifier, why));
}

std::string_view LastPart(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  return url.substr(url.rfind('/') + 1);
}

void ApplyToUrl(const lock::SourcePolicy& policy, plan::CopyOp& op,
                Remote& remote) {
  constexpr char kChecksum[] = "http.checksum";
  lock::PolicySource asked{remote.url, {}};
  if (!op.checksum.empty()) asked.attrs[kChecksum] = op.checksum;
  const lock::PolicySource made = policy.Evaluate(asked);
  if (made.identifier != asked.identifier) {
    if (!made.identifier.starts_with("http://") &&
        !made.identifier.starts_with("https://")) {
      throw Cannot(asked, made, "which is no URL");
    }
    if (LastPart(made.identifier) != LastPart(remote.url)) {
      throw Cannot(asked, made, "and the file would have another name");
    }
    remote.url = made.identifier;
  }
  for (const auto& [key, value] : made.attrs) {
    if (key != kChecksum) {
      throw Error(ErrorCode::kPolicy,
                  fmt::format("the source policy gives {} the attribute {}, "
                              "which is not supported",
                              asked.identifier, key));
    }
    if (value == op.checksum) continue;
    if (op.remotes.size() > 1) {
      throw Error(ErrorCode::kPolicy,
                  fmt::format("the source policy gives {} a checksum, and the "
                              "ADD has several sources",
                              asked.identifier))
          .WithHint("write an ADD for each");
    }
    try {
      op.checksum = oci::Digest::Parse(value).ToString();
    } catch (const Error& error) {
      throw Error(ErrorCode::kPolicy,
                  fmt::format("the source policy's checksum of {}: {}",
                              asked.identifier, error.message()));
    }
  }
}

// With the part of the repository as its fragment.
std::string IdentifierOf(const plan::GitSource& git) {
  std::string fragment = git.ref;
  if (!git.subdir.empty()) fragment += ":" + git.subdir;
  const std::string repository = lock::GitIdentifier(git.remote);
  return fragment.empty() ? repository : repository + "#" + fragment;
}

void ApplyToGit(const lock::SourcePolicy& policy, Remote& remote) {
  plan::GitSource& git = *remote.git;
  const std::string repository = lock::GitIdentifier(git.remote);
  const lock::PolicySource asked{IdentifierOf(git), {}};
  const lock::PolicySource made = policy.Evaluate(asked);
  if (made == asked) return;
  const size_t hash =
      std::min(made.identifier.find('#'), made.identifier.size());
  if (!made.attrs.empty() || made.identifier.substr(0, hash) != repository) {
    throw Cannot(asked, made, "which is another repository");
  }
  const std::string fragment =
      made.identifier.substr(std::min(hash + 1, made.identifier.size()));
  const size_t colon = std::min(fragment.find(':'), fragment.size());
  git.ref = fragment.substr(0, colon);
  git.subdir =
      fs::CleanRelative(fragment.substr(std::min(colon + 1, fragment.size())));
}

}  // namespace

oci::Reference PolicyResolver::Convert(const oci::Reference& reference) const {
  const lock::PolicySource asked{lock::PolicyIdentifier(reference), {}};
  const lock::PolicySource made = policy_.Evaluate(asked);
  if (made.identifier == asked.identifier) return reference;
  if (const auto image = lock::ImageOfIdentifier(made.identifier)) {
    return image->WithDefaultTag();
  }
  throw Error(ErrorCode::kPolicy,
              fmt::format("the source policy makes {} of {}, which is no image",
                          made.identifier, asked.identifier));
}

plan::ResolvedImage PolicyResolver::Resolve(const oci::Reference& reference,
                                            const oci::Platform& platform) {
  return next_.Resolve(Convert(reference), platform);
}

void PolicyResolver::Prefetch(const oci::Reference& reference,
                              const oci::Platform& platform) {
  try {
    next_.Prefetch(Convert(reference), platform);
  } catch (const Error&) {
    // Resolve() says it at its place.
  }
}

plan::ResolvedImage PolicyResolver::ResolveLayout(
    const std::string& layout, const oci::Platform& platform) {
  const lock::PolicySource asked{"oci-layout://" + layout, {}};
  const lock::PolicySource made = policy_.Evaluate(asked);
  if (made != asked) throw Cannot(asked, made, "which is another image");
  return next_.ResolveLayout(layout, platform);
}

void CheckRemoteContext(const lock::SourcePolicy& policy,
                        const std::string& url) {
  lock::PolicySource asked{url, {}};
  if (plan::IsGitUrl(url)) {
    asked.identifier = IdentifierOf(plan::ParseGitSource(url));
  }
  const lock::PolicySource made = policy.Evaluate(asked);
  if (made != asked) throw Cannot(asked, made, "which is another context");
}

void ApplyToRemotes(const lock::SourcePolicy& policy, plan::BuildGraph& graph) {
  for (plan::Vertex& vertex : graph.vertices) {
    auto* const copy = std::get_if<plan::CopyOp>(&vertex.op);
    if (copy == nullptr) continue;
    for (Remote& remote : copy->remotes) {
      try {
        if (remote.git) {
          ApplyToGit(policy, remote);
        } else {
          ApplyToUrl(policy, *copy, remote);
        }
      } catch (Error& error) {
        throw error.At(remote.range);
      }
    }
  }
}

void CheckLocalSources(const lock::SourcePolicy& policy,
                       const std::vector<std::string>& contexts) {
  CheckLocal(policy, "dockerfile");
  for (const std::string& name : contexts) {
    CheckLocal(policy, name.empty() ? "context" : name);
  }
}

}  // namespace imgbuild::build
