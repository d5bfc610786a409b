#include "store/mount_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/store/store.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "store/unsynced.h"

namespace imgbuild::store {
namespace {

constexpr size_t kIdLength = 64;
constexpr size_t kMaxRecord = 64 << 10;
constexpr char kRecordFile[] = "record";
constexpr char kFilesDir[] = "files";

std::string PathOf(const std::string& id) {
  return std::string(kMountedDir) + "/" + id;
}

bool IsId(const std::string& name) {
  return name.size() == kIdLength && std::ranges::all_of(name, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

const std::string& MountFiles::BootId() {
  if (boot_id_.empty()) boot_id_ = ReadBootId();
  return boot_id_;
}

void MountFiles::Add(const MountRecord& record) {
  const std::string path = PathOf(record.id);
  fs::MakeDirs(layout_.root_fd(), path + "/" + kFilesDir, 0755);
  const UniqueFd dir = fs::OpenDir(layout_.root_fd(), path);
  fs::WriteFileAtomic(dir.get(), kContainerImageFile,
                      record.manifest.ToString(), 0600);
  // Last: a directory without it is nobody's.
  fs::WriteFileAtomic(dir.get(), kRecordFile,
                      fmt::format("{}\n{}\n{}\n{}\n", BootId(),
                                  record.of_container ? "container" : "image",
                                  record.image.ToString(), record.reference),
                      0600);
}

std::optional<MountRecord> MountFiles::Read(int mounted_fd,
                                            const std::string& id) {
  const auto image = fs::ReadFileIfExists(
      mounted_fd, id + "/" + kContainerImageFile, kMaxRecord);
  const auto text =
      fs::ReadFileIfExists(mounted_fd, id + "/" + kRecordFile, kMaxRecord);
  if (!image || !text) return std::nullopt;
  const std::vector<std::string> lines = Split(*text, '\n');
  const auto manifest = oci::Digest::TryParse(Trim(*image));
  if (lines.size() < 4 || !manifest || lines[0] != BootId()) {
    return std::nullopt;
  }
  const auto config = oci::Digest::TryParse(lines[2]);
  if (!config) return std::nullopt;
  return MountRecord{id, lines[1] == "container", *manifest,
                     oci::ImageId(*config), lines[3]};
}

std::vector<MountRecord> MountFiles::List() {
  std::vector<MountRecord> records;
  const UniqueFd dir =
      fs::OpenIfExists(layout_.root_fd(), kMountedDir, O_RDONLY | O_DIRECTORY);
  if (!dir) return records;
  for (const std::string& name : fs::ListDir(dir.get())) {
    if (!IsId(name)) continue;
    if (auto record = Read(dir.get(), name)) {
      records.push_back(std::move(*record));
    }
  }
  return records;
}

std::optional<MountRecord> MountFiles::Find(const std::string& id) {
  const UniqueFd dir =
      fs::OpenIfExists(layout_.root_fd(), kMountedDir, O_RDONLY | O_DIRECTORY);
  if (!dir || !IsId(id)) return std::nullopt;
  return Read(dir.get(), id);
}

void MountFiles::Remove(const std::string& id) {
  fs::RemoveTree(layout_.root_fd(), PathOf(id));
}

std::string MountFiles::Directory(const std::string& id) const {
  return layout_.PathTo(PathOf(id));
}

std::string MountFiles::MountPoint(const std::string& id) const {
  return Directory(id) + "/" + kFilesDir;
}

void MountFiles::SweepStale() {
  const UniqueFd dir =
      fs::OpenIfExists(layout_.root_fd(), kMountedDir, O_RDONLY | O_DIRECTORY);
  if (!dir) return;
  for (const std::string& name : fs::ListDir(dir.get())) {
    if (!Read(dir.get(), name)) fs::RemoveTree(dir.get(), name);
  }
}

}  // namespace imgbuild::store
