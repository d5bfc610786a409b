// What the store keeps of containers: names, look-up, locks, and what a kill
// in between leaves.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "imgbuild/util/error.h"

#include "store_test_util.h"
#include "support/fake_clock.h"

namespace imgbuild::store {
namespace {

oci::Digest DigestOf(const std::string& text) {
  return oci::Digest::OfBytes(text);
}

std::string Id(const std::string& start) {
  return start + std::string(64 - start.size(), '0');
}

ContainerRecord Record(const std::string& id, const std::string& name,
                       int64_t created = 1) {
  ContainerRecord record{Id(id), name, DigestOf("manifest"),
                         oci::ImageId(DigestOf("config")), "app:1"};
  record.created_ns = created;
  record.config = "{}";
  return record;
}

std::string Message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.message();
  }
  return "(nothing was thrown)";
}

class ContainersTest : public ::testing::Test {
 protected:
  ContainerStore& containers() { return fixture_.store().containers(); }
  LocalFixture fixture_;
};

TEST_F(ContainersTest, ARecordComesBackAsItWas) {
  ContainerRecord record = Record("ab", "one", 7);
  record.reference = "app@sha256:feed";
  containers().Add(record);
  record.started_ns = 8;
  record.finished_ns = 9;
  record.exit_code = 137;
  record.restarts = 2;
  record.out_of_memory = true;
  record.error = "no such program";
  record.config = "{\"a\":1}";
  EXPECT_TRUE(containers().Update(record));
  fixture_.Reopen();
  const auto found = containers().Find("one");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, record.id);
  EXPECT_EQ(found->manifest, record.manifest);
  EXPECT_EQ(found->image, record.image);
  EXPECT_EQ(found->reference, record.reference);
  EXPECT_EQ(found->created_ns, 7);
  EXPECT_EQ(found->started_ns, 8);
  EXPECT_EQ(found->finished_ns, 9);
  EXPECT_EQ(found->exit_code, 137);
  EXPECT_EQ(found->restarts, 2);
  EXPECT_TRUE(found->out_of_memory);
  EXPECT_EQ(found->error, record.error);
  EXPECT_EQ(found->config, record.config);
}

TEST_F(ContainersTest, FindTakesIdNameAndUniquePrefix) {
  containers().Add(Record("abc1", "one"));
  containers().Add(Record("abd2", "two", 2));
  containers().Add(Record("f0", "abc", 3));
  EXPECT_EQ(containers().Find(Id("abc1"))->name, "one");
  EXPECT_EQ(containers().Find("abd")->name, "two");
  EXPECT_EQ(containers().Find("/two")->name, "two");
  // A name wins over a prefix.
  EXPECT_EQ(containers().Find("abc")->id, Id("f0"));
  EXPECT_FALSE(containers().Find("nosuch"));
  EXPECT_FALSE(containers().Find(""));
  EXPECT_EQ(Message([&] { containers().Find("ab"); }),
            "Multiple IDs found with provided prefix: ab");
}

TEST_F(ContainersTest, ListHasTheLatestFirst) {
  containers().Add(Record("a", "old", 1));
  containers().Add(Record("b", "new", 2));
  const auto list = containers().List();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "new");
}

TEST_F(ContainersTest, ANameIsTakenOnce) {
  containers().Add(Record("a", "one"));
  containers().Add(Record("b", "two"));
  const std::string taken =
      "Conflict. The container name \"/one\" is already in use by container "
      "\"" +
      Id("a") +
      "\". You have to remove (or rename) that container to be able to reuse "
      "that name.";
  EXPECT_EQ(Message([&] { containers().Add(Record("c", "one")); }), taken);
  EXPECT_EQ(Message([&] { containers().Rename(Id("b"), "one"); }), taken);
  // Nothing of the refused one is left.
  EXPECT_NE(::access(containers().Directory(Id("c")).c_str(), F_OK), 0);
  EXPECT_TRUE(containers().Rename(Id("b"), "three"));
  EXPECT_EQ(containers().Find("three")->id, Id("b"));
  EXPECT_FALSE(containers().Rename(Id("d"), "four"));
}

TEST_F(ContainersTest, RemoveTakesRecordAndFiles) {
  containers().Add(Record("a", "one"));
  const std::string dir = containers().Directory(Id("a"));
  EXPECT_EQ(::access((dir + "/image").c_str(), F_OK), 0);
  EXPECT_TRUE(containers().Remove(Id("a")));
  EXPECT_NE(::access(dir.c_str(), F_OK), 0);
  EXPECT_FALSE(containers().Find("one"));
  EXPECT_FALSE(containers().Remove(Id("a")));
  EXPECT_FALSE(containers().Update(Record("a", "one")));
}

TEST_F(ContainersTest, TheLockIsHeldByOneAndSeenByAll) {
  containers().Add(Record("a", "one"));
  EXPECT_FALSE(containers().IsLocked(Id("a")));
  auto lock = containers().TryLock(Id("a"));
  ASSERT_TRUE(lock);
  EXPECT_TRUE(containers().IsLocked(Id("a")));
  EXPECT_FALSE(containers().TryLock(Id("a")));
  const auto users = containers().UsersOf(oci::ImageId(DigestOf("config")));
  ASSERT_EQ(users.size(), 1u);
  EXPECT_TRUE(users[0].running);
  EXPECT_EQ(users[0].name, "one");
  lock.reset();
  EXPECT_FALSE(containers().IsLocked(Id("a")));
  EXPECT_FALSE(
      containers().UsersOf(oci::ImageId(DigestOf("config")))[0].running);
  EXPECT_TRUE(containers().UsersOf(oci::ImageId(DigestOf("other"))).empty());
}

TEST_F(ContainersTest, ALockGoesWithItsProcess) {
  containers().Add(Record("a", "one"));
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = containers().TryLock(Id("a"));
    if (!lock || ::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_TRUE(containers().IsLocked(Id("a")));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(containers().IsLocked(Id("a")));
}

// A child of another thread has every descriptor until it execs.
TEST_F(ContainersTest, ALockIsLetGoWhateverChildHasACopyOfIt) {
  containers().Add(Record("a", "one"));
  auto lock = containers().TryLock(Id("a"));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  lock.reset();
  EXPECT_FALSE(containers().IsLocked(Id("a")));
  EXPECT_TRUE(containers().TryLock(Id("a")));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

// Killed after the directory and before the record, or the other way round
// when removing.
TEST(ContainersSweep, ADirectoryWithoutRecordGoesWhenItIsOldAndFree) {
  LocalFixture fixture;
  testing::FakeClock clock(SystemClock().NowSeconds());
  fixture.clock = &clock;
  fixture.Reopen();
  ContainerStore& containers = fixture.store().containers();
  containers.Add(Record("a", "kept"));
  fs::MakeDirs(AT_FDCWD, containers.Directory(Id("b")), 0700);
  fs::MakeDirs(AT_FDCWD, containers.Directory(Id("c")), 0700);
  const auto lock = containers.TryLock(Id("c"));
  const auto there = [&](const std::string& id) {
    return ::access(containers.Directory(Id(id)).c_str(), F_OK) == 0;
  };
  containers.SweepAbandoned();
  EXPECT_TRUE(there("b"));  // somebody may be about to lock it
  clock.Advance(std::chrono::seconds(120));
  containers.SweepAbandoned();
  EXPECT_TRUE(there("a"));
  EXPECT_FALSE(there("b"));
  EXPECT_TRUE(there("c"));
}

}  // namespace
}  // namespace imgbuild::store
