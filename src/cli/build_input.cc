#include "cli/build_input.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cstring>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

constexpr size_t kMaxDockerfileBytes = 256u << 20;

// Gives back what was looked at, then the rest.
class PrefixedReader : public Reader {
 public:
  PrefixedReader(std::string prefix, Reader& rest)
      : prefix_(std::move(prefix)), rest_(rest) {}
  size_t Read(std::span<std::byte> buffer) override {
    if (offset_ == prefix_.size()) return rest_.Read(buffer);
    const size_t n = std::min(buffer.size(), prefix_.size() - offset_);
    std::memcpy(buffer.data(), prefix_.data() + offset_, n);
    offset_ += n;
    return n;
  }

 private:
  std::string prefix_;
  size_t offset_ = 0;
  Reader& rest_;
};

std::string Fill(Reader& reader, size_t size) {
  std::string out(size, '\0');
  size_t have = 0;
  while (have < size) {
    const size_t n = reader.Read(
        std::as_writable_bytes(std::span(out.data() + have, size - have)));
    if (n == 0) break;
    have += n;
  }
  out.resize(have);
  return out;
}

// `imgbuild -`: a tar of any compression is the context, anything else is the
// Dockerfile of a build without one.
void ReadStdin(App& app, BuildInput& input) {
  FdReader in(0, "standard input");
  const std::string head = Fill(in, 512);
  const layer::ArchiveFormat format = layer::SniffCompression(head);
  if (format == layer::ArchiveFormat::kPlain && !layer::LooksLikeTar(head)) {
    PrefixedReader all(head, in);
    input.dockerfile = std::make_shared<SourceFile>(
        "<stdin>", ReadAll(all, kMaxDockerfileBytes, "the Dockerfile"));
    return;
  }
  PrefixedReader all(head, in);
  const auto tar = layer::DecompressAny(all, format);
  input.unpacked = app.store().NewTemp("context-");
  layer::ExtractOptions options;
  options.whiteouts = layer::WhiteoutForm::kVerbatim;
  layer::Extract(*tar, input.unpacked->fd(), options, app.cancel);
  input.context_fd = fs::OpenDir(input.unpacked->fd(), ".");
}

void ReadDockerfileAt(const std::string& file, BuildInput& input) {
  const UniqueFd fd = fs::OpenIfExists(AT_FDCWD, file, O_RDONLY);
  if (!fd) {
    throw Error(ErrorCode::kUsage,
                fmt::format("there is no Dockerfile at {}", Quoted(file)))
        .WithHint("-f FILE names another one");
  }
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode) &&
      !S_ISFIFO(fs::Fstat(fd.get()).st_mode)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} is not a file", Quoted(file)))
        .WithHint("-f FILE names the Dockerfile, PATH the context");
  }
  input.dockerfile = std::make_shared<SourceFile>(
      file, fs::ReadFd(fd.get(), kMaxDockerfileBytes, file));
  input.dockerfile_path = file;
}

// The Dockerfile of the context's own: read inside it, links and all.
void ReadDefaultDockerfile(BuildInput& input) {
  for (const char* name : {"Dockerfile", "dockerfile"}) {
    const UniqueFd fd =
        fs::TryOpenInRoot(input.context_fd.get(), name, O_RDONLY | O_NONBLOCK);
    if (!fd || !S_ISREG(fs::Fstat(fd.get()).st_mode)) continue;
    std::string shown = name;
    if (input.context_name != "." && input.context_name != "-") {
      shown = input.context_name +
              (input.context_name.ends_with('/') ? "" : "/") + name;
    }
    input.dockerfile = std::make_shared<SourceFile>(
        shown, fs::ReadFd(fd.get(), kMaxDockerfileBytes, shown));
    input.dockerfile_path = shown;
    return;
  }
  throw Error(ErrorCode::kUsage, fmt::format("there is no Dockerfile in {}",
                                             Quoted(input.context_name)))
      .WithHint("-f FILE names another one");
}

}  // namespace

BuildInput ReadInput(App& app, const BuildFlags& flags) {
  BuildInput input;
  input.context_name = flags.context;
  if (flags.context == "-") {
    if (flags.file == "-") {
      throw Error(ErrorCode::kUsage,
                  "the Dockerfile and the context cannot both come from "
                  "standard input");
    }
    ReadStdin(app, input);
    if (input.dockerfile && !flags.file.empty()) {
      throw Error(ErrorCode::kUsage,
                  "standard input is no tar archive, so it is the Dockerfile; "
                  "-f names another one");
    }
  } else if (flags.context.find("://") != std::string::npos ||
             flags.context.starts_with("git@")) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("the context {} is not a directory", Quoted(flags.context)))
        .WithHint(
            "remote contexts are not supported: clone or download it "
            "first");
  } else {
    input.context_fd =
        fs::OpenIfExists(AT_FDCWD, flags.context, O_RDONLY | O_DIRECTORY);
    if (!input.context_fd) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("the context {} is not a directory",
                              Quoted(flags.context)));
    }
  }
  if (input.dockerfile) return input;
  if (flags.file == "-") {
    FdReader in(0, "standard input");
    input.dockerfile = std::make_shared<SourceFile>(
        "<stdin>", ReadAll(in, kMaxDockerfileBytes, "the Dockerfile"));
  } else if (flags.file.empty()) {
    ReadDefaultDockerfile(input);
  } else if (flags.context == "-") {
    const UniqueFd fd = fs::TryOpenInRoot(input.context_fd.get(), flags.file,
                                          O_RDONLY | O_NONBLOCK);
    if (!fd) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("there is no {} in the context", Quoted(flags.file)));
    }
    input.dockerfile = std::make_shared<SourceFile>(
        flags.file, fs::ReadFd(fd.get(), kMaxDockerfileBytes, flags.file));
    input.dockerfile_path = flags.file;
  } else {
    ReadDockerfileAt(flags.file, input);
  }
  return input;
}

std::map<std::string, std::shared_ptr<const context::ContextSource>>
OpenContexts(App& app, const BuildInput& input,
             const std::map<std::string, std::string>& named,
             const std::vector<std::string>& used) {
  std::map<std::string, std::shared_ptr<const context::ContextSource>> out;
  for (const std::string& name : used) {
    context::LocalContextOptions options;
    options.stat_cache = &app.store().stat_cache();
    UniqueFd dir;
    std::string shown = "the build context";
    if (name.empty()) {
      if (!input.context_fd) continue;
      dir = fs::OpenDir(input.context_fd.get(), ".");
    } else {
      const std::string& path = named.at(name);
      dir = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
      if (!dir) {
        throw Error(
            ErrorCode::kUsage,
            fmt::format("--build-context {}={}: not a directory", name, path))
            .WithHint("a named context is a directory or docker-image://REF");
      }
      shown = fmt::format("the context {}", name);
    }
    const auto ignore = context::FindIgnoreFile(
        dir.get(), name.empty() ? input.context_name : named.at(name),
        name.empty() ? input.dockerfile_path : "");
    if (ignore) options.ignore = context::PatternList::ParseIgnoreFile(ignore);
    // A tar from standard input is gone after the build: nothing to remember.
    if (name.empty() && input.unpacked) options.stat_cache = nullptr;
    out[name] = context::OpenLocalContext(dir.get(), shown, std::move(options),
                                          app.pool(), app.cancel);
  }
  return out;
}

}  // namespace imgbuild::cli
