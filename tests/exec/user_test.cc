#include "imgbuild/exec/user.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::exec {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "broken line\n"
    "app:x:1000:1001:An App,,,:/home/app:/bin/sh\n"
    "nohome:x:1002:1002\n"
    "1234:x:77:78::/home/digits:/bin/sh\n"
    "huge:x:4294967296:0::/:/bin/sh\n"
    "app:x:9999:9999::/second:/bin/sh\n";
constexpr char kGroup[] =
    "root:x:0:\n"
    "app:x:1001:\n"
    "video:x:44:app,other\n"
    "audio:x:63:other,app\n"
    "audio2:x:63:app\n"
    "other:x:2000:other\n"
    "555:x:556:\n";

class UserTest : public testing::Test {
 protected:
  UserTest() : dir_(fs::TempDir::InTmp()) {
    fs::MakeDir(dir_.fd(), "etc", 0755);
    Write("etc/passwd", kPasswd);
    Write("etc/group", kGroup);
  }
  void Write(const std::string& path, std::string_view text) {
    UniqueFd fd = fs::Open(dir_.fd(), path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    fs::WriteAll(fd.get(), AsBytes(text), path);
  }
  ResolvedUser User(std::string_view spec) {
    return ResolveUser(DirTree(dir_.fd()), spec);
  }
  Ownership Chown(std::string_view spec) {
    return ResolveChown(DirTree(dir_.fd()), spec);
  }
  std::string UserError(std::string_view spec) {
    try {
      ResolvedUser user = User(spec);
      return "uid " + std::to_string(user.uid);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kStep);
      return error.message();
    }
  }

  fs::TempDir dir_;
};

struct UserCase {
  const char* spec;
  uint32_t uid;
  uint32_t gid;
  const char* home;
  std::vector<uint32_t> groups;
};

TEST_F(UserTest, Table) {
  const UserCase cases[] = {
      {"", 0, 0, "/root", {}},
      {"root", 0, 0, "/root", {}},
      {"0", 0, 0, "/root", {}},
      {"00", 0, 0, "/root", {}},
      {":0", 0, 0, "/root", {}},
      {"app", 1000, 1001, "/home/app", {44, 63}},
      {"1000", 1000, 1001, "/home/app", {44, 63}},
      {"app:", 1000, 1001, "/home/app", {44, 63}},
      // A group of one's own choosing comes alone.
      {"app:video", 1000, 44, "/home/app", {}},
      {"app:2000", 1000, 2000, "/home/app", {}},
      {"1000:3000", 1000, 3000, "/home/app", {}},
      {"nohome", 1002, 1002, "/", {}},
      // Numbers need not be listed.
      {"5000", 5000, 0, "/", {}},
      {"5000:5001", 5000, 5001, "/", {}},
      {"2147483647", 2147483647, 0, "/", {}},
      // Names may look like numbers.
      {"1234", 77, 78, "/home/digits", {}},
      {"0:555", 0, 556, "/root", {}},
  };
  for (const UserCase& test : cases) {
    ResolvedUser user = User(test.spec);
    EXPECT_EQ(user.uid, test.uid) << test.spec;
    EXPECT_EQ(user.gid, test.gid) << test.spec;
    EXPECT_EQ(user.home, test.home) << test.spec;
    EXPECT_EQ(user.groups, test.groups) << test.spec;
  }
}

// T30: no wrapping, no other bases, no signs.
TEST_F(UserTest, BadUsersAreRefused) {
  EXPECT_EQ(UserError("nobody"),
            "unable to find user nobody: no matching entries in passwd file");
  EXPECT_EQ(UserError("4294967296"),
            "uid \"4294967296\": uid ids must be in range 0-2147483647");
  EXPECT_EQ(UserError("2147483648"),
            "uid \"2147483648\": uid ids must be in range 0-2147483647");
  EXPECT_EQ(UserError("18446744073709551616"),
            "uid \"18446744073709551616\": uid ids must be in range "
            "0-2147483647");
  EXPECT_EQ(UserError("-1"),
            "uid \"-1\": uid ids must be in range 0-2147483647");
  EXPECT_EQ(UserError("+1"),
            "uid \"+1\": uid ids must be in range 0-2147483647");
  EXPECT_EQ(UserError("0x0"),
            "unable to find user 0x0: no matching entries in passwd file");
  EXPECT_EQ(UserError(" 0"),
            "unable to find user  0: no matching entries in passwd file");
  EXPECT_EQ(UserError("huge"),
            "unable to find user huge: no matching entries in passwd file");
  EXPECT_EQ(UserError("root:nogroup"),
            "unable to find group nogroup: no matching entries in group file");
  EXPECT_EQ(UserError("root:4294967296"),
            "gid \"4294967296\": gid ids must be in range 0-2147483647");
  EXPECT_EQ(UserError("root:-1"),
            "gid \"-1\": gid ids must be in range 0-2147483647");
}

TEST_F(UserTest, WithoutFilesNumbersWorkAndNamesDoNot) {
  EmptyTree none;
  EXPECT_EQ(ResolveUser(none, "").uid, 0u);
  EXPECT_EQ(ResolveUser(none, "12:34").gid, 34u);
  EXPECT_EQ(ResolveUser(none, "12").home, "/");
  EXPECT_THROW(ResolveUser(none, "root"), Error);
}

// T26: what is not a small regular file is an error and no hang.
TEST_F(UserTest, AFifoAsPasswdIsAnError) {
  ASSERT_EQ(unlinkat(dir_.fd(), "etc/passwd", 0), 0);
  ASSERT_EQ(mkfifoat(dir_.fd(), "etc/passwd", 0644), 0);
  EXPECT_THROW(User("app"), Error);
}

TEST_F(UserTest, AHugePasswdIsAnError) {
  Write("etc/passwd", std::string((1 << 20) + 1, 'x'));
  EXPECT_THROW(User("app"), Error);
}

TEST_F(UserTest, ALinkedPasswdIsReadInTheRoot) {
  ASSERT_EQ(unlinkat(dir_.fd(), "etc/passwd", 0), 0);
  ASSERT_EQ(symlinkat("/../../etc/real", dir_.fd(), "etc/passwd"), 0);
  Write("etc/real", "inner:x:4:5::/:\n");
  EXPECT_EQ(User("inner").uid, 4u);
}

TEST_F(UserTest, ChownTable) {
  struct Case {
    const char* spec;
    uint32_t uid;
    uint32_t gid;
  };
  const Case cases[] = {{"app", 1000, 1001},     {"1000", 1000, 1000},
                        {"app:video", 1000, 44}, {"1000:app", 1000, 1001},
                        {"5:6", 5, 6},           {":6", 0, 6},
                        {"root", 0, 0},          {"1234", 77, 78},
                        {"5000", 5000, 5000},    {"", 0, 0}};
  for (const Case& test : cases) {
    Ownership owner = Chown(test.spec);
    EXPECT_EQ(owner.uid, test.uid) << test.spec;
    EXPECT_EQ(owner.gid, test.gid) << test.spec;
  }
  EXPECT_THROW(Chown("nobody"), Error);
  EXPECT_THROW(Chown("app:nogroup"), Error);
  EXPECT_THROW(Chown("4294967296"), Error);
}

}  // namespace
}  // namespace imgbuild::exec
