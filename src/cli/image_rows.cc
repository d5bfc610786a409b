#include "cli/image_rows.h"

#include <algorithm>
#include <ctime>
#include <functional>

#include "imgbuild/context/ignore.h"
#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/reference.h"

#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

void AddRows(const store::NamedImage& named, std::vector<ImageRow>& rows) {
  const auto has_tag = [&](const store::NameRecord& link) {
    return std::ranges::any_of(named.names, [&](const store::NameRecord& n) {
      return n.tag && n.repository == link.repository &&
             n.target == link.target;
    });
  };
  for (const store::NameRecord& name : named.names) {
    if (!name.tag && has_tag(name)) continue;
    rows.push_back({name.repository.Familiar(), name.tag.value_or("<none>"),
                    name.target.ToString(), &named.image});
  }
  if (named.names.empty()) {
    rows.push_back(
        {"<none>", "<none>", named.image.manifest.ToString(), &named.image});
  }
}

// The moment that before=IMAGE and since=IMAGE mean.
std::optional<int64_t> MomentOf(App& app, const ListFilter& filter,
                                const std::string& key, bool latest) {
  std::optional<int64_t> moment;
  for (const std::string& word : filter.Values(key)) {
    const int64_t created = CreatedOf(RequireImage(app, word).image);
    if (!moment || (created > *moment) == latest) moment = created;
  }
  return moment;
}

}  // namespace

std::vector<ImageRow> RowsOf(const std::vector<store::NamedImage>& images) {
  // Places are sorted, which are smaller than rows.
  std::vector<const store::NamedImage*> sorted;
  sorted.reserve(images.size());
  for (const store::NamedImage& named : images) sorted.push_back(&named);
  std::ranges::stable_sort(
      sorted, std::greater(),
      [](const store::NamedImage* named) { return CreatedOf(named->image); });
  std::vector<ImageRow> rows;
  rows.reserve(images.size());
  for (const store::NamedImage* named : sorted) AddRows(*named, rows);
  return rows;
}

bool MatchesReference(const ImageRow& row, const std::string& pattern) {
  const std::string full = row.repository + ":" + row.tag;
  if (pattern == row.repository || pattern == full) return true;
  if (const auto reference = oci::Reference::TryParse(pattern)) {
    if (reference->repository().Familiar() == row.repository) {
      if (reference->digest()) {
        return reference->digest()->ToString() == row.digest;
      }
      return !reference->tag() || *reference->tag() == row.tag;
    }
  }
  return context::HasGlob(pattern) &&
         (context::GlobMatch(pattern, full) ||
          context::GlobMatch(pattern, row.repository));
}

int64_t CreatedOf(const store::ImageRecord& image) {
  return image.created_s.value_or(image.stored_s);
}

const std::vector<std::string>& ImageFilterKeys() {
  static const std::vector<std::string> keys = {
      "before", "dangling", "label", "reference", "since", "until"};
  return keys;
}

std::vector<ImageRow> FilterRows(App& app, std::vector<ImageRow> rows,
                                 const ListFilter& filter,
                                 const std::string& pattern, int64_t now_s) {
  const std::optional<bool> dangling = filter.Bool("dangling");
  const auto before = MomentOf(app, filter, "before", false);
  const auto since = MomentOf(app, filter, "since", true);
  const auto until = filter.Until(now_s);
  std::map<std::string, bool> labelled;  // by image id
  const auto has_labels = [&](const store::ImageRecord& image) {
    const auto [it, first] = labelled.try_emplace(image.id.hex(), false);
    if (first) it->second = filter.MatchesLabels(LabelsOf(app, image));
    return it->second;
  };
  const auto matches = [&](const ImageRow& row) {
    const int64_t created = CreatedOf(*row.image);
    const std::vector<std::string>& names = filter.Values("reference");
    return (pattern.empty() || MatchesReference(row, pattern)) &&
           (!dangling || *dangling == row.dangling()) &&
           (!before || created < *before) && (!since || created > *since) &&
           (!until || created < *until) &&
           (names.empty() || std::ranges::any_of(names,
                                                 [&](const std::string& n) {
                                                   return MatchesReference(row,
                                                                           n);
                                                 })) &&
           (!filter.AsksForLabels() || has_labels(*row.image));
  };
  std::erase_if(rows, [&](const ImageRow& row) { return !matches(row); });
  return rows;
}

std::map<std::string, std::string> LabelsOf(App& app,
                                            const store::ImageRecord& image) {
  const auto bytes =
      app.store().content().Read(image.id.digest(), oci::kMaxConfigBytes);
  if (!bytes) return {};
  return oci::ParseImageConfig(*bytes).labels;
}

std::string LocalTime(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  ::localtime_r(&time, &parts);
  char text[64];
  const size_t size =
      std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z", &parts);
  return {text, size};
}

}  // namespace imgbuild::cli
