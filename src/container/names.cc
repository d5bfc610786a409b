// Names and ids of containers.
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <iterator>

#include "imgbuild/container/containers.h"
#include "imgbuild/util/error.h"

namespace imgbuild::container {
namespace {

constexpr const char* kFirst[] = {
    "amber",   "bold",   "brisk",   "calm",   "clever", "copper", "crisp",
    "dapper",  "eager",  "early",   "fair",   "fleet",  "gentle", "glad",
    "golden",  "grand",  "happy",   "hardy",  "humble", "jolly",  "keen",
    "kind",    "lively", "lucid",   "mellow", "merry",  "mighty", "modest",
    "neat",    "noble",  "patient", "plain",  "polite", "proud",  "quick",
    "quiet",   "rapid",  "ready",   "sage",   "serene", "sharp",  "silent",
    "sincere", "sleek",  "smooth",  "snug",   "sober",  "solid",  "stable",
    "steady",  "sunny",  "swift",   "tidy",   "true",   "vivid",  "warm",
    "wise",    "witty",  "young",   "zesty"};
constexpr const char* kSecond[] = {
    "alder",   "anchor",  "aspen",  "badger", "beacon", "birch",   "bison",
    "brook",   "canyon",  "cedar",  "cliff",  "comet",  "coral",   "crane",
    "delta",   "dune",    "eagle",  "ember",  "falcon", "fern",    "fjord",
    "fox",     "glacier", "grove",  "harbor", "hawk",   "heron",   "island",
    "juniper", "lagoon",  "lark",   "linden", "lynx",   "maple",   "marsh",
    "meadow",  "mesa",    "moss",   "oak",    "otter",  "owl",     "pebble",
    "pine",    "prairie", "quartz", "raven",  "reef",   "ridge",   "river",
    "robin",   "sparrow", "spruce", "stone",  "summit", "thistle", "tulip",
    "valley",  "walnut",  "willow", "wren"};

uint64_t RandomNumber() {
  uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) {
    throw ErrnoError("read", "random number", errno);
  }
  return number;
}

bool IsAlphaNumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9');
}

}  // namespace

std::string RandomName(const std::vector<std::string>& taken) {
  for (int attempt = 0;; ++attempt) {
    const uint64_t number = RandomNumber();
    std::string name =
        fmt::format("{}_{}", kFirst[number % std::size(kFirst)],
                    kSecond[(number >> 16) % std::size(kSecond)]);
    if (attempt > 5) name += std::to_string((number >> 32) % 10000);
    if (std::ranges::find(taken, name) == taken.end()) return name;
  }
}

void CheckName(const std::string& name) {
  const bool good =
      name.size() >= 2 && IsAlphaNumeric(name.front()) &&
      std::ranges::all_of(name, [](char c) {
        return IsAlphaNumeric(c) || c == '_' || c == '.' || c == '-';
      });
  if (good) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("Invalid container name ({}), only "
                          "[a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                          name));
}

std::string RandomId() {
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:016x}", RandomNumber());
  return id;
}

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace imgbuild::container
