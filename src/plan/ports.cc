#include "plan/ports.h"

#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

struct PortRange {
  uint64_t first = 0;
  uint64_t last = 0;
};

std::optional<PortRange> ParseRange(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = ParseUint(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : ParseUint(text.substr(dash + 1));
  if (!first || !last || *first > *last || *last > 65535) return std::nullopt;
  return PortRange{*first, *last};
}

}  // namespace

std::vector<std::string> ParsePorts(std::string_view word,
                                    const SourceRange& range) {
  const auto invalid = [&](std::string_view why) {
    Error error(ErrorCode::kDockerfile,
                fmt::format("invalid port {}: {}", Quoted(word), why));
    error.At(range);
    return error;
  };
  std::string_view rest = word;
  std::string protocol = "tcp";
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    protocol = ToLower(rest.substr(slash + 1));
    rest = rest.substr(0, slash);
    if (protocol.empty()) protocol = "tcp";
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
      throw invalid("the protocol is tcp, udp or sctp");
    }
  }
  // [ip:][host:]container: EXPOSE keeps the container's part.
  std::string_view host;
  if (const size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
    host = rest.substr(0, colon);
    rest = rest.substr(colon + 1);
    if (const size_t inner = host.rfind(':'); inner != std::string_view::npos) {
      host = host.substr(inner + 1);
    }
  }
  if (rest.empty()) throw invalid("no port specified");
  const auto ports = ParseRange(rest);
  if (!ports) {
    throw invalid("a port is a number from 0 to 65535, or a range a-b");
  }
  if (!host.empty()) {
    const auto host_ports = ParseRange(host);
    if (!host_ports) throw invalid("the host port is not a port");
    const uint64_t wanted = ports->last - ports->first;
    if (wanted != host_ports->last - host_ports->first && wanted != 0) {
      throw invalid("the ranges of host and container differ in length");
    }
  }
  std::vector<std::string> out;
  for (uint64_t port = ports->first; port <= ports->last; ++port) {
    out.push_back(fmt::format("{}/{}", port, protocol));
  }
  return out;
}

}  // namespace imgbuild::plan
