#include "cli/build_input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <utility>

#include "imgbuild/plan/named_context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/peek.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

constexpr size_t kMaxDockerfileBytes = 256u << 20;
constexpr size_t kHeadBytes = 512;  // enough to tell a tar by
constexpr char kStdin[] = "<stdin>";

Error Usage(std::string message) {
  return Error(ErrorCode::kUsage, std::move(message));
}

// Standard input that Ctrl-C ends: whoever feeds it may be slow.
class StdinReader : public Reader {
 public:
  explicit StdinReader(CancelToken cancel)
      : cancel_(std::move(cancel)), in_(0, "standard input") {}
  size_t Read(std::span<std::byte> buffer) override {
    pollfd fds[] = {{0, POLLIN, 0}, {cancel_.fd(), POLLIN, 0}};
    while (::poll(fds, 2, -1) < 0 && errno == EINTR) cancel_.Check();
    cancel_.Check();
    return in_.Read(buffer);
  }

 private:
  const CancelToken cancel_;
  FdReader in_;
};

// Takes a Dockerfile that comes over the network, up to its cap.
class CappedWriter : public Writer {
 public:
  void Write(Bytes bytes) override {
    if (bytes.size() > kMaxDockerfileBytes - text_.size()) {
      throw Error(ErrorCode::kRegistry,
                  fmt::format("the Dockerfile has more than {} bytes",
                              kMaxDockerfileBytes));
    }
    text_.append(AsText(bytes));
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

// One row of the progress around what `work` does.
template <typename Work>
auto WithRow(ProgressSink& progress, const std::string& name, Work work) {
  const VertexId row = progress.AddVertex(name);
  progress.Started(row);
  try {
    auto result = work();
    progress.Finished(row, VertexOutcome::kDone, "");
    return result;
  } catch (const Error& error) {
    progress.Finished(row,
                      error.code() == ErrorCode::kInterrupted
                          ? VertexOutcome::kCancelled
                          : VertexOutcome::kError,
                      error.message());
    throw;
  }
}

bool KeepGitDir(const BuildFlags& flags) {
  bool keep = false;
  for (const std::string& word : flags.build_args) {
    constexpr std::string_view kName = "BUILDKIT_CONTEXT_KEEP_GIT_DIR=";
    if (!word.starts_with(kName)) continue;
    const std::string value = word.substr(kName.size());
    keep = value == "1" || value == "true";
    if (!keep && value != "0" && value != "false" && !value.empty()) {
      throw Usage(fmt::format("{}{}: it is 1 or 0", kName, value));
    }
  }
  return keep;
}

// `imgbuild -`: a tar of any compression is the context, anything else is the
// Dockerfile of a build without one.
void ReadStdin(App& app, const BuildFlags& flags, ProgressSink& progress,
               BuildInput& input) {
  if (flags.file == "-") {
    throw Usage(
        "the Dockerfile and the context cannot both come from standard input");
  }
  StdinReader in(app.cancel);
  const std::string head = ReadUpTo(in, kHeadBytes);
  PrefixedReader all(head, in);
  if (build::LooksLikeContextArchive(head)) {
    try {
      input.fetched = WithRow(
          progress, "[internal] load build context from standard input",
          [&] { return build::UnpackContext(app.store(), all, app.cancel); });
    } catch (Error& error) {
      throw error.While("while unpacking the context from standard input");
    }
    return;
  }
  if (!flags.file.empty()) {
    throw Usage(
        "standard input is no tar archive, so it is the Dockerfile; -f names "
        "another one");
  }
  if (head.empty()) {
    throw Usage("standard input is empty: there is no Dockerfile");
  }
  input.dockerfile = std::make_shared<SourceFile>(
      kStdin, ReadAll(all, kMaxDockerfileBytes, "the Dockerfile"));
}

void ReadRemote(App& app, const BuildFlags& flags, ProgressSink& progress,
                BuildInput& input) {
  build::FetchContextOptions options;
  options.keep_git_dir = KeepGitDir(flags);
  options.file_name = "context";  // as BuildKit calls it
  input.context_name = build::ShownUrl(flags.context);
  input.fetched =
      WithRow(progress,
              "[internal] load build context from " + input.context_name, [&] {
                return build::FetchContext(app.store(), app.fetcher(),
                                           flags.context, options, app.cancel);
              });
  if (input.fetched->kind != build::FetchedContext::Kind::kFile) return;
  if (!flags.file.empty()) {
    throw Usage(fmt::format(
        "{} is no archive, so it is the Dockerfile; -f names another one",
        input.context_name));
  }
  input.dockerfile = std::make_shared<SourceFile>(
      input.context_name,
      fs::ReadFile(input.fetched->root.get(), input.fetched->file,
                   kMaxDockerfileBytes));
}

void ReadDockerfileAt(const std::string& file, BuildInput& input) {
  const UniqueFd fd = fs::OpenIfExists(AT_FDCWD, file, O_RDONLY);
  if (!fd) {
    throw Usage(fmt::format("there is no Dockerfile at {}", Quoted(file)))
        .WithHint("-f FILE names another one");
  }
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode) &&
      !S_ISFIFO(fs::Fstat(fd.get()).st_mode)) {
    throw Usage(fmt::format("{} is not a file", Quoted(file)))
        .WithHint("-f FILE names the Dockerfile, PATH the context");
  }
  input.dockerfile = std::make_shared<SourceFile>(
      file, fs::ReadFd(fd.get(), kMaxDockerfileBytes, file));
  input.dockerfile_path = file;
}

void ReadDockerfileFrom(App& app, const std::string& url,
                        ProgressSink& progress, BuildInput& input) {
  const std::string shown = build::ShownUrl(url);
  const std::string text =
      WithRow(progress, "[internal] load build definition from " + shown, [&] {
        CappedWriter out;
        app.fetcher().FetchUrl(url, {}, out, app.cancel);
        return out.Take();
      });
  input.dockerfile = std::make_shared<SourceFile>(shown, text);
}

// A Dockerfile inside the context: read in there, links and all.
bool ReadDockerfileInside(const std::string& name, BuildInput& input) {
  const int root =
      input.fetched ? input.fetched->root.get() : input.context_fd.get();
  const UniqueFd fd = fs::TryOpenInRoot(root, name, O_RDONLY | O_NONBLOCK);
  if (!fd || !S_ISREG(fs::Fstat(fd.get()).st_mode)) return false;
  std::string shown = name;
  if (!input.fetched && input.context_name != ".") {
    shown = input.context_name +
            (input.context_name.ends_with('/') ? "" : "/") + name;
  }
  input.dockerfile = std::make_shared<SourceFile>(
      shown, fs::ReadFd(fd.get(), kMaxDockerfileBytes, shown));
  (input.fetched ? input.dockerfile_inside : input.dockerfile_path) = shown;
  return true;
}

void ReadDockerfile(App& app, const BuildFlags& flags, ProgressSink& progress,
                    BuildInput& input) {
  const std::string& file = flags.file;
  if (file == "-") {
    StdinReader in(app.cancel);
    input.dockerfile = std::make_shared<SourceFile>(
        kStdin, ReadAll(in, kMaxDockerfileBytes, "the Dockerfile"));
  } else if (file.empty()) {
    if (ReadDockerfileInside("Dockerfile", input) ||
        ReadDockerfileInside("dockerfile", input)) {
      return;
    }
    throw Usage(fmt::format("there is no Dockerfile in {}",
                            flags.context == "-" ? "the tar on standard input"
                                                 : Quoted(input.context_name)))
        .WithHint("-f FILE names another one");
  } else if (plan::IsHttpUrl(file)) {
    ReadDockerfileFrom(app, file, progress, input);
  } else if (input.fetched && !file.starts_with('/')) {
    if (ReadDockerfileInside(file, input)) return;
    throw Usage(fmt::format("there is no {} in the context {}", Quoted(file),
                            Quoted(input.context_name)))
        .WithHint(
            "with this context -f names a file in it, unless it is absolute");
  } else {
    ReadDockerfileAt(file, input);
  }
}

std::string PlaceOf(const BuildInput& input) {
  if (input.fetched) return input.context_name;
  return fs::CleanPath(
      fs::PathOfFd(input.context_fd ? input.context_fd.get() : AT_FDCWD));
}

}  // namespace

BuildInput ReadInput(App& app, const BuildFlags& flags,
                     ProgressSink& progress) {
  BuildInput input;
  input.context_name = flags.context;
  input.slow_path = flags.slow_path;
  if (flags.context == "-") {
    ReadStdin(app, flags, progress, input);
  } else {
    // A directory that exists is one, whatever its name looks like.
    input.context_fd =
        fs::OpenIfExists(AT_FDCWD, flags.context, O_RDONLY | O_DIRECTORY);
    if (!input.context_fd) {
      if (!build::IsRemoteContext(flags.context)) {
        throw Usage(fmt::format("the context {} is not a directory",
                                Quoted(flags.context)));
      }
      ReadRemote(app, flags, progress, input);
    }
  }
  if (!input.dockerfile) ReadDockerfile(app, flags, progress, input);
  input.slot_prefix = PlaceOf(input) + ":" + input.dockerfile->name();
  return input;
}

OpenedContexts::OpenedContexts(App& app, const BuildInput& input,
                               const std::map<std::string, std::string>& named,
                               const std::vector<std::string>& used,
                               ProgressSink& progress) {
  for (const std::string& name : used) {
    if (name.empty()) {
      OpenMain(app, input);
    } else {
      OpenNamed(app, name, named.at(name), progress);
    }
  }
}

void OpenedContexts::OpenMain(App& app, const BuildInput& input) {
  const std::string shown = "the build context";
  if (input.fetched) {
    map_[""] = build::OpenFetchedContext(*input.fetched, shown, app.pool(),
                                         app.cancel);
    return;
  }
  if (!input.context_fd) {
    map_[""] = context::OpenTreeContext(
        std::make_shared<EmptyTree>(),
        shown + ", which is empty: the Dockerfile came alone", app.pool(),
        app.cancel);
    return;
  }
  context::LocalContextOptions options;
  if (!input.slow_path) options.stat_cache = &app.store().stat_cache();
  const auto ignore = context::FindIgnoreFile(
      input.context_fd.get(), input.context_name, input.dockerfile_path);
  if (ignore) options.ignore = context::PatternList::ParseIgnoreFile(ignore);
  map_[""] =
      context::OpenLocalContext(input.context_fd.get(), shown,
                                std::move(options), app.pool(), app.cancel);
}

void OpenedContexts::OpenNamed(App& app, const std::string& name,
                               const std::string& value,
                               ProgressSink& progress) {
  const std::string shown = fmt::format("the context {}", name);
  const UniqueFd dir =
      fs::OpenIfExists(AT_FDCWD, value, O_RDONLY | O_DIRECTORY);
  if (!dir && build::IsRemoteContext(value)) {
    fetched_.push_back(WithRow(
        progress,
        fmt::format("[context {}] load from {}", name, build::ShownUrl(value)),
        [&] {
          return build::FetchContext(app.store(), app.fetcher(), value, {},
                                     app.cancel);
        }));
    map_[name] = build::OpenFetchedContext(fetched_.back(), shown, app.pool(),
                                           app.cancel);
    return;
  }
  if (!dir) {
    throw Usage(
        fmt::format("--build-context {}={}: not a directory", name, value))
        .WithHint(
            "a named context is a directory, docker-image://REF, "
            "oci-layout://PATH[:TAG|@DIGEST], an http(s) or git URL, or "
            "target:STAGE");
  }
  context::LocalContextOptions options;
  options.stat_cache = &app.store().stat_cache();
  const auto ignore = context::FindIgnoreFile(dir.get(), value, "");
  if (ignore) options.ignore = context::PatternList::ParseIgnoreFile(ignore);
  map_[name] = context::OpenLocalContext(dir.get(), shown, std::move(options),
                                         app.pool(), app.cancel);
}

}  // namespace imgbuild::cli
