#include "cli/image_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

// Larger databases than any distribution has.
constexpr size_t kMaxDatabase = 64u << 20;

std::optional<std::string> Database(const FileTree& tree,
                                    const std::string& path) {
  try {
    return ReadFromTree(tree, path, kMaxDatabase);
  } catch (const Error&) {
    return std::nullopt;  // a directory, or too large
  }
}

bool SameContent(const FileTree& a, const FileTree& b,
                 const std::string& path) {
  const UniqueFd fd_a = a.Open(path);
  const UniqueFd fd_b = b.Open(path);
  FdReader reader_a(fd_a.get(), path);
  FdReader reader_b(fd_b.get(), path);
  std::vector<std::byte> block_a(64u << 10);
  std::vector<std::byte> block_b(64u << 10);
  const auto fill = [](Reader& reader, std::vector<std::byte>& block) {
    size_t have = 0;
    while (have < block.size()) {
      const size_t n = reader.Read(std::span(block).subspan(have));
      if (n == 0) break;
      have += n;
    }
    return have;
  };
  while (true) {
    const size_t n = fill(reader_a, block_a);
    if (n != fill(reader_b, block_b)) return false;
    if (n == 0) return true;
    if (!std::equal(block_a.begin(),
                    block_a.begin() + static_cast<std::ptrdiff_t>(n),
                    block_b.begin())) {
      return false;
    }
  }
}

class FileDiff {
 public:
  FileDiff(const FileTree& from, const FileTree& to, const CancelToken& cancel)
      : from_(from), to_(to), cancel_(cancel) {}

  std::vector<std::string> Run() {
    Directory("");
    return std::move(lines_);
  }

 private:
  void Directory(const std::string& path) {
    cancel_.Check();
    const std::vector<std::string> before = from_.List(path);
    const std::vector<std::string> after = to_.List(path);
    std::vector<std::string> names;
    std::ranges::set_union(before, after, std::back_inserter(names));
    for (const std::string& name : names) {
      Entry(path.empty() ? name : path + "/" + name);
    }
  }

  void Entry(const std::string& path) {
    const auto before = from_.Lstat(path);
    const auto after = to_.Lstat(path);
    if (!before || !after) {
      lines_.push_back((before ? "D /" : "A /") + path);
      return;
    }
    if (!Same(path, *before, *after)) lines_.push_back("C /" + path);
    if (before->type == FileType::kDirectory &&
        after->type == FileType::kDirectory) {
      Directory(path);
    }
  }

  bool Same(const std::string& path, const FileInfo& a, const FileInfo& b) {
    if (a.type != b.type || a.mode != b.mode || a.uid != b.uid ||
        a.gid != b.gid) {
      return false;
    }
    // The same file of the same layer.
    if (a.device == b.device && a.inode == b.inode) return true;
    if (a.type == FileType::kSymlink) {
      return from_.ReadLink(path) == to_.ReadLink(path);
    }
    if (a.type == FileType::kCharDevice || a.type == FileType::kBlockDevice) {
      return a.rdev_major == b.rdev_major && a.rdev_minor == b.rdev_minor;
    }
    if (a.type != FileType::kRegular) return true;
    return a.size == b.size && from_.Xattrs(path) == to_.Xattrs(path) &&
           SameContent(from_, to_, path);
  }

  const FileTree& from_;
  const FileTree& to_;
  const CancelToken& cancel_;
  std::vector<std::string> lines_;
};

// What a name or a version of a package is made of. Anything else (escape
// sequences for a terminal) comes from no package manager.
bool IsWord(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c > ' ' && c != '\x7f';
  });
}

}  // namespace

std::vector<std::string> DiffMaps(
    const std::map<std::string, std::string>& from,
    const std::map<std::string, std::string>& to) {
  std::map<std::string, std::string> lines;
  for (const auto& [name, value] : from) {
    const auto now = to.find(name);
    if (now == to.end()) {
      lines[name] = fmt::format("- {} {}", name, value);
    } else if (now->second != value) {
      lines[name] = fmt::format("~ {} {} -> {}", name, value, now->second);
    }
  }
  for (const auto& [name, value] : to) {
    if (!from.contains(name)) lines[name] = fmt::format("+ {} {}", name, value);
  }
  std::vector<std::string> out;
  for (auto& [name, line] : lines) out.push_back(std::move(line));
  return out;
}

std::map<std::string, std::string> ParseDpkgStatus(const std::string& text) {
  std::map<std::string, std::string> packages;
  std::map<std::string, std::string> fields;
  const auto flush = [&] {
    if (fields["Status"].ends_with(" installed") && IsWord(fields["Package"]) &&
        IsWord(fields["Version"])) {
      packages[fields["Package"]] = fields["Version"];
    }
    fields.clear();
  };
  for (const std::string& line : Split(text, '\n')) {
    if (line.empty()) {
      flush();
      continue;
    }
    const size_t colon = line.find(": ");
    if (line[0] == ' ' || colon == std::string::npos) continue;
    fields[line.substr(0, colon)] = line.substr(colon + 2);
  }
  flush();
  return packages;
}

std::map<std::string, std::string> ParseApkInstalled(const std::string& text) {
  std::map<std::string, std::string> packages;
  std::string name;
  for (const std::string& line : Split(text, '\n')) {
    if (line.starts_with("P:")) name = line.substr(2);
    if (line.starts_with("V:") && IsWord(name) && IsWord(line.substr(2))) {
      packages[name] = line.substr(2);
    }
    if (line.empty()) name.clear();
  }
  return packages;
}

std::map<std::string, std::string> PackagesOf(const FileTree& tree) {
  std::map<std::string, std::string> packages;
  if (const auto status = Database(tree, "var/lib/dpkg/status")) {
    packages = ParseDpkgStatus(*status);
  }
  if (const auto installed = Database(tree, "lib/apk/db/installed")) {
    packages.merge(ParseApkInstalled(*installed));
  }
  return packages;
}

std::vector<std::string> DiffFiles(const FileTree& from, const FileTree& to,
                                   const CancelToken& cancel) {
  return FileDiff(from, to, cancel).Run();
}

}  // namespace imgbuild::cli
