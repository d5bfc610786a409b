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
              bool if_exists, Selection& out) {
  Selected selected;
  selected.name = name;
  selected.path = ResolveInTree(source, name, true);
  const auto info = source.Lstat(selected.path);
  if (!info) {
    if (if_exists) return;
    throw Missing(source, name, keyword, range);
  }
  if (info->type == FileType::kSocket) return;
  selected.info = *info;
  out.matches.push_back(std::move(selected));
}

void Field(oci::Hasher& hasher, std::string_view text) {
  const uint64_t size = text.size();
  hasher.Update({reinterpret_cast<const char*>(&size), sizeof(size)});
  hasher.Update(text);
}

// Digests what is selected, in the order of the visits. Items wait until there
// are enough to read their contents on all threads.
class SelectionDigester {
 public:
  SelectionDigester(const ContextSource& source, Selection& selection)
      : source_(source), selection_(selection) {}

  oci::Digest Run() {
    for (Selected& match : selection_.matches) {
      match.has_xattrs.clear();
      selection_.Visit(source_, match,
                       [&](const ContextSource::Item& item, bool) {
                         waiting_.push_back({&match, item});
                         if (waiting_.size() == kWindow) HashWaiting();
                       });
    }
    HashWaiting();
    return hasher_.Finish();
  }

 private:
  static constexpr size_t kWindow = 2048;

  struct Waiting {
    Selected* match;
    ContextSource::Item item;
  };

  void HashWaiting() {
    std::vector<const ContextSource::Item*> files;
    for (const Waiting& waiting : waiting_) {
      if (waiting.item.info.type == FileType::kRegular) {
        files.push_back(&waiting.item);
      }
    }
    const std::vector<ContextSource::FileDigest> digests =
        source_.DigestFiles(files);
    size_t next = 0;
    for (const Waiting& waiting : waiting_) {
      const bool regular = waiting.item.info.type == FileType::kRegular;
      Hash(*waiting.match, waiting.item, regular ? &digests[next++] : nullptr);
    }
    waiting_.clear();
  }

  void Hash(Selected& match, const ContextSource::Item& item,
            const ContextSource::FileDigest* digest) {
    if (match.has_xattrs.empty()) Field(hasher_, match.name);
    match.has_xattrs.push_back(digest == nullptr || digest->has_xattrs);
    const FileInfo& info = item.info;
    // Relative to the match: where the tree lies in the source is no part of
    // what is copied.
    Field(hasher_, std::string_view(item.path).substr(match.path.size()));
    const uint32_t numbers[] = {static_cast<uint32_t>(info.type),
                                info.type == FileType::kSymlink ? 0 : info.mode,
                                info.uid,
                                info.gid,
                                info.rdev_major,
                                info.rdev_minor};
    hasher_.Update({reinterpret_cast<const char*>(numbers), sizeof(numbers)});
    if (digest != nullptr) {
      Field(hasher_, digest->digest.hex());
      if (!digest->has_xattrs) return;
    } else if (info.type == FileType::kSymlink) {
      Field(hasher_, source_.ReadLink(item.path));
      return;
    }
    for (const auto& [key, value] : source_.Xattrs(item.path)) {
      Field(hasher_, key);
      Field(hasher_, value);
    }
  }

  const ContextSource& source_;
  Selection& selection_;
  oci::Hasher hasher_;
  std::vector<Waiting> waiting_;
};

}  // namespace

void Selection::Visit(const ContextSource& source, const Selected& match,
                      const Visitor& visit) const {
  size_t next = 0;
  source.Visit(match.path, exclude ? &*exclude : nullptr,
               [&](const ContextSource::Item& item) {
                 const bool may_have_xattrs =
                     next >= match.has_xattrs.size() || match.has_xattrs[next];
                 ++next;
                 visit(item, may_have_xattrs);
               });
}

Selection Select(const ContextSource& source, const plan::CopyOp& op) {
  const char* keyword = op.is_add ? "ADD" : "COPY";
  Selection out;
  if (!op.excludes.empty()) {
    out.exclude = context::PatternList::FromPatterns(op.excludes);
  }
  for (size_t i = 0; i < op.patterns.size(); ++i) {
    const plan::CopyOp::Pattern& pattern = op.patterns[i];
    const size_t first = out.matches.size();
    for (const std::string& name : context::ExpandGlob(source, pattern.text)) {
      AddMatch(source, name, keyword, pattern.range, op.if_exists, out);
    }
    for (size_t k = first; k < out.matches.size(); ++k) {
      out.matches[k].pattern = i;
    }
  }
  return out;
}

Selection SelectPath(const ContextSource& source, const std::string& path,
                     const SourceRange& range) {
  Selection out;
  AddMatch(source, fs::CleanRelative(path), "RUN --mount", range, false, out);
  return out;
}

std::string DigestSelection(const ContextSource& source, Selection& selection) {
  return SelectionDigester(source, selection).Run().ToString();
}

}  // namespace imgbuild::build
