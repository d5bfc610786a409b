// Any file tree as a source of COPY: a stage, an image, an unpacked archive.
#include <utility>

#include "imgbuild/context/context.h"
#include "imgbuild/util/error.h"

#include "context/crew.h"
#include "context/digest_files.h"
#include "context/path_order.h"

namespace imgbuild::context {
namespace {

using Item = ContextSource::Item;
using State = std::shared_ptr<const PatternList::DirState>;

constexpr size_t kDigestGrain = 16;
// Recursion goes so deep at most.
constexpr size_t kMaxDepth = 2000;

// Lists what is below a directory.
class TreeWalk {
 public:
  TreeWalk(const FileTree& tree, const PatternList* exclude, size_t skip,
           const CancelToken& cancel, const ContextSource::Visitor& visit)
      : tree_(tree),
        exclude_(exclude),
        skip_(skip),
        cancel_(cancel),
        visit_(visit) {}

  void AddBelow(const std::string& directory, const State& state,
                size_t depth) {
    CheckDepth(directory, depth);
    const std::vector<std::string> names = tree_.List(directory);
    std::vector<State> states;
    InPathOrder(
        names.size(), [&](size_t i) -> std::string_view { return names[i]; },
        [&](size_t i) {
          State below;
          if (!Add(Join(directory, names[i]), state, depth, &below)) {
            return false;
          }
          states.push_back(std::move(below));
          return true;
        },
        [&](size_t i) {
          const State below = std::move(states.back());
          states.pop_back();
          AddBelow(Join(directory, names[i]), below, depth + 1);
        });
  }

 private:
  // True for a directory whose contents are wanted.
  bool Add(std::string path, const State& state, size_t depth, State* below) {
    std::optional<FileInfo> info = tree_.Lstat(path);
    if (!info || info->type == FileType::kSocket) return false;
    const bool is_directory = info->type == FileType::kDirectory;
    if (exclude_ != nullptr) {
      auto decision = Exclude(*state, path, is_directory);
      if (decision.excluded &&
          !(decision.descend && AnyBelow(path, decision.state, depth + 1))) {
        return false;
      }
      *below = std::move(decision.state);
    }
    visit_({std::move(path), *info});
    return is_directory;
  }

  // Whether an excluded directory is needed for something inside it.
  bool AnyBelow(const std::string& directory, const State& state,
                size_t depth) {
    CheckDepth(directory, depth);
    for (const std::string& name : tree_.List(directory)) {
      const std::string path = Join(directory, name);
      const std::optional<FileInfo> info = tree_.Lstat(path);
      if (!info || info->type == FileType::kSocket) continue;
      const auto decision =
          Exclude(*state, path, info->type == FileType::kDirectory);
      if (!decision.excluded) return true;
      if (decision.descend && AnyBelow(path, decision.state, depth + 1)) {
        return true;
      }
    }
    return false;
  }

  PatternList::WalkDecision Exclude(const PatternList::DirState& state,
                                    const std::string& path,
                                    bool is_directory) const {
    return exclude_->Step(state, std::string_view(path).substr(skip_),
                          is_directory);
  }

  void CheckDepth(const std::string& directory, size_t depth) const {
    cancel_.Check();
    if (depth < kMaxDepth) return;
    throw Error(ErrorCode::kHost,
                "list \"" + directory.substr(0, 100) + "…\": more than " +
                    std::to_string(kMaxDepth) + " levels of directories");
  }

  static std::string Join(const std::string& directory,
                          const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
  }

  const FileTree& tree_;
  const PatternList* const exclude_;
  const size_t skip_;
  const CancelToken& cancel_;
  const ContextSource::Visitor& visit_;
};

class TreeContext : public ContextSource {
 public:
  TreeContext(std::shared_ptr<const FileTree> tree, const std::string& name,
              ThreadPool& pool, const CancelToken& cancel)
      : tree_(std::move(tree)), name_(name), pool_(pool), cancel_(cancel) {}

  std::string Describe() const override { return name_; }

  void Visit(const std::string& path, const PatternList* exclude,
             const Visitor& visit) const override {
    if (exclude != nullptr && exclude->empty()) exclude = nullptr;
    const std::optional<FileInfo> info = tree_->Lstat(path);
    if (!info || info->type == FileType::kSocket) return;
    visit({path, *info});
    if (info->type != FileType::kDirectory) return;
    const size_t skip = path.empty() ? 0 : path.size() + 1;
    TreeWalk(*tree_, exclude, skip, cancel_, visit)
        .AddBelow(path, exclude ? exclude->Root() : nullptr, 0);
  }

  std::vector<FileDigest> DigestFiles(
      const std::vector<const Item*>& files) const override {
    std::vector<std::optional<FileDigest>> found(files.size());
    ParallelFor(pool_, files.size(), kDigestGrain, [&] {
      const auto digester = std::make_shared<FileDigester>(cancel_);
      return [&, digester](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) {
          const Item& file = *files[i];
          const UniqueFd fd = tree_->Open(file.path);
          FileDigester::Result result =
              digester->Digest(fd.get(), file.info.size, file.path);
          found[i] = {std::move(result.digest), result.has_xattrs};
        }
      };
    });
    std::vector<FileDigest> digests;
    digests.reserve(files.size());
    for (auto& digest : found) digests.push_back(std::move(*digest));
    return digests;
  }

  // Nothing is hidden: ignore files are about build contexts.
  std::optional<PatternList::Decision> WhyHidden(
      const std::string&) const override {
    return std::nullopt;
  }

  std::optional<FileInfo> Lstat(const std::string& path) const override {
    return tree_->Lstat(path);
  }
  std::string ReadLink(const std::string& path) const override {
    return tree_->ReadLink(path);
  }
  std::vector<std::string> List(const std::string& path) const override {
    return tree_->List(path);
  }
  UniqueFd Open(const std::string& path) const override {
    return tree_->Open(path);
  }
  std::map<std::string, std::string> Xattrs(
      const std::string& path) const override {
    return tree_->Xattrs(path);
  }

 private:
  const std::shared_ptr<const FileTree> tree_;
  const std::string name_;
  ThreadPool& pool_;
  const CancelToken cancel_;
};

}  // namespace

std::unique_ptr<ContextSource> OpenTreeContext(
    std::shared_ptr<const FileTree> tree, const std::string& name,
    ThreadPool& pool, const CancelToken& cancel) {
  return std::make_unique<TreeContext>(std::move(tree), name, pool, cancel);
}

}  // namespace imgbuild::context
