#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "imgbuild/transfer/copy.h"
#include "imgbuild/util/error.h"

namespace imgbuild::transfer {
namespace {

constexpr int kMaxDepth = 4;

bool IsDockers(std::string_view media_type) {
  return media_type == oci::media_type::kDockerManifest;
}

bool IsAttestation(const oci::Descriptor& entry) {
  return entry.annotations.contains("vnd.docker.reference.type") ||
         (entry.platform && entry.platform->os == "unknown");
}

class IndexMaker {
 public:
  void Add(const IndexPart& part) {
    if (part.document.index) return AddIndex(part, part.document, 0);
    oci::Descriptor entry{part.document.media_type,
                          part.document.digest,
                          part.document.bytes.size(),
                          PlatformOf(*part.source, *part.document.manifest),
                          {},
                          {},
                          part.document.manifest->artifact_type};
    AddEntry(part, std::move(entry));
  }

  oci::Document Finish(const std::map<std::string, std::string>& annotations) {
    const bool docker =
        annotations.empty() &&
        std::ranges::all_of(entries_, [](const oci::Descriptor& entry) {
          return IsDockers(entry.media_type) && entry.annotations.empty();
        });
    const oci::Index index{std::string(docker ? oci::media_type::kDockerList
                                              : oci::media_type::kOciIndex),
                           entries_, annotations};
    return oci::ParseDocument(oci::Serialize(index), index.media_type);
  }

 private:
  void AddIndex(const IndexPart& part, const oci::Document& index, int depth) {
    if (depth > kMaxDepth) {
      throw Error(
          ErrorCode::kRegistry,
          fmt::format("{}: indexes are nested too deep", part.source->name()));
    }
    for (const oci::Descriptor& child : index.index->manifests) {
      if (oci::IsIndexType(child.media_type)) {
        AddIndex(part, part.source->Load(child.digest), depth + 1);
        continue;
      }
      oci::Descriptor entry = child;
      if (!entry.platform && oci::IsManifestType(entry.media_type) &&
          entry.artifact_type.empty()) {
        const oci::Document image = part.source->Load(entry.digest);
        entry.platform = PlatformOf(*part.source, *image.manifest);
      }
      AddEntry(part, std::move(entry));
    }
  }

  void AddEntry(const IndexPart& part, oci::Descriptor entry) {
    if (!seen_.insert(entry.digest).second) return;
    if (entry.platform && !IsAttestation(entry)) {
      const auto [it, is_new] =
          from_.emplace(entry.platform->Normalized(), part.source->name());
      if (!is_new) {
        throw Error(ErrorCode::kUsage,
                    fmt::format("two images for {}: one of {}, one of {}",
                                entry.platform->ToString(), it->second,
                                part.source->name()))
            .WithHint(
                "an index has one image a platform; name images by "
                "digest to choose among them");
      }
    }
    entries_.push_back(std::move(entry));
  }

  std::vector<oci::Descriptor> entries_;
  std::set<oci::Digest> seen_;
  std::map<oci::Platform, std::string> from_;
};

}  // namespace

oci::Document MakeIndex(const std::vector<IndexPart>& parts,
                        const std::map<std::string, std::string>& annotations) {
  IndexMaker maker;
  for (const IndexPart& part : parts) maker.Add(part);
  return maker.Finish(annotations);
}

}  // namespace imgbuild::transfer
