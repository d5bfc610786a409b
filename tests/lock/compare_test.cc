#include "imgbuild/lock/compare.h"

#include <gtest/gtest.h>

#include "imgbuild/lock/update.h"

namespace imgbuild::lock {
namespace {

oci::Digest D(const std::string& text) { return oci::Digest::OfBytes(text); }

UsedName Image(const std::string& text, const std::string& platform) {
  UsedName used;
  used.image = oci::Reference::Parse(text).WithDefaultTag();
  used.name = KeyOf(*used.image).ToString();
  used.written = text;
  used.platform = oci::Platform::Parse(platform);
  return used;
}

Lockfile LockOf(const std::string& name) {
  Lockfile lock;
  lock.images.push_back({KeyOf(oci::Reference::Parse(name)),
                         {},
                         D("index"),
                         "",
                         1,
                         {},
                         {},
                         {},
                         {{"linux/amd64", {D("m"), 1, D("c"), "", "", {}, {}}}},
                         {},
                         {}});
  return lock;
}

TEST(CompareTest, PinnedAndUnused) {
  const auto found =
      CompareOffline({Image("a:1", "linux/amd64")}, LockOf("a:1"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].state, State::kPinned);
  const auto other =
      CompareOffline({Image("b:1", "linux/amd64")}, LockOf("a:1"));
  ASSERT_EQ(other.size(), 2u);
  EXPECT_EQ(other[0].state, State::kStale);
  EXPECT_EQ(other[0].message, "b:1 is not in the lock");
  EXPECT_EQ(other[1].state, State::kUnused);
  EXPECT_EQ(other[1].name, "docker.io/library/a:1");
}

TEST(CompareTest, WhatWasAddedByNameIsNeverUnused) {
  Lockfile lock = LockOf("a:1");
  lock.images[0].added = true;
  EXPECT_TRUE(CompareOffline({}, lock).empty());
  EXPECT_TRUE(Prune(lock, {}).empty());
  // It stays so when a Dockerfile names it for a while.
  ImagePin again = LockOf("a:1").images[0];
  Put(lock, again);
  EXPECT_TRUE(lock.images[0].added);
  EXPECT_EQ(Prune(lock, {}, true),
            std::vector<std::string>{"docker.io/library/a:1"});
  EXPECT_TRUE(lock.images.empty());
}

TEST(CompareTest, PlatformNotCovered) {
  const auto found =
      CompareOffline({Image("a:1", "linux/arm64")}, LockOf("a:1"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].state, State::kStale);
  EXPECT_EQ(found[0].message,
            "the lock of a:1 does not cover linux/arm64, only linux/amd64");
}

TEST(CompareTest, FrontendThatIsNotRecordedIsNoFinding) {
  UsedName used = Image("docker/dockerfile:1", "linux/amd64");
  used.kind = Kind::kFrontend;
  EXPECT_TRUE(CompareOffline({used}, Lockfile()).empty());
}

TEST(CompareTest, OwnDigest) {
  const Lockfile lock = LockOf("a:1");
  const auto same = CompareOffline(
      {Image("a:1@" + D("index").ToString(), "linux/amd64")}, lock);
  EXPECT_EQ(same.at(0).state, State::kPinned);
  const auto other =
      CompareOffline({Image("a:1@" + D("x").ToString(), "linux/amd64")}, lock);
  EXPECT_EQ(other.at(0).state, State::kConflict);
  EXPECT_EQ(other.at(0).before, D("index").ToString());
  EXPECT_EQ(other.at(0).after, D("x").ToString());
}

TEST(CompareTest, UrlsAndRepositories) {
  UsedName url;
  url.kind = Kind::kUrl;
  url.name = "https://e/a";
  Lockfile lock;
  EXPECT_EQ(CompareOffline({url}, lock).at(0).state, State::kStale);
  url.own_checksum = D("a").ToString();
  EXPECT_EQ(CompareOffline({url}, lock).at(0).state, State::kPinned);
  lock.urls.push_back({url.name, D("b"), 1, {}, {}, {}, {}, {}});
  EXPECT_EQ(CompareOffline({url}, lock).at(0).state, State::kConflict);

  UsedName git;
  git.kind = Kind::kGit;
  git.name = "https://e/r.git#v1";
  lock = {};
  GitPin pin;
  pin.name = git.name;
  pin.commit = std::string(40, 'a');
  lock.gits.push_back(pin);
  EXPECT_EQ(CompareOffline({git}, lock).at(0).state, State::kPinned);
  git.own_checksum = "aaaaaaa";  // ?checksum= may be a prefix
  EXPECT_EQ(CompareOffline({git}, lock).at(0).state, State::kPinned);
  git.own_checksum = "bbbbbbb";
  EXPECT_EQ(CompareOffline({git}, lock).at(0).state, State::kConflict);
}

// Two platforms of one word, two variants: told once.
TEST(CompareTest, SaysThingsOnce) {
  const auto found = CompareOffline(
      {Image("b:1", "linux/amd64"), Image("b:1", "linux/arm64")}, Lockfile{});
  EXPECT_EQ(found.size(), 1u);
}

}  // namespace
}  // namespace imgbuild::lock
