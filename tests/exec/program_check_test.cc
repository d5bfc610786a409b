#include "exec/program_check.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "imgbuild/util/fs.h"

namespace imgbuild::exec {
namespace {

#if defined(__x86_64__)
constexpr uint16_t kOurs = EM_X86_64;
constexpr uint16_t kForeign = EM_AARCH64;
constexpr char kForeignName[] = "arm64";
#else
constexpr uint16_t kOurs = EM_AARCH64;
constexpr uint16_t kForeign = EM_X86_64;
constexpr char kForeignName[] = "x86-64";
#endif

// An ELF file with (perhaps) a program interpreter.
std::string Elf(uint16_t machine, const std::string& interpreter = "") {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_machine = machine;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = interpreter.empty() ? 0 : 1;
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  if (!interpreter.empty()) {
    Elf64_Phdr segment{};
    segment.p_type = PT_INTERP;
    segment.p_offset = sizeof header + sizeof segment;
    segment.p_filesz = interpreter.size() + 1;
    out.append(reinterpret_cast<const char*>(&segment), sizeof segment);
    out += interpreter + '\0';
  }
  return out;
}

class ProgramCheckTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& text,
             mode_t mode = 0755) {
    if (size_t slash = path.rfind('/'); slash != std::string::npos) {
      fs::MakeDirs(dir_.fd(), path.substr(0, slash), 0755);
    }
    UniqueFd fd = fs::Open(dir_.fd(), path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    fs::WriteAll(fd.get(), AsBytes(text), path);
  }
  // "CODE: REASON", "" when it can run.
  std::string Check(std::vector<std::string> args) {
    ProcessSpec spec = spec_;
    spec.args = std::move(args);
    std::optional<ExitResult> failure = CheckProgram(spec, dir_.fd());
    if (!failure) return "";
    return std::to_string(failure->exit_code) + ": " + failure->start_error;
  }

  fs::TempDir dir_ = fs::TempDir::InTmp();
  ProcessSpec spec_;
};

TEST_F(ProgramCheckTest, ThePathIsSearchedInOrder) {
  spec_.env = {"PATH=/nosuch:/a:/b"};
  Write("a/tool", "not executable", 0644);
  Write("b/tool", Elf(kOurs));
  EXPECT_EQ(Check({"tool"}), "");
  EXPECT_EQ(Check({"other"}),
            "127: exec: \"other\": executable file not found in $PATH");
}

TEST_F(ProgramCheckTest, WithoutPathTheUsualPlacesAreSearched) {
  Write("usr/local/bin/tool", Elf(kOurs));
  EXPECT_EQ(Check({"tool"}), "");
}

TEST_F(ProgramCheckTest, ARelativePathIsBelowTheWorkingDirectory) {
  spec_.cwd = "/work";
  Write("work/tool", Elf(kOurs));
  EXPECT_EQ(Check({"./tool"}), "");
  EXPECT_EQ(Check({"./other"}),
            "127: exec: \"./other\": stat ./other: no such file or directory");
}

TEST_F(ProgramCheckTest, LinksAreFollowedInTheRoot) {
  Write("bin/real", Elf(kOurs));
  ASSERT_EQ(symlinkat("/../../bin/real", dir_.fd(), "link"), 0);
  EXPECT_EQ(Check({"/link"}), "");
  ASSERT_EQ(symlinkat("/bin/nosuch", dir_.fd(), "dangling"), 0);
  EXPECT_EQ(Check({"/dangling"}),
            "127: exec: \"/dangling\": stat /dangling: no such file or "
            "directory");
}

TEST_F(ProgramCheckTest, AScriptNeedsItsInterpreter) {
  Write("ok", "#! /bin/sh -e\n");
  EXPECT_EQ(Check({"/ok"}),
            "127: exec /ok: no such file or directory (its interpreter "
            "\"/bin/sh\" is missing)");
  Write("bin/sh", Elf(kOurs));
  EXPECT_EQ(Check({"/ok"}), "");
}

// A Windows editor's line ends are the usual reason.
TEST_F(ProgramCheckTest, AScriptWithACarriageReturn) {
  Write("bin/sh", Elf(kOurs));
  Write("dos", "#!/bin/sh\r\necho\r\n");
  EXPECT_EQ(Check({"/dos"}),
            "127: exec /dos: no such file or directory (its interpreter "
            "\"/bin/sh\\r\" is missing)");
}

TEST_F(ProgramCheckTest, AProgramNeedsItsLoader) {
  Write("app", Elf(kOurs, "/lib/ld-musl.so.1"));
  EXPECT_EQ(Check({"/app"}),
            "127: exec /app: no such file or directory (its interpreter "
            "\"/lib/ld-musl.so.1\" is missing)");
  Write("lib/ld-musl.so.1", "x");
  EXPECT_EQ(Check({"/app"}), "");
}

TEST_F(ProgramCheckTest, AForeignProgramIsTold) {
  if (access("/proc/sys/fs/binfmt_misc/status", F_OK) == 0) {
    GTEST_SKIP() << "this host may run foreign programs";
  }
  Write("app", Elf(kForeign));
  EXPECT_EQ(Check({"/app"}), std::string("126: exec /app: exec format error "
                                         "(it is a program for ") +
                                 kForeignName + ")");
}

TEST_F(ProgramCheckTest, TextIsNoProgram) {
  if (access("/proc/sys/fs/binfmt_misc/status", F_OK) == 0) {
    GTEST_SKIP() << "this host may run other formats";
  }
  const char* why =
      ": exec format error (neither a program nor a script with \"#!\")";
  Write("text", "echo hello\n");
  EXPECT_EQ(Check({"/text"}), std::string("126: exec /text") + why);
  Write("empty", "");
  EXPECT_EQ(Check({"/empty"}), std::string("126: exec /empty") + why);
}

TEST_F(ProgramCheckTest, WhatAMountMayProvideIsNotJudged) {
  Mount mount;
  mount.target = "/tools";
  spec_.mounts = {mount};
  EXPECT_EQ(Check({"/tools/x"}), "");
  EXPECT_EQ(Check({"/dev/pipes/EOF"}), "");
  spec_.env = {"PATH=/bin:/tools/bin"};
  EXPECT_EQ(Check({"x"}), "");
  EXPECT_NE(Check({"/toolshed/x"}), "");
}

TEST_F(ProgramCheckTest, HostileHeadersAreContained) {
  std::string bad = Elf(kOurs, "/lib/x");
  Elf64_Phdr segment{};
  segment.p_type = PT_INTERP;
  segment.p_offset = ~0ULL;
  segment.p_filesz = ~0ULL;
  std::memcpy(bad.data() + sizeof(Elf64_Ehdr), &segment, sizeof segment);
  Write("bad", bad);
  EXPECT_EQ(Check({"/bad"}), "");
  Elf64_Ehdr header{};
  std::memcpy(&header, bad.data(), sizeof header);
  header.e_phoff = ~0ULL;
  header.e_phnum = 0xffff;
  std::memcpy(bad.data(), &header, sizeof header);
  Write("bad2", bad);
  EXPECT_EQ(Check({"/bad2"}), "");
  Write("short",
        "\x7f"
        "ELF");
  EXPECT_NE(Check({"/short"}), "");
}

TEST_F(ProgramCheckTest, AFifoIsNoProgram) {
  ASSERT_EQ(mkfifoat(dir_.fd(), "fifo", 0777), 0);
  EXPECT_EQ(Check({"/fifo"}), "126: exec: \"/fifo\": permission denied");
}

}  // namespace
}  // namespace imgbuild::exec
