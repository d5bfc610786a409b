#include "build/selection.h"

#include <fmt/format.h>

#include "imgbuild/context/ignore.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

using context::ContextSource;

// `COPY nope /x`: says where it was looked for and why it may be missing.
Error Missing(const ContextSource& source, const std::string& path,
              const std::string& keyword, const SourceRange& range) {
  Error error(ErrorCode::kStep, fmt::format("{}: {} is not in {}", keyword,
                                            Quoted(path.empty() ? "." : path),
                                            source.Describe()));
  error.At(range);
  if (const auto hidden = source.WhyHidden(path)) {
    const SourceRange& rule = hidden->rule;
    error.WithHint(fmt::format("{} line {} ({}) excludes it",
                               rule ? rule.file()->name() : ".dockerignore",
                               rule ? rule.begin().line : 0,
                               Quoted(hidden->pattern)));
    return error;
  }
  const std::string dir = fs::ParentPath(path);
  const std::string parent = ResolveInTree(source, dir, true);
  const auto info = source.Lstat(parent);
  if (info && info->type == FileType::kDirectory) {
    const std::vector<std::string> names = source.List(parent);
    if (const auto near = Suggest(fs::BaseName(path), names)) {
      error.WithHint(fmt::format("did you mean {}?",
                                 dir.empty() ? *near : dir + "/" + *near));
    }
  }
  return error;
}

void AddMatch(const ContextSource& source, const std::string& name,
              const std::string& keyword, const SourceRange& range,
              const context::PatternList* exclude, bool if_exists,
              Selection& out) {
  Selected selected;
  selected.name = name;
  selected.path = ResolveInTree(source, name, true);
  selected.items = source.Walk(selected.path, exclude);
  if (selected.items.empty()) {
    if (if_exists || source.Lstat(selected.path)) return;  // or all excluded
    throw Missing(source, name, keyword, range);
  }
  selected.directory = selected.items.front().info.type == FileType::kDirectory;
  out.matches.push_back(std::move(selected));
}

void Field(oci::Hasher& hasher, std::string_view text) {
  const uint64_t size = text.size();
  hasher.Update({reinterpret_cast<const char*>(&size), sizeof(size)});
  hasher.Update(text);
}

}  // namespace

Selection Select(const ContextSource& source, const plan::CopyOp& op) {
  const char* keyword = op.is_add ? "ADD" : "COPY";
  std::optional<context::PatternList> exclude;
  if (!op.excludes.empty()) {
    exclude = context::PatternList::FromPatterns(op.excludes);
  }
  Selection out;
  for (const plan::CopyOp::Pattern& pattern : op.patterns) {
    for (const std::string& name : context::ExpandGlob(source, pattern.text)) {
      AddMatch(source, name, keyword, pattern.range,
               exclude ? &*exclude : nullptr, op.if_exists, out);
    }
  }
  return out;
}

Selection SelectPath(const ContextSource& source, const std::string& path,
                     const SourceRange& range) {
  Selection out;
  AddMatch(source, fs::CleanRelative(path), "RUN --mount", range, nullptr,
           false, out);
  return out;
}

std::string DigestSelection(const ContextSource& source, Selection& selection) {
  std::vector<const ContextSource::Item*> files;
  for (const Selected& match : selection.matches) {
    for (const ContextSource::Item& item : match.items) {
      if (item.info.type == FileType::kRegular) files.push_back(&item);
    }
  }
  const std::vector<ContextSource::FileDigest> digests =
      source.DigestFiles(files);
  oci::Hasher hasher;
  size_t next = 0;
  for (Selected& match : selection.matches) {
    Field(hasher, match.name);
    match.has_xattrs.assign(match.items.size(), true);
    for (size_t i = 0; i < match.items.size(); ++i) {
      const ContextSource::Item& item = match.items[i];
      const FileInfo& info = item.info;
      // Relative to the match: where the tree lies in the source is no part
      // of what is copied.
      Field(hasher, std::string_view(item.path).substr(match.path.size()));
      const uint32_t numbers[] = {
          static_cast<uint32_t>(info.type),
          info.type == FileType::kSymlink ? 0 : info.mode,
          info.uid,
          info.gid,
          info.rdev_major,
          info.rdev_minor};
      hasher.Update({reinterpret_cast<const char*>(numbers), sizeof(numbers)});
      if (info.type == FileType::kRegular) {
        const ContextSource::FileDigest& digest = digests[next++];
        Field(hasher, digest.digest.hex());
        match.has_xattrs[i] = digest.has_xattrs;
        if (!digest.has_xattrs) continue;
      } else if (info.type == FileType::kSymlink) {
        Field(hasher, source.ReadLink(item.path));
        continue;
      }
      for (const auto& [key, value] : source.Xattrs(item.path)) {
        Field(hasher, key);
        Field(hasher, value);
      }
    }
  }
  return hasher.Finish().ToString();
}

}  // namespace imgbuild::build
