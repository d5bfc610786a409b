// A build's names answered out of the lock, with a registry that counts.
#include "imgbuild/build/locking.h"

#include <gtest/gtest.h>

#include "imgbuild/build/image_resolver.h"
#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/lock/update.h"
#include "imgbuild/util/error.h"

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/memory_store.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::build {
namespace {

const oci::Platform kAmd64 = oci::Platform::Parse("linux/amd64");

plan::PlanOptions Options() {
  plan::PlanOptions options;
  options.target_platform = kAmd64;
  options.build_platform = kAmd64;
  return options;
}

dockerfile::Dockerfile Parse(const std::string& text) {
  return dockerfile::Parse(std::make_shared<SourceFile>("Dockerfile", text));
}

class LockingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    transport_.Serve("https://r.example", registry_.Handler());
    for (const char* name : {"one", "two", "three"}) {
      // An empty tar, and something behind its end: digests must differ.
      registry_.AddImage(name, "1", std::string(1024, '\0') + name);
    }
  }

  // An entry for r.example/NAME:1 as it is now, the image in the store.
  void Lock(const std::string& name) {
    const oci::Reference reference =
        oci::Reference::Parse("r.example/" + name + ":1");
    const plan::ResolvedImage image =
        transfer_.Resolve(reference, kAmd64, transfer::PullPolicy::kMissing);
    lock::ImagePin pin{reference,
                       {reference.ToString()},
                       image.target,
                       "application/vnd.oci.image.manifest.v1+json",
                       image.manifest_size,
                       {},
                       {},
                       {},
                       {},
                       {},
                       {}};
    pin.platforms.emplace(kAmd64.ToString(),
                          lock::PlatformPin{image.manifest,
                                            image.manifest_size,
                                            image.config_digest,
                                            "",
                                            "",
                                            {},
                                            {}});
    lock::Put(lock_, std::move(pin));
  }

  // The plan under a lock; what was asked for goes to requests_.
  plan::BuildGraph Plan(const std::string& text, LockMode mode) {
    const size_t before = transport_.Log().size();
    TransferResolver registry(*store_, transfer_, progress_,
                              mode == LockMode::kFrozen
                                  ? transfer::PullPolicy::kNever
                                  : transfer::PullPolicy::kMissing,
                              cancel_);
    LockedResolver resolver(lock_, mode, "", registry);
    const dockerfile::Dockerfile file = Parse(text);
    refusals_.clear();
    try {
      const plan::BuildGraph graph = plan::Plan(file, Options(), resolver);
      requests_ = transport_.Log().size() - before;
      return graph;
    } catch (const Error& error) {
      message_ = error.message();
      for (const LockRefusal& one : LockRefusals(file, Options(), resolver)) {
        refusals_.push_back(one.range.ToString() + " " + one.message);
      }
      requests_ = transport_.Log().size() - before;
      return {};
    }
  }

  testing::FakeRegistry registry_;
  testing::ScriptedTransport transport_;
  testing::FakeClock clock_;
  testing::ClientUnderTest under_test_{transport_, clock_};
  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  CancelToken cancel_;
  transfer::Transfer transfer_{*store_, *under_test_.client, {}, cancel_};
  NullProgress progress_;
  lock::Lockfile lock_;
  size_t requests_ = 0;
  std::string message_;
  std::vector<std::string> refusals_;
};

constexpr char kThree[] =
    "FROM r.example/one:1 AS a\n"
    "FROM r.example/two:1 AS b\n"
    "COPY --from=r.example/three:1 / /\n"
    "COPY --from=a / /\n";

TEST_F(LockingTest, FrozenMakesNoRequest) {
  for (const char* name : {"one", "two", "three"}) Lock(name);
  EXPECT_GT(transport_.Log().size(), 0u);
  const plan::BuildGraph graph = Plan(kThree, LockMode::kFrozen);
  EXPECT_EQ(graph.names.size(), 3u);
  EXPECT_EQ(requests_, 0u);
  // Nor does --locked, when the store has everything.
  Plan(kThree, LockMode::kLocked);
  EXPECT_EQ(requests_, 0u);
}

TEST_F(LockingTest, FrozenAsksForNothingThatIsMissingEither) {
  for (const char* name : {"one", "two"}) Lock(name);
  store_->content().Remove(lock_.images[0].digest);
  Plan(kThree, LockMode::kFrozen);
  EXPECT_EQ(requests_, 0u);
  EXPECT_EQ(message_, "r.example/one:1@" + lock_.images[0].digest.ToString() +
                          " is not in the store, and --frozen fetches nothing");
}

TEST_F(LockingTest, EverythingThatIsMissingIsToldAtOnce) {
  Lock("two");
  lock_.images[0].platforms.clear();
  Plan(kThree + std::string("ADD https://example.org/f /f\n"),
       LockMode::kLocked);
  EXPECT_EQ(requests_, 0u);
  EXPECT_EQ(
      refusals_,
      (std::vector<std::string>{
          "Dockerfile:1:6 r.example/one:1 is not in the lock",
          "Dockerfile:2:6 r.example/two:1 is locked for , not for linux/amd64",
          "Dockerfile:3:13 r.example/three:1 is not in the lock",
          "Dockerfile:5:5 https://example.org/f is not in the lock"}));
}

TEST_F(LockingTest, AnotherMistakeLeavesTheFirstRefusalAlone) {
  Plan("FROM r.example/one:1\nUSER ${WHO:?nobody}\n", LockMode::kLocked);
  EXPECT_EQ(message_, "r.example/one:1 is not in the lock");
  EXPECT_TRUE(refusals_.empty());
}

}  // namespace
}  // namespace imgbuild::build
