// `imgbuild ps`.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/container_words.h"
#include "cli/list_format.h"
#include "cli/ps_filter.h"

namespace imgbuild::cli {
namespace {

constexpr size_t kShortId = 12;
constexpr size_t kShownCommand = 20;
constexpr size_t kShownMounts = 15;

struct PsFlags {
  bool all = false;
  bool latest = false;
  bool full = false;
  bool quiet = false;
  bool size = false;
  std::string last;
  std::string format;
  std::vector<std::string> filters;
};

// Cut to `length` with an ellipsis, as Docker does.
std::string Cut(const std::string& text, size_t length, bool full) {
  if (full || text.size() <= length) return text;
  return text.substr(0, length - 1) + "…";
}

// "sh -c 'sleep 1'": quoted where a shell would need it.
std::string CommandText(const std::vector<std::string>& args) {
  std::string out;
  for (const std::string& arg : args) {
    if (!out.empty()) out += ' ';
    const bool plain =
        !arg.empty() &&
        arg.find_first_of(" \t\n'\"\\$`*?[]{}()<>|&;#~!") == std::string::npos;
    if (plain) {
      out += arg;
    } else {
      out += '\'';
      for (const char c : arg) {
        if (c == '\'') {
          out += "'\\''";
        } else {
          out += c;
        }
      }
      out += '\'';
    }
  }
  return out;
}

std::string LocalTime(int64_t ns) {
  const std::time_t seconds = static_cast<std::time_t>(ns / 1'000'000'000);
  std::tm parts{};
  ::localtime_r(&seconds, &parts);
  char text[64];
  const size_t n =
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts);
  return {text, n};
}

std::string PortsText(const std::vector<exec::PortForward>& ports,
                      const std::set<std::string>& exposed) {
  std::vector<std::string> out;
  std::set<std::string> published;
  for (const exec::PortForward& port : ports) {
    const std::string inner =
        fmt::format("{}/{}", port.container_port, port.udp ? "udp" : "tcp");
    published.insert(inner);
    const auto add = [&](const std::string& address) {
      out.push_back(fmt::format("{}:{}->{}", address, port.host_port, inner));
    };
    if (!port.host_address.empty()) {
      add(port.host_address.find(':') == std::string::npos
              ? port.host_address
              : "[" + port.host_address + "]");
      continue;
    }
    add("0.0.0.0");
    add("[::]");
  }
  for (const std::string& port : exposed) {
    if (!published.contains(port)) out.push_back(port);
  }
  return Join(out, ", ");
}

class Lister {
 public:
  Lister(App& app, const PsFlags& flags, const ListFormat& format)
      : app_(app),
        flags_(flags),
        format_(format),
        containers_(app.store()),
        now_s_(SystemClock().NowSeconds()) {}

  Json Row(const container::Container& container, TemplateShape& shape) {
    const store::ContainerRecord& record = container.record;
    const oci::ImageConfig image = containers_.ImageConfigOf(record);
    const std::string id =
        flags_.full ? record.id : record.id.substr(0, kShortId);
    const std::string command =
        Cut(CommandText(container::CommandOf(image, container.config)),
            kShownCommand, flags_.full);
    const auto labels = container::LabelsOf(image, container.config);
    std::vector<std::string> label_words;
    Json label_map = Json::object();
    for (const auto& [key, value] : labels) {
      label_words.push_back(key + "=" + value);
      label_map[key] = value;
    }
    shape.methods["Label"] = [label_map](const std::vector<Json>& words) {
      const std::string key = words.at(0).get<std::string>();
      return label_map.contains(key) ? label_map.at(key) : Json("");
    };
    std::vector<std::string> mounts;
    for (const container::Volume& volume : container.config.volumes) {
      if (volume.type != container::Volume::Type::kBind) continue;
      mounts.push_back(Cut(volume.source, kShownMounts, flags_.full));
    }
    return {{"Command", "\"" + command + "\""},
            {"CreatedAt", LocalTime(record.created_ns)},
            {"ID", id},
            {"Image", ImageText(container)},
            {"Labels", Join(label_words, ",")},
            {"LocalVolumes", "0"},
            {"Mounts", Join(mounts, ",")},
            {"Names", record.name},
            {"Networks", NetworkText(container)},
            {"Platform", PlatformOf(image)},
            {"Ports", Ports(container, image)},
            {"RunningFor", Ago(record.created_ns)},
            {"Size", SizeText(container)},
            {"State", std::string(container::ToString(container.status.state))},
            {"Status", container::StatusText(container.status, now_s_)},
            {"HealthStatus", container.status.health}};
  }

 private:
  std::string Ago(int64_t ns) const {
    return HumanDuration(std::max<int64_t>(0, now_s_ - ns / 1'000'000'000)) +
           " ago";
  }

  // The reference as typed while it still leads to the container's image, its
  // digest left out unless all is to be seen; else the image's id.
  std::string ImageText(const container::Container& container) {
    const store::ContainerRecord& record = container.record;
    const std::string& typed = record.reference;
    bool same = false;
    try {
      const auto match = app_.store().images().Find(typed);
      same = match && match->image.id == record.image;
    } catch (const Error&) {
      // It has become ambiguous.
    }
    if (!same) {
      return flags_.full ? record.image.digest().ToString()
                         : record.image.digest().hex().substr(0, kShortId);
    }
    if (flags_.full) return typed;
    return typed.substr(0, typed.find('@'));
  }

  static std::string NetworkText(const container::Container& container) {
    return container.config.network == "default" ? "bridge"
                                                 : container.config.network;
  }

  static Json PlatformOf(const oci::ImageConfig& image) {
    return {{"architecture", image.platform.architecture},
            {"os", image.platform.os}};
  }

  std::string Ports(const container::Container& container,
                    const oci::ImageConfig& image) {
    const auto running = containers_.RunningOf(container.record.id);
    if (!running) return "";
    return PortsText(running->ports, image.exposed_ports);
  }

  std::string SizeText(const container::Container& container) {
    if (!flags_.size && !format_.Mentions("Size")) return "";
    const uint64_t own = containers_.WritableSize(container.record.id);
    const auto image =
        app_.store().images().FindManifest(container.record.manifest);
    if (!flags_.size) return HumanSize(own);
    return fmt::format("{} (virtual {})", HumanSize(own),
                       HumanSize(own + (image ? image->size : 0)));
  }

  App& app_;
  const PsFlags& flags_;
  const ListFormat& format_;
  container::Containers containers_;
  const int64_t now_s_;
};

std::optional<size_t> Limit(const PsFlags& flags) {
  if (flags.latest) return 1;
  if (flags.last.empty()) return std::nullopt;
  const auto number = ParseInt(flags.last);
  if (!number) {
    throw Error(ErrorCode::kUsage, "invalid --last " + Quoted(flags.last))
        .WithHint("it is a number");
  }
  if (*number < 0) return std::nullopt;
  return static_cast<size_t>(*number);
}

std::string DefaultTable(const PsFlags& flags) {
  std::string text =
      "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t"
      "{{.Ports}}\t{{.Names}}";
  return flags.size ? text + "\t{{.Size}}" : text;
}

int List(App& app, const PsFlags& flags) {
  const ListFormat format(flags.quiet ? "{{.ID}}" : flags.format,
                          DefaultTable(flags),
                          {{"ID", "CONTAINER ID"},
                           {"Image", "IMAGE"},
                           {"Command", "COMMAND"},
                           {"CreatedAt", "CREATED AT"},
                           {"RunningFor", "CREATED"},
                           {"Status", "STATUS"},
                           {"State", "STATE"},
                           {"Ports", "PORTS"},
                           {"Names", "NAMES"},
                           {"Size", "SIZE"},
                           {"Labels", "LABELS"},
                           {"Mounts", "MOUNTS"},
                           {"LocalVolumes", "LOCAL VOLUMES"},
                           {"Networks", "NETWORKS"},
                           {"Platform", "PLATFORM"},
                           {"HealthStatus", "HEALTH STATUS"}});
  container::Containers containers(app.store());
  const PsFilter filter(flags.filters, containers);
  const std::optional<size_t> limit = Limit(flags);
  const bool all = flags.all || limit || filter.wants_all();
  Lister lister(app, flags, format);
  std::vector<Json> rows;
  std::vector<TemplateShape> shapes;
  for (const container::Container& container : containers.List()) {
    if (limit && rows.size() >= *limit) break;
    const container::State state = container.status.state;
    const bool up = state == container::State::kRunning ||
                    state == container::State::kPaused ||
                    state == container::State::kRestarting;
    if ((!all && !up) || !filter.Matches(container)) continue;
    shapes.emplace_back();
    rows.push_back(lister.Row(container, shapes.back()));
  }
  fmt::print("{}", format.Render(rows, shapes));
  return 0;
}

}  // namespace

int PsCommand(App& app, const Words& words) {
  PsFlags flags;
  Args args("ps [OPTIONS]",
            "List containers, running ones unless -a is given.");
  args.Flag("-a,--all", &flags.all, "stopped ones too");
  args.List("-f,--filter", &flags.filters, "KEY=VALUE",
            "id, name, label, exited, status, ancestor, before, since, volume, "
            "network, publish, expose or health");
  args.Value("--format", &flags.format, "FORMAT",
             "table, json, a Go template, or `table TEMPLATE`");
  args.Value("-n,--last", &flags.last, "N", "the N that were made last");
  args.Flag("-l,--latest", &flags.latest, "the one that was made last");
  args.Flag("--no-trunc", &flags.full, "nothing shortened");
  args.Flag("-q,--quiet", &flags.quiet, "ids only");
  args.Flag("-s,--size", &flags.size, "what the writable layers hold");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  return FailWithOne([&] { return List(app, flags); });
}

}  // namespace imgbuild::cli
