#include "imgbuild/exec/ulimit.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

const std::vector<std::string>& Names() {
  static const std::vector<std::string> names = {
      "as",      "core",     "cpu",        "data",   "fsize", "locks",
      "memlock", "msgqueue", "nice",       "nofile", "nproc", "rss",
      "rtprio",  "rttime",   "sigpending", "stack"};
  return names;
}

std::optional<uint64_t> ParseValue(std::string_view text) {
  if (text == "unlimited" || text == "-1") return RLIM_INFINITY;
  return ParseUint(text);
}

}  // namespace

ResourceLimits::Ulimit ParseUlimit(const std::string& text) {
  Error error(ErrorCode::kUsage,
              fmt::format("invalid --ulimit {}", Quoted(text)));
  const size_t eq = text.find('=');
  const std::string name = text.substr(0, eq);
  if (std::ranges::find(Names(), name) == Names().end()) {
    const auto near = Suggest(name, Names());
    throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                              : "the limits are " + Join(Names(), ", "));
  }
  if (eq != std::string::npos) {
    const std::string_view values = std::string_view(text).substr(eq + 1);
    const size_t colon = values.find(':');
    const auto soft = ParseValue(values.substr(0, colon));
    const auto hard = colon == std::string_view::npos
                          ? soft
                          : ParseValue(values.substr(colon + 1));
    if (soft && hard && *soft <= *hard) return {name, *soft, *hard};
  }
  throw error.WithHint(
      "the form is NAME=SOFT[:HARD], for example nofile=1024:2048");
}

}  // namespace imgbuild::exec
