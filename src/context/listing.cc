#include "imgbuild/context/listing.h"

#include <algorithm>
#include <memory>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::context {
namespace {

// Recursion goes so deep at most.
constexpr size_t kMaxDepth = 2000;

class Lister {
 public:
  Lister(const FileTree& tree, const PatternList& ignore,
         const CancelToken& cancel, ContextListing* out)
      : tree_(tree), ignore_(ignore), cancel_(cancel), out_(*out) {}

  // Whether anything below `directory` is in the context.
  bool Visit(const std::string& directory, const PatternList::DirState& state,
             size_t depth) {
    cancel_.Check();
    if (depth > kMaxDepth) {
      throw Error(ErrorCode::kHost, "read " + Quoted(directory) +
                                        ": directories are nested too deep");
    }
    bool any = false;
    for (const std::string& name : tree_.List(directory)) {
      const std::string path =
          directory.empty() ? name : directory + "/" + name;
      const auto info = tree_.Lstat(path);
      // No layer can hold a socket; BuildKit passes over them too.
      if (!info || info->type == FileType::kSocket) continue;
      any = Add({path, *info, {}}, state, depth) || any;
    }
    return any;
  }

 private:
  bool Add(ListedFile file, const PatternList::DirState& state, size_t depth) {
    const bool is_directory = file.info.type == FileType::kDirectory;
    const auto step = ignore_.Step(state, file.path, is_directory);
    file.decision.excluded = step.excluded;
    if (step.rule >= 0) {
      file.decision.rule = ignore_.RuleRange(step.rule);
      file.decision.pattern = ignore_.RuleText(step.rule);
    }
    if (is_directory && (!step.excluded || step.descend)) {
      const size_t ignored_before = out_.ignored.size();
      const bool any = Visit(file.path, *step.state, depth + 1);
      if (step.excluded && !any) {
        out_.ignored.resize(ignored_before);
        out_.ignored.push_back(std::move(file));
        return false;
      }
      // An ignored directory comes along for what is in it.
      out_.files.push_back(std::move(file));
      return true;
    }
    const bool excluded = step.excluded;
    (excluded ? out_.ignored : out_.files).push_back(std::move(file));
    return !excluded;
  }

  const FileTree& tree_;
  const PatternList& ignore_;
  const CancelToken& cancel_;
  ContextListing& out_;
};

}  // namespace

ContextListing ListContext(const FileTree& tree, const PatternList& ignore,
                           const CancelToken& cancel) {
  ContextListing listing;
  Lister(tree, ignore, cancel, &listing).Visit("", *ignore.Root(), 0);
  const auto by_path = [](const ListedFile& a, const ListedFile& b) {
    return a.path < b.path;
  };
  std::ranges::sort(listing.files, by_path);
  std::ranges::sort(listing.ignored, by_path);
  return listing;
}

}  // namespace imgbuild::context
