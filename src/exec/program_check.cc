#include "exec/program_check.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr size_t kHeaderBytes = 4096;
constexpr size_t kMaxInterpreter = 4096;

#if defined(__x86_64__)
constexpr uint16_t kMachines[] = {EM_X86_64, EM_386};
#elif defined(__aarch64__)
constexpr uint16_t kMachines[] = {EM_AARCH64, EM_ARM};
#elif defined(__riscv)
constexpr uint16_t kMachines[] = {EM_RISCV};
#endif

ExitResult Failure(int code, std::string reason) {
  ExitResult result;
  result.exit_code = code;
  result.start_error = std::move(reason);
  return result;
}

// A mount of the spec may hide or provide this path.
bool UnderMount(const ProcessSpec& spec, const std::string& path) {
  std::string clean = fs::CleanRelative(path);
  for (const Mount& mount : spec.mounts) {
    std::string target = fs::CleanRelative(mount.target);
    if (clean == target || clean.starts_with(target + "/")) return true;
  }
  return clean == "dev" || clean.starts_with("dev/") ||
         clean.starts_with("proc/");
}

std::string PathVariable(const ProcessSpec& spec) {
  for (const std::string& entry : spec.env) {
    if (entry.starts_with("PATH=")) return entry.substr(5);
  }
  return kDefaultPath;
}

std::string Absolute(const ProcessSpec& spec, const std::string& path) {
  return path.starts_with('/') ? path : spec.cwd + "/" + path;
}

// Handlers of other formats (qemu for foreign machines) are registered.
bool HasForeignHandlers() {
  UniqueFd dir = fs::OpenIfExists(AT_FDCWD, "/proc/sys/fs/binfmt_misc",
                                  O_RDONLY | O_DIRECTORY);
  if (!dir) return false;
  for (const std::string& name : fs::ListDir(dir.get())) {
    if (name != "register" && name != "status") return true;
  }
  return false;
}

std::string MachineName(uint16_t machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_386:
      return "x86";
    case EM_AARCH64:
      return "arm64";
    case EM_ARM:
      return "arm";
    case EM_RISCV:
      return "riscv";
    case EM_PPC64:
      return "ppc64";
    case EM_S390:
      return "s390x";
    default:
      return fmt::format("machine {}", machine);
  }
}

// The program interpreter that an ELF file names, "" when it has none.
template <typename Header, typename Segment>
std::string ElfInterpreter(int fd, const char* bytes) {
  Header header;
  std::memcpy(&header, bytes, sizeof header);
  if (header.e_phentsize != sizeof(Segment)) return "";
  for (uint16_t i = 0; i < header.e_phnum && i < 128; ++i) {
    Segment segment;
    off_t at = static_cast<off_t>(header.e_phoff + i * sizeof segment);
    if (pread(fd, &segment, sizeof segment, at) !=
        static_cast<ssize_t>(sizeof segment)) {
      return "";
    }
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_filesz == 0 || segment.p_filesz > kMaxInterpreter) return "";
    std::string text(segment.p_filesz, '\0');
    ssize_t n = pread(fd, text.data(), text.size(),
                      static_cast<off_t>(segment.p_offset));
    if (n != static_cast<ssize_t>(text.size())) return "";
    return text.substr(0, text.find('\0'));
  }
  return "";
}

// As the kernel reads it: blanks and tabs are skipped, a carriage return is
// part of the name.
std::string ScriptInterpreter(std::string_view header) {
  std::string_view line = header.substr(2, header.find('\n') - 2);
  size_t start = line.find_first_not_of(" \t");
  if (start == std::string_view::npos) return "";
  line.remove_prefix(start);
  return std::string(line.substr(0, line.find_first_of(" \t")));
}

// Reads the head of an executable file as the kernel will.
std::optional<ExitResult> CheckContent(const ProcessSpec& spec, int root_fd,
                                       const std::string& name, int fd) {
  std::array<char, kHeaderBytes> bytes{};
  ssize_t n = pread(fd, bytes.data(), bytes.size(), 0);
  if (n < 0) return std::nullopt;
  std::string_view header(bytes.data(), static_cast<size_t>(n));
  std::string interpreter;
  if (header.starts_with("#!")) {
    interpreter = ScriptInterpreter(header);
  } else if (header.starts_with(ELFMAG) &&
             header.size() >= sizeof(Elf64_Ehdr)) {
    uint16_t machine;
    std::memcpy(&machine, bytes.data() + offsetof(Elf64_Ehdr, e_machine),
                sizeof machine);
    bool ours = false;
    for (uint16_t known : kMachines) ours = ours || machine == known;
    if (!ours) {
      if (HasForeignHandlers()) return std::nullopt;
      return Failure(126, fmt::format("exec {}: exec format error (it is a "
                                      "program for {})",
                                      name, MachineName(machine)));
    }
    interpreter =
        bytes[EI_CLASS] == ELFCLASS64
            ? ElfInterpreter<Elf64_Ehdr, Elf64_Phdr>(fd, bytes.data())
            : ElfInterpreter<Elf32_Ehdr, Elf32_Phdr>(fd, bytes.data());
  } else {
    if (HasForeignHandlers()) return std::nullopt;
    return Failure(126, fmt::format("exec {}: exec format error (neither a "
                                    "program nor a script with \"#!\")",
                                    name));
  }
  if (interpreter.empty() || !interpreter.starts_with('/') ||
      UnderMount(spec, interpreter)) {
    return std::nullopt;
  }
  if (fs::TryOpenInRoot(root_fd, interpreter, O_PATH)) return std::nullopt;
  if (errno != ENOENT && errno != ENOTDIR) return std::nullopt;
  return Failure(127, fmt::format("exec {}: no such file or directory (its "
                                  "interpreter {} is missing)",
                                  name, Quoted(interpreter)));
}

bool IsExecutable(const struct ::stat& st) {
  return S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

std::optional<ExitResult> CheckFile(const ProcessSpec& spec, int root_fd,
                                    const std::string& name,
                                    const std::string& path) {
  UniqueFd file = fs::TryOpenInRoot(root_fd, path, O_PATH);
  if (!file) {
    if (errno != ENOENT && errno != ENOTDIR) return std::nullopt;
    return Failure(127, fmt::format("exec: {}: stat {}: no such file or "
                                    "directory",
                                    Quoted(name), name));
  }
  struct ::stat st = fs::Fstat(file.get());
  if (S_ISDIR(st.st_mode)) {
    return Failure(126, fmt::format("exec: {}: is a directory", Quoted(name)));
  }
  if (!IsExecutable(st)) {
    return Failure(126,
                   fmt::format("exec: {}: permission denied", Quoted(name)));
  }
  UniqueFd content =
      fs::TryOpenInRoot(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!content) return std::nullopt;
  return CheckContent(spec, root_fd, name, content.get());
}

}  // namespace

std::optional<ExitResult> CheckProgram(const ProcessSpec& spec, int root_fd) {
  const std::string& name = spec.args.front();
  if (name.find('/') != std::string::npos) {
    std::string path = Absolute(spec, name);
    if (UnderMount(spec, path)) return std::nullopt;
    return CheckFile(spec, root_fd, name, path);
  }
  for (const std::string& entry : Split(PathVariable(spec), ':')) {
    std::string path =
        Absolute(spec, (entry.empty() ? "." : entry) + "/" + name);
    if (UnderMount(spec, path)) return std::nullopt;
    UniqueFd file = fs::TryOpenInRoot(root_fd, path, O_PATH);
    if (!file) continue;
    if (!IsExecutable(fs::Fstat(file.get()))) continue;
    return CheckFile(spec, root_fd, fs::CleanPath(path), path);
  }
  return Failure(127, fmt::format("exec: {}: executable file not found in "
                                  "$PATH",
                                  Quoted(name)));
}

}  // namespace imgbuild::exec
