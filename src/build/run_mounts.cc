#include "build/run_mounts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "imgbuild/build/ssh_agents.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "build/memory_dir.h"
#include "build/secret.h"
#include "build/selection.h"

namespace imgbuild::build {
namespace {

using dockerfile::MountSpec;

void SetOwner(const std::string& path, uint32_t mode, uint32_t uid,
              uint32_t gid) {
  if (::chown(path.c_str(), uid, gid) != 0) {
    throw ErrnoError("chown", path, errno);
  }
  if (::chmod(path.c_str(), mode) != 0) throw ErrnoError("chmod", path, errno);
}

void WriteOwned(int dir_fd, const std::string& name, std::string_view text,
                uint32_t mode, uint32_t uid, uint32_t gid) {
  const UniqueFd file = fs::Open(
      dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0777);
  fs::WriteAll(file.get(), AsBytes(text), name);
  if ((uid != 0 || gid != 0) && ::fchown(file.get(), uid, gid) != 0) {
    throw ErrnoError("chown", name, errno);
  }
  if (::fchmod(file.get(), mode) != 0) throw ErrnoError("chmod", name, errno);
}

}  // namespace

RunMounts::RunMounts(Step& step, const plan::RunOp& op,
                     const exec::ContainerEdits& edits, const FileTree& root)
    : step_(step), root_(root) {
  for (const plan::RunMount& mount : op.mounts) {
    try {
      switch (mount.spec.type) {
        case MountSpec::Type::kBind:
          AddBind(mount);
          break;
        case MountSpec::Type::kCache:
          AddCache(mount);
          break;
        case MountSpec::Type::kTmpfs:
          AddTmpfs(mount);
          break;
        case MountSpec::Type::kSecret:
          AddSecret(mount);
          break;
        case MountSpec::Type::kSsh:
          AddSsh(mount);
          break;
      }
    } catch (Error& error) {
      throw error.At(mount.spec.range);
    }
  }
  if (op.script) AddScript(*op.script);
  for (const auto& bind : edits.binds) AddDeviceFile(bind);
}

std::string RunMounts::InRoot(const std::string& target) const {
  return "/" + ResolveInTree(root_, target.substr(1), true);
}

RunMounts::Materialized RunMounts::Materialize(const plan::FileSource& from,
                                               const std::string& path,
                                               const SourceRange& range,
                                               const fs::TempDir& dir) {
  const auto source = step_.Source(from);
  const Selection selection = SelectPath(*source, path, range);
  const Selected& match = selection.matches.at(0);
  // A file keeps its name below the directory, a tree gives its contents.
  const size_t slash = match.path.rfind('/');
  const std::string strip = match.directory() ? match.path
                            : slash == std::string::npos
                                ? ""
                                : match.path.substr(0, slash);
  WriteItems(source, source->Walk(match.path, nullptr), strip, INT64_MAX,
             dir.fd(), step_.env().pool, step_.state().cancel);
  if (match.directory()) {
    const FileInfo& info = match.info;
    if (::fchmod(dir.fd(), info.mode) != 0 ||
        ::fchown(dir.fd(), info.uid, info.gid) != 0) {
      throw ErrnoError("chmod", dir.path(), errno);
    }
    return {dir.path(), false};
  }
  if (::fchmod(dir.fd(), 0755) != 0) {
    throw ErrnoError("chmod", dir.path(), errno);
  }
  return {dir.path() + match.path.substr(strip.empty() ? 0 : strip.size())
                           .insert(0, strip.empty() ? "/" : ""),
          true};
}

void RunMounts::AddBind(const plan::RunMount& mount) {
  temporary_.push_back(step_.env().store.NewTemp("bind-"));
  const Materialized files =
      Materialize(mount.from.value_or(plan::FileSource{}), mount.spec.source,
                  mount.spec.range, temporary_.back());
  exec::Mount out;
  out.source = files.path;
  out.target = InRoot(mount.target);
  out.target_is_file = files.is_file;
  out.read_only = mount.spec.read_only;
  mounts_.push_back(std::move(out));
}

void RunMounts::AddCache(const plan::RunMount& mount) {
  const MountSpec& spec = mount.spec;
  const std::string id = spec.id.empty() ? mount.target : spec.id;
  std::string dir = step_.env().store.CacheMountDir(id);
  if (spec.sharing == MountSpec::Sharing::kPrivate) {
    // A further instance for each step that is at it now.
    for (int n = 1;; ++n) {
      auto lock = fs::FileLock::Try(AT_FDCWD, dir + ".lock",
                                    fs::FileLock::Mode::kExclusive);
      if (lock) {
        locks_.push_back(std::move(*lock));
        break;
      }
      dir = step_.env().store.CacheMountDir(fmt::format("{}\n{}", id, n));
    }
  } else {
    locks_.emplace_back(AT_FDCWD, dir + ".lock",
                        spec.sharing == MountSpec::Sharing::kLocked
                            ? fs::FileLock::Mode::kExclusive
                            : fs::FileLock::Mode::kShared);
  }
  const std::string files = dir + "/files";
  if (!fs::LstatIfExists(AT_FDCWD, files)) {
    // Filled beside it and renamed: a step that is killed leaves no half.
    fs::TempDir fresh = step_.env().store.NewTemp("cache-");
    if (mount.from) {
      Materialize(*mount.from, spec.source, spec.range, fresh);
    } else if (::fchmod(fresh.fd(), 0755) != 0) {
      throw ErrnoError("chmod", files, errno);
    }
    // What is not said stays as the seed has it.
    if (spec.mode && ::fchmod(fresh.fd(), *spec.mode) != 0) {
      throw ErrnoError("chmod", files, errno);
    }
    constexpr auto kAsItIs = static_cast<uint32_t>(-1);
    if (::fchown(fresh.fd(), spec.uid.value_or(kAsItIs),
                 spec.gid.value_or(kAsItIs)) != 0) {
      throw ErrnoError("chown", files, errno);
    }
    if (::rename(fresh.path().c_str(), files.c_str()) == 0) {
      fresh.Release();
    } else if (errno != ENOTEMPTY && errno != EEXIST) {
      throw ErrnoError("rename", files, errno);
    }
  }
  exec::Mount out;
  out.source = files;
  out.target = InRoot(mount.target);
  out.read_only = spec.read_only;
  mounts_.push_back(std::move(out));
}

void RunMounts::AddTmpfs(const plan::RunMount& mount) {
  exec::Mount out;
  out.type = exec::Mount::Type::kTmpfs;
  out.target = InRoot(mount.target);
  out.tmpfs_size = mount.spec.size_bytes;
  out.read_only = mount.spec.read_only;
  mounts_.push_back(std::move(out));
}

void RunMounts::AddSecret(const plan::RunMount& mount) {
  const MountSpec& spec = mount.spec;
  const std::optional<std::string> value =
      ReadSecret(step_.state().request.secrets, spec.id);
  if (!value) {
    if (!spec.required) {
      // No file, but the variable is there and empty.
      if (spec.env) secret_env_.push_back(*spec.env + "=");
      return;
    }
    throw Error(
        ErrorCode::kStep,
        fmt::format("secret {} is required and was not given", Quoted(spec.id)))
        .WithHint(fmt::format("pass --secret id={},src=FILE or "
                              "--secret id={},env=VARIABLE",
                              spec.id, spec.id));
  }
  if (spec.env) secret_env_.push_back(*spec.env + "=" + *value);
  if (spec.env && spec.target.empty()) return;
  temporary_.push_back(MemoryDir());
  WriteOwned(temporary_.back().fd(), "secret", *value, spec.mode.value_or(0400),
             spec.uid.value_or(0), spec.gid.value_or(0));
  exec::Mount out;
  out.source = temporary_.back().path() + "/secret";
  out.target = InRoot(mount.target);
  out.target_is_file = true;
  out.read_only = true;
  mounts_.push_back(std::move(out));
}

void RunMounts::AddSsh(const plan::RunMount& mount) {
  const MountSpec& spec = mount.spec;
  const std::string id = spec.id.empty() ? "default" : spec.id;
  const SshAgents* agents = step_.state().request.ssh;
  const auto upstream = agents == nullptr ? std::nullopt : agents->Socket(id);
  if (!upstream) {
    if (!spec.required) return;
    throw Error(ErrorCode::kStep,
                fmt::format("ssh agent {} is required and was not forwarded",
                            Quoted(id)))
        .WithHint(fmt::format("pass --ssh {0}, or --ssh {0}=KEYFILE", id));
  }
  temporary_.push_back(MemoryDir());
  const std::string socket = temporary_.back().path() + "/agent";
  proxies_.emplace_back(socket, *upstream);
  SetOwner(socket, spec.mode.value_or(0600), spec.uid.value_or(0),
           spec.gid.value_or(0));
  exec::Mount out;
  out.source = socket;
  out.target = InRoot(mount.target);
  out.target_is_file = true;
  mounts_.push_back(std::move(out));
}

void RunMounts::AddScript(const plan::RunOp::Script& script) {
  temporary_.push_back(MemoryDir());
  WriteOwned(temporary_.back().fd(), "script", script.text, 0755, 0, 0);
  exec::Mount out;
  out.source = temporary_.back().path() + "/script";
  out.target = script.path;
  out.target_is_file = true;
  out.read_only = true;
  mounts_.push_back(std::move(out));
}

void RunMounts::AddDeviceFile(const exec::ContainerEdits::Bind& bind) {
  struct ::stat st = {};
  if (::stat(bind.source.c_str(), &st) != 0) {
    throw ErrnoError("mount", bind.source, errno)
        .WithHint("a description of a device (CDI) of this host names it");
  }
  exec::Mount out;
  out.source = bind.source;
  out.target = InRoot("/" + fs::CleanRelative(bind.target));
  out.target_is_file = !S_ISDIR(st.st_mode);
  out.read_only = bind.read_only;
  out.options = bind.options;
  // The device's own file is the one that shows.
  std::erase_if(mounts_, [&](const exec::Mount& other) {
    return other.target == out.target;
  });
  mounts_.push_back(std::move(out));
}

}  // namespace imgbuild::build
