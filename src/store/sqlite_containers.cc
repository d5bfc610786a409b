#include "store/sqlite_containers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "imgbuild/store/store.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"
#include "imgbuild/util/unique_fd.h"

#include "store/record_codec.h"

namespace imgbuild::store {
namespace {

using Sync = Transaction::Sync;

constexpr char kLockFile[] = "lock";
constexpr size_t kIdLength = 64;
// Whoever makes a directory locks it right afterwards.
constexpr int64_t kMinAgeSeconds = 60;

bool IsHex(std::string_view text) {
  return !text.empty() && text.size() <= kIdLength &&
         std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

struct flock WholeFile(short type) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  return range;
}

class FileContainerLock : public ContainerLock {
 public:
  explicit FileContainerLock(UniqueFd fd) : fd_(std::move(fd)) {}
  // By name and not by closing: a child that another thread is just starting
  // has a copy of the descriptor until it execs.
  ~FileContainerLock() override {
    struct flock range = WholeFile(F_UNLCK);
    ::fcntl(fd_.get(), F_OFD_SETLK, &range);
  }

 private:
  UniqueFd fd_;
};

Error NameTaken(const std::string& name, const std::string& owner) {
  return Error(ErrorCode::kUsage,
               fmt::format("Conflict. The container name \"/{}\" is already in "
                           "use by container {}. You have to remove (or "
                           "rename) that container to be able to reuse that "
                           "name.",
                           name, Quoted(owner)));
}

ContainerRecord ReadRow(const Query& query) {
  ContainerRecord record{std::string(query.GetText(0)),
                         std::string(query.GetText(1)),
                         FromRaw(query.GetBlob(2)),
                         oci::ImageId(FromRaw(query.GetBlob(3))),
                         std::string(query.GetText(4)),
                         query.GetInt(5),
                         query.GetInt(6),
                         query.GetInt(7),
                         static_cast<int>(query.GetInt(8)),
                         static_cast<int>(query.GetInt(9)),
                         query.GetInt(10) != 0,
                         std::string(query.GetText(11)),
                         std::string(query.GetText(12))};
  return record;
}

// What an update may change, as parameters ?2 to ?10; the id is ?1.
Query BindRecord(Query query, const ContainerRecord& record) {
  query.Text(1, record.id)
      .Text(2, record.reference)
      .Int(3, record.created_ns)
      .Int(4, record.started_ns)
      .Int(5, record.finished_ns)
      .Int(6, record.exit_code)
      .Int(7, record.restarts)
      .Int(8, record.out_of_memory ? 1 : 0)
      .Text(9, record.error)
      .Text(10, record.config);
  return query;
}

std::vector<ContainerRecord> ReadRows(Query& query) {
  std::vector<ContainerRecord> records;
  while (query.Step()) records.push_back(ReadRow(query));
  return records;
}

#define IMGBUILD_CONTAINER_COLUMNS                                    \
  "SELECT id,name,manifest,image,reference,created,started,finished," \
  "exit_code,restarts,out_of_memory,error,config FROM container "

}  // namespace

std::string SqliteContainers::Directory(const std::string& id) const {
  return layout_.PathTo("containers/" + id);
}

std::optional<std::string> SqliteContainers::OwnerOf(Database& db,
                                                     const std::string& name) {
  Query query = db.Prepare("SELECT id FROM container WHERE name=?1");
  query.Text(1, name);
  if (!query.Step()) return std::nullopt;
  return std::string(query.GetText(0));
}

void SqliteContainers::Add(const ContainerRecord& record) {
  const std::string dir = "containers/" + record.id;
  fs::MakeDir(layout_.root_fd(), dir, 0700);
  const auto lock = TryLock(record.id);
  const UniqueFd fd = fs::OpenDir(layout_.root_fd(), dir);
  const UniqueFd image = fs::Open(fd.get(), kContainerImageFile,
                                  O_WRONLY | O_CREAT | O_EXCL, 0644);
  fs::WriteAll(image.get(), AsBytes(record.manifest.ToString() + "\n"),
               dir + "/" + kContainerImageFile);
  try {
    const auto db = db_.Open();
    Transaction transaction(*db, Sync::kLazy);
    if (const auto owner = OwnerOf(*db, record.name)) {
      throw NameTaken(record.name, *owner);
    }
    BindRecord(
        db->Prepare(
            "INSERT INTO container(id,reference,created,started,finished,"
            "exit_code,restarts,out_of_memory,error,config,name,manifest,image)"
            " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)"),
        record)
        .Text(11, record.name)
        .Blob(12, ToRaw(record.manifest))
        .Blob(13, ToRaw(record.image.digest()))
        .Run();
    transaction.Commit();
  } catch (const Error&) {
    fs::RemoveTree(layout_.root_fd(), dir);
    throw;
  }
}

std::optional<ContainerRecord> SqliteContainers::FindBy(
    const char* sql, const std::string& value) {
  const auto db = db_.Open();
  Query query = db->Prepare(sql);
  query.Text(1, value);
  if (!query.Step()) return std::nullopt;
  return ReadRow(query);
}

std::optional<ContainerRecord> SqliteContainers::FindPrefix(
    const std::string& prefix) {
  const auto db = db_.Open();
  // 'g' comes after every hex digit.
  Query query = db->Prepare(IMGBUILD_CONTAINER_COLUMNS
                            "WHERE id>=?1 AND id<?2 ORDER BY id");
  const std::string end = prefix + "g";
  query.Text(1, prefix).Text(2, end);
  std::vector<ContainerRecord> found = ReadRows(query);
  if (found.empty()) return std::nullopt;
  if (found.size() == 1) return std::move(found.front());
  Error error(
      ErrorCode::kUsage,
      fmt::format("Multiple IDs found with provided prefix: {}", prefix));
  for (const ContainerRecord& record : found) {
    error.WithNote(fmt::format("{}  {}", record.id.substr(0, 12), record.name));
  }
  throw error.WithHint("give more of the id, or the name");
}

std::optional<ContainerRecord> SqliteContainers::Find(const std::string& text) {
  // The full id wins over a name, a name over a prefix: Docker's order.
  if (text.size() == kIdLength && IsHex(text)) {
    if (auto record = FindBy(IMGBUILD_CONTAINER_COLUMNS "WHERE id=?1", text)) {
      return record;
    }
  }
  const std::string name = text.starts_with('/') ? text.substr(1) : text;
  if (auto record = FindBy(IMGBUILD_CONTAINER_COLUMNS "WHERE name=?1", name)) {
    return record;
  }
  return IsHex(text) ? FindPrefix(text) : std::nullopt;
}

std::vector<ContainerRecord> SqliteContainers::List() {
  const auto db = db_.Open();
  Query query =
      db->Prepare(IMGBUILD_CONTAINER_COLUMNS "ORDER BY created DESC, id");
  return ReadRows(query);
}

bool SqliteContainers::Update(const ContainerRecord& record) {
  const auto db = db_.Open();
  BindRecord(
      db->Prepare(
          "UPDATE container SET reference=?2,created=?3,started=?4,finished=?5,"
          "exit_code=?6,restarts=?7,out_of_memory=?8,error=?9,config=?10 "
          "WHERE id=?1"),
      record)
      .Run();
  return db->Changes() > 0;
}

bool SqliteContainers::Rename(const std::string& id, const std::string& name) {
  const auto db = db_.Open();
  Transaction transaction(*db, Sync::kLazy);
  if (const auto owner = OwnerOf(*db, name)) throw NameTaken(name, *owner);
  db->Prepare("UPDATE container SET name=?2 WHERE id=?1")
      .Text(1, id)
      .Text(2, name)
      .Run();
  const bool changed = db->Changes() > 0;
  transaction.Commit();
  return changed;
}

bool SqliteContainers::Remove(const std::string& id) {
  bool removed = false;
  {
    const auto db = db_.Open();
    db->Prepare("DELETE FROM container WHERE id=?1").Text(1, id).Run();
    removed = db->Changes() > 0;
  }
  fs::RemoveTree(layout_.root_fd(), "containers/" + id);
  return removed;
}

void SqliteContainers::SweepAbandoned() {
  const UniqueFd dir = fs::OpenDir(layout_.root_fd(), "containers");
  for (const std::string& name : fs::ListDir(dir.get())) {
    if (name.size() != kIdLength || !IsHex(name)) continue;
    if (FindBy(IMGBUILD_CONTAINER_COLUMNS "WHERE id=?1", name)) continue;
    const auto st = fs::LstatIfExists(dir.get(), name);
    if (!st || clock_.NowSeconds() - st->st_ctim.tv_sec < kMinAgeSeconds) {
      continue;
    }
    if (!IsLocked(name)) fs::RemoveTree(dir.get(), name);
  }
}

std::vector<ContainerUse> SqliteContainers::UsersOf(const oci::ImageId& image) {
  std::vector<ContainerUse> users;
  {
    const auto db = db_.Open();
    Query query = db->Prepare(
        "SELECT id,name FROM container WHERE image=?1 ORDER BY created DESC");
    query.Blob(1, ToRaw(image.digest()));
    while (query.Step()) {
      users.push_back({std::string(query.GetText(0)),
                       std::string(query.GetText(1)), false});
    }
  }
  for (ContainerUse& use : users) use.running = IsLocked(use.id);
  return users;
}

std::unique_ptr<ContainerLock> SqliteContainers::TryLock(
    const std::string& id) {
  UniqueFd fd =
      fs::Open(layout_.root_fd(), "containers/" + id + "/" + kLockFile,
               O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  struct flock range = WholeFile(F_WRLCK);
  if (::fcntl(fd.get(), F_OFD_SETLK, &range) == 0) {
    return std::make_unique<FileContainerLock>(std::move(fd));
  }
  if (errno == EAGAIN || errno == EACCES) return nullptr;
  throw ErrnoError("lock container", id.substr(0, 12), errno);
}

bool SqliteContainers::IsLocked(const std::string& id) const {
  const UniqueFd fd =
      fs::OpenIfExists(layout_.root_fd(), "containers/" + id + "/" + kLockFile,
                       O_RDONLY | O_NOFOLLOW);
  if (!fd) return false;
  struct flock range = WholeFile(F_WRLCK);
  if (::fcntl(fd.get(), F_OFD_GETLK, &range) != 0) {
    throw ErrnoError("ask for the lock of container", id.substr(0, 12), errno);
  }
  return range.l_type != F_UNLCK;
}

}  // namespace imgbuild::store
