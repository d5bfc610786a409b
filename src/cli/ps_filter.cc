#include "cli/ps_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

constexpr const char* kKeys[] = {
    "ancestor", "before",  "exited",  "expose", "health", "id",    "label",
    "name",     "network", "publish", "since",  "status", "volume"};
constexpr const char* kStates[] = {
    "created", "running", "paused", "restarting", "exited", "removing", "dead"};

template <typename Test>
bool Any(const std::vector<std::string>& values, Test&& test) {
  return std::ranges::any_of(values, test);
}

// Docker's name filter is a regular expression; one that is none is text.
bool NameMatches(const std::string& name, const std::string& pattern) {
  if (name.find(pattern) != std::string::npos) return true;
  if (pattern.size() > 256) return false;
  try {
    const std::regex expression(pattern);
    return std::regex_search(name, expression) ||
           std::regex_search("/" + name, expression);
  } catch (const std::regex_error&) {
    return false;
  }
}

// "8080", "8000-8010", "80/tcp".
bool PortMatches(const std::string& pattern, uint16_t port, bool udp) {
  const size_t slash = pattern.find('/');
  if (slash != std::string::npos &&
      pattern.substr(slash + 1) != (udp ? "udp" : "tcp")) {
    return false;
  }
  const std::string range = pattern.substr(0, slash);
  const size_t dash = range.find('-');
  const auto first = ParseUint(range.substr(0, dash));
  const auto last =
      dash == std::string::npos ? first : ParseUint(range.substr(dash + 1));
  if (!first || !last) {
    throw Error(ErrorCode::kUsage, "invalid filter: port " + Quoted(pattern));
  }
  return port >= *first && port <= *last;
}

}  // namespace

PsFilter::PsFilter(const std::vector<std::string>& words,
                   container::Containers& containers)
    : containers_(containers) {
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      throw Error(ErrorCode::kUsage,
                  "invalid argument " + Quoted(word) +
                      " for \"-f, --filter\" flag: bad format of filter "
                      "(expected name=value)");
    }
    const std::string key = ToLower(Trim(word.substr(0, equals)));
    if (std::ranges::find(kKeys, key) == std::end(kKeys)) {
      Error error(ErrorCode::kUsage, fmt::format("invalid filter '{}'", key));
      const auto near = Suggest(
          key, std::vector<std::string>(std::begin(kKeys), std::end(kKeys)));
      throw near ? error.WithHint("did you mean " + *near + "?") : error;
    }
    values_[key].push_back(word.substr(equals + 1));
  }
  Resolve(containers);
}

const PsFilter::Values* PsFilter::Find(const std::string& key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

void PsFilter::Resolve(container::Containers& containers) {
  if (const Values* values = Find("status")) {
    wants_all_ = true;
    for (const std::string& state : *values) {
      if (std::ranges::find(kStates, state) == std::end(kStates)) {
        throw Error(ErrorCode::kUsage,
                    fmt::format("invalid filter 'status={0}': invalid value "
                                "for state ({0}): must be one of created, "
                                "running, paused, restarting, removing, "
                                "exited, dead",
                                state));
      }
    }
  }
  if (const Values* values = Find("exited")) {
    wants_all_ = true;
    for (const std::string& code : *values) {
      if (!ParseInt(code)) {
        throw Error(
            ErrorCode::kUsage,
            fmt::format("invalid filter 'exited={}': it is a number", code));
      }
    }
  }
  if (const Values* values = Find("before")) {
    wants_all_ = true;
    before_ns_ = containers.Require(values->back()).record.created_ns;
  }
  if (const Values* values = Find("since")) {
    wants_all_ = true;
    since_ns_ = containers.Require(values->back()).record.created_ns;
  }
  if (const Values* values = Find("ancestor")) {
    for (const std::string& word : *values) {
      const auto match = containers.store().images().Find(word);
      if (!match) continue;  // an image that is not there has no containers
      ancestors_.insert(match->image.id.digest());
      ancestor_layers_.push_back(match->image.diff_ids);
    }
  }
}

// The image itself, or one that was built on it.
bool PsFilter::MatchesImage(const container::Container& container) const {
  const Values* values = Find("ancestor");
  if (values == nullptr) return true;
  if (ancestors_.contains(container.record.image.digest())) return true;
  // As it was typed, also when that name leads elsewhere or nowhere by now.
  if (ancestors_.empty()) {
    return std::ranges::find(*values, container.record.reference) !=
           values->end();
  }
  const std::vector<oci::DiffId> own =
      containers_.ImageConfigOf(container.record).diff_ids;
  return std::ranges::any_of(
      ancestor_layers_, [&](const std::vector<oci::DiffId>& layers) {
        return !layers.empty() && layers.size() < own.size() &&
               std::equal(layers.begin(), layers.end(), own.begin());
      });
}

bool PsFilter::MatchesTime(const container::Container& container) const {
  const int64_t created = container.record.created_ns;
  return (!before_ns_ || created < *before_ns_) &&
         (!since_ns_ || created > *since_ns_);
}

bool PsFilter::MatchesLabels(const container::Container& container) const {
  const Values* values = Find("label");
  if (values == nullptr) return true;
  const auto labels = container::LabelsOf(
      containers_.ImageConfigOf(container.record), container.config);
  return std::ranges::all_of(*values, [&](const std::string& wanted) {
    const size_t equals = wanted.find('=');
    return std::ranges::any_of(labels, [&](const auto& label) {
      return label.first == wanted.substr(0, equals) &&
             (equals == std::string::npos ||
              label.second == wanted.substr(equals + 1));
    });
  });
}

bool PsFilter::MatchesPorts(const container::Container& container) const {
  for (const char* key : {"publish", "expose"}) {
    const Values* values = Find(key);
    if (values == nullptr) continue;
    bool found = Any(*values, [&](const std::string& pattern) {
      return std::ranges::any_of(
          container.config.ports, [&](const exec::PortForward& port) {
            return PortMatches(pattern, port.container_port, port.udp);
          });
    });
    if (!found && std::string_view(key) == "expose") {
      for (const std::string& exposed :
           containers_.ImageConfigOf(container.record).exposed_ports) {
        for (const auto& port : container::ParsePorts(exposed)) {
          found = found || Any(*values, [&](const std::string& pattern) {
                    return PortMatches(pattern, port.container_port, port.udp);
                  });
        }
      }
    }
    if (!found) return false;
  }
  return true;
}

bool PsFilter::Matches(const container::Container& container) const {
  const auto holds = [&](const char* key, auto&& test) {
    const Values* values = Find(key);
    return values == nullptr || Any(*values, test);
  };
  const store::ContainerRecord& record = container.record;
  const container::Status& status = container.status;
  return holds("id",
               [&](const std::string& v) {
                 return record.id.find(v) != std::string::npos;
               }) &&
         holds("name",
               [&](const std::string& v) {
                 return NameMatches(record.name, v);
               }) &&
         holds("status",
               [&](const std::string& v) {
                 return v == container::ToString(status.state);
               }) &&
         holds("exited",
               [&](const std::string& v) {
                 return status.state == container::State::kExited &&
                        ParseInt(v) == status.exit_code;
               }) &&
         holds("health",
               [&](const std::string& v) {
                 return v == (status.health.empty() ? "none" : status.health);
               }) &&
         holds(
             "network",
             [&](const std::string& v) {
               return v == container.config.network ||
                      (v == "bridge" && container.config.network == "default");
             }) &&
         holds("volume",
               [&](const std::string& v) {
                 return std::ranges::any_of(
                     container.config.volumes,
                     [&](const container::Volume& volume) {
                       return volume.target == v || volume.source == v;
                     });
               }) &&
         MatchesTime(container) && MatchesPorts(container) &&
         MatchesLabels(container) && MatchesImage(container);
}

}  // namespace imgbuild::cli
