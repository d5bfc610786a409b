// `imgbuild lock --check` and `lock verify`: the lock against the world.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/lock/update.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/lock_commands.h"
#include "cli/lock_files.h"
#include "cli/lock_probe.h"
#include "cli/lock_report.h"
#include "cli/policed_plan.h"

namespace imgbuild::cli {
namespace {

// The places of a name: a finding about the world points at the first.
SourceRange PlaceOf(const std::vector<lock::UsedName>& used, lock::Kind kind,
                    const std::string& name, const SourceRange& otherwise) {
  for (const lock::UsedName& one : used) {
    if (one.kind == kind && one.name == name) return one.range;
  }
  return otherwise;
}

std::vector<lock::Finding> Offline(const LockedFile& file,
                                   const std::vector<lock::UsedName>& used) {
  std::vector<lock::Finding> found =
      lock::CompareOffline(used, RequireLock(file));
  // What is only pinned is said by the registry.
  std::erase_if(found, [](const lock::Finding& finding) {
    return finding.state == lock::State::kPinned;
  });
  return found;
}

// Told beside the report, which is about the lock.
bool ViolatesPolicy(const LockedFile& file,
                    const std::vector<lock::UsedName>& used) {
  try {
    EnforcePoliciesOnLock(file.path, &file.parsed, used, *file.lock);
    return false;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kPolicy) throw;
    std::fputs(error.Render().c_str(), stderr);
    return true;
  }
}

template <typename Probe>
int Report(App& app, const LockFlags& flags,
           const std::vector<std::string>& paths, Probe probe) {
  const std::vector<LockedFile> files =
      ReadLockedFiles(flags, paths, Hold::kNo);
  for (const LockedFile& file : files) RequireLock(file);
  const auto table = OpenNameTable(app);
  const auto lease = app.store().Hold();
  for (const LockedFile& file : files) Expect(*file.lock, *table);
  std::vector<FileFindings> report;
  bool violated = false;
  for (const LockedFile& file : files) {
    app.cancel.Check();
    FileFindings findings{file.path, file.lock_path, {}};
    std::vector<std::string> warnings;
    const auto used =
        build::UsedNames(file.parsed, *file.lock, *table, &warnings);
    for (const std::string& warning : warnings) {
      fmt::print(stderr, "warning: {}: {}\n", file.lock_path, warning);
    }
    violated = ViolatesPolicy(file, used) || violated;
    findings.findings = Offline(file, used);
    for (lock::Finding& finding : probe(*file.lock, *table)) {
      finding.range = PlaceOf(used, finding.kind, finding.name, finding.range);
      findings.findings.push_back(std::move(finding));
    }
    report.push_back(std::move(findings));
  }
  std::fputs(ReportFindings(report, flags.format).c_str(), stdout);
  const int status = StatusOf(report);
  return status == 0 && violated ? static_cast<int>(ErrorCode::kPolicy)
                                 : status;
}

}  // namespace

int LockCheck(App& app, const Words& words) {
  LockFlags flags;
  bool check = false;
  Args args("lock --check [OPTIONS] [PATH…]",
            "Tell what the locked names stand for now: one request a name. "
            "Exit status 6 when something moved or the lock is stale.");
  AddLockFileFlags(args, flags, kFindingFormats);
  args.Flag("--check", &check, "this");
  args.Positionals("PATH", &flags.words, false, "as for `lock`");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(flags.format, {"text", "json", "sarif", "markdown"});
  return Report(app, flags, flags.words,
                [&](const lock::Lockfile& lock, build::NameTable& table) {
                  return ProbeNames(lock, table, SystemClock().NowSeconds());
                });
}

int LockVerify(App& app, const Words& words) {
  LockFlags flags;
  Args args("lock verify [OPTIONS] [PATH…]",
            "Fetch everything that is locked from where it came, without the "
            "store, and compare the bytes; ask for every layer.");
  AddLockFileFlags(args, flags, kFindingFormats);
  args.Positionals("PATH", &flags.words, false, "as for `lock`");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(flags.format, {"text", "json", "sarif", "markdown"});
  return Report(app, flags, flags.words,
                [&](const lock::Lockfile& lock, build::NameTable& table) {
                  return VerifyPins(app, lock, table);
                });
}

}  // namespace imgbuild::cli
