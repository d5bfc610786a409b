#include "transfer/window_budget.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <thread>

#include "imgbuild/util/error.h"

namespace imgbuild::transfer {
namespace {

uint64_t Window(const std::string& head) {
  return ZstdWindow(std::as_bytes(std::span(head)));
}

TEST(ZstdWindow, Table) {
  const std::string magic = "\x28\xb5\x2f\xfd";
  using namespace std::string_literals;
  // A window descriptor: exponent and eighths.
  EXPECT_EQ(Window(magic + "\0\0"s), 1024u);
  EXPECT_EQ(Window(magic + "\0\x58"s), 2u << 20);
  EXPECT_EQ(Window(magic + "\x84\x68"s), 8u << 20);
  EXPECT_EQ(Window(magic + "\0\x79"s), 36u << 20);
  EXPECT_EQ(Window(magic + "\0\x88"s), 128u << 20);
  EXPECT_EQ(Window(magic + "\0\xff"s), 15ull << 38);
  // A single segment: the size of the content, in one to eight bytes, behind
  // the id of a dictionary.
  EXPECT_EQ(Window(magic + "\x20\x07"s), 7u);
  EXPECT_EQ(Window(magic + "\x60\x01\x01"s), 257u + 256u);
  EXPECT_EQ(Window(magic + "\xa0\0\0\0\x02"s), 32u << 20);
  EXPECT_EQ(Window(magic + "\xe0\0\0\0\0\x01\0\0\0"s), uint64_t{1} << 32);
  EXPECT_EQ(Window(magic + "\x23\x01\x02\x03\x04\x09"s), 9u);
  // Nothing that can be told.
  EXPECT_EQ(Window(""), 0u);
  EXPECT_EQ(Window(magic), 0u);
  EXPECT_EQ(Window(magic + "\0"s), 0u);
  EXPECT_EQ(Window(magic + "\xe0\0\0\0"s), 0u);
  EXPECT_EQ(Window("\x50\x2a\x4d\x18\x04\0\0\0"s), 0u);
  EXPECT_EQ(Window("\x1f\x8b\x08\0\0\0\0\0"s), 0u);
}

TEST(WindowBudget, IsShared) {
  WindowBudget budget(100);
  const auto first = budget.Try(60);
  EXPECT_TRUE(first);
  EXPECT_FALSE(budget.Try(60));
  {
    const auto second = budget.Try(40);
    EXPECT_TRUE(second);
    EXPECT_FALSE(budget.Try(1));
  }
  EXPECT_TRUE(budget.Try(40));
}

TEST(WindowBudget, MoreThanAllOfItIsTakenAlone) {
  WindowBudget budget(100);
  {
    const auto alone = budget.Try(1000);
    EXPECT_TRUE(alone);
    EXPECT_FALSE(budget.Try(1));
  }
  const auto small = budget.Try(1);
  EXPECT_TRUE(small);
  EXPECT_FALSE(budget.Try(1000));
  EXPECT_FALSE(budget.Try(~uint64_t{0}));
}

TEST(WindowBudget, WaitingEndsWhenItIsGivenBack) {
  WindowBudget budget(100);
  const CancelToken cancel;
  std::optional<WindowBudget::Grant> held(budget.Try(100));
  std::thread other([&] { EXPECT_TRUE(budget.Take(50, cancel)); });
  held.reset();
  other.join();
  EXPECT_TRUE(budget.Try(100));
}

TEST(WindowBudget, WaitingEndsWithTheCancel) {
  WindowBudget budget(100);
  CancelToken cancel;
  const auto held = budget.Try(100);
  std::thread other([&] { EXPECT_THROW(budget.Take(50, cancel), Error); });
  cancel.Cancel();
  other.join();
}

}  // namespace
}  // namespace imgbuild::transfer
