// `imgbuild doctor`.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"

namespace imgbuild::cli {
namespace {

using Item = exec::HostProbe::Item;

// Who may read the store, and how much fits into it yet.
Item ProbeStore(const std::string& root) {
  Item item;
  item.what = "store";
  struct ::stat st = {};
  struct ::statvfs space = {};
  if (::stat(root.c_str(), &st) != 0 || ::statvfs(root.c_str(), &space) != 0) {
    item.detail = ErrnoError("look at", root, errno).message();
    item.fix = "choose another --root";
    return item;
  }
  const uint64_t left = uint64_t{space.f_bavail} * space.f_frsize;
  item.detail = fmt::format("{} (mode {:04o}, {} free)", root,
                            st.st_mode & 07777, HumanSize(left));
  if ((st.st_mode & 077) != 0) {
    item.fix = fmt::format("chmod 700 {}", root);
  } else if (st.st_uid != ::geteuid()) {
    item.fix = fmt::format("chown {} {}", ::geteuid(), root);
  } else if (::access(root.c_str(), W_OK) != 0) {
    item.fix = "mount its file system writable, or choose another --root";
  } else {
    item.ok = true;
  }
  return item;
}

void PrintText(const std::vector<Item>& items) {
  for (const Item& item : items) {
    fmt::print("{:<5} {}: {}\n", item.ok ? "ok" : "FAIL", item.what,
               item.detail);
    if (!item.ok) fmt::print("      fix: {}\n", item.fix);
  }
}

void PrintJson(const std::vector<Item>& items) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const Item& item : items) {
    out.push_back({{"Name", item.what},
                   {"OK", item.ok},
                   {"Detail", item.detail},
                   {"Fix", item.fix}});
  }
  fmt::print("{}\n",
             out.dump(4, ' ', false,
                      nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace

int DoctorCommand(App& app, const Words& words) {
  std::string format;
  Args args("doctor [OPTIONS]",
            "Tell what this host can do, and how to mend the rest.");
  args.Value("--format", &format, "FORMAT", "json");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (!format.empty() && format != "json") {
    throw Error(ErrorCode::kUsage, "unknown --format " + Quoted(format))
        .WithHint("it is json, or left out");
  }
  exec::ExecutorOptions options;
  options.state_dir = app.store().root() + "/containers";
  options.runtime = app.options.runtime;
  std::vector<Item> items = exec::ProbeHost(options).items;
  items.push_back(ProbeStore(app.store().root()));
  if (format == "json") {
    PrintJson(items);
  } else {
    PrintText(items);
  }
  for (const Item& item : items) {
    if (!item.ok) return static_cast<int>(ErrorCode::kHost);
  }
  return 0;
}

void RequireRoot() {
  if (::geteuid() == 0) return;
  throw Error(ErrorCode::kHost, "this needs root")
      .WithHint(
          "run it with sudo; building as a plain user is not supported "
          "yet");
}

void AddGlobalFlags(Args& args, GlobalOptions& options) {
  args.Value("--root", &options.root, "DIR",
             "the store (default: $IMGBUILD_ROOT, else the user's own)");
  args.List("--insecure-registry", &options.insecure_registries, "HOST",
            "allow http and unverified TLS for this registry");
  args.Value("--runtime", &options.runtime, "PROGRAM",
             "the OCI runtime (default: crun, else runc)");
}

}  // namespace imgbuild::cli
