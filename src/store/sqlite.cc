#include "store/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::store {
namespace {

// Another process's transaction is short; a wait this long means that it hangs.
constexpr int kBusyMilliseconds = 30'000;

}  // namespace

Query::Query(Query&& other) noexcept
    : db_(other.db_), sql_(other.sql_), statement_(other.statement_) {
  other.statement_ = nullptr;
}

Query::~Query() {
  if (statement_ != nullptr) db_->GiveBack(sql_, statement_);
}

void Query::Check(int result, const char* what) const {
  if (result != SQLITE_OK) db_->Throw(result, what);
}

Query& Query::Int(int parameter, int64_t value) {
  Check(sqlite3_bind_int64(statement_, parameter, value), "bind");
  return *this;
}

Query& Query::Text(int parameter, std::string_view value) {
  // SQLITE_TRANSIENT: values are short and callers pass temporaries.
  Check(sqlite3_bind_text64(statement_, parameter, value.data(), value.size(),
                            SQLITE_TRANSIENT, SQLITE_UTF8),
        "bind");
  return *this;
}

Query& Query::Blob(int parameter, std::string_view value) {
  // A null pointer would bind NULL instead of an empty blob.
  const char* data = value.data() == nullptr ? "" : value.data();
  Check(sqlite3_bind_blob64(statement_, parameter, data, value.size(),
                            SQLITE_TRANSIENT),
        "bind");
  return *this;
}

Query& Query::Null(int parameter) {
  Check(sqlite3_bind_null(statement_, parameter), "bind");
  return *this;
}

bool Query::Step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  db_->Throw(result, "query");
}

void Query::Run() {
  while (Step()) {
  }
}

int64_t Query::GetInt(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::string_view Query::GetText(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Query::GetBlob(int column) const {
  const void* blob = sqlite3_column_blob(statement_, column);
  if (blob == nullptr) return {};
  return {static_cast<const char*>(blob),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Query::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Database::Database(const std::string& path) : path_(path) {
  const int result = sqlite3_open_v2(
      path.c_str(), &db_,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  try {
    if (result != SQLITE_OK) Throw(result, "open");
    sqlite3_extended_result_codes(db_, 1);
    sqlite3_busy_timeout(db_, kBusyMilliseconds);
    // A checkpoint costs two fsyncs; it runs when the log is long (see
    // MetaDb), not each time a short command ends.
    sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  } catch (...) {
    sqlite3_close_v2(db_);
    throw;
  }
}

Database::~Database() {
  for (const auto& [sql, statement] : idle_) sqlite3_finalize(statement);
  sqlite3_close_v2(db_);
}

void Database::Exec(const char* sql) {
  const int result = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) Throw(result, "query");
}

Query Database::Prepare(const char* sql) {
  const auto it = idle_.find(sql);
  if (it != idle_.end()) {
    sqlite3_stmt* statement = it->second;
    idle_.erase(it);
    return Query(*this, sql, statement);
  }
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                        &statement, nullptr);
  if (result != SQLITE_OK) Throw(result, "prepare");
  return Query(*this, sql, statement);
}

void Database::GiveBack(const char* sql, sqlite3_stmt* statement) noexcept {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (!idle_.emplace(sql, statement).second) sqlite3_finalize(statement);
}

int64_t Database::Changes() const { return sqlite3_changes64(db_); }

void Database::Throw(int code, std::string_view what) const {
  const int os_error = db_ == nullptr ? 0 : sqlite3_system_errno(db_);
  const std::string text =
      db_ == nullptr ? sqlite3_errstr(code) : std::string(sqlite3_errmsg(db_));
  switch (code & 0xFF) {
    case SQLITE_FULL:
      throw ErrnoError("write", path_, ENOSPC);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(ErrorCode::kHost,
                  fmt::format("{} {}: another process has held the store's "
                              "database for {} seconds",
                              what, Quoted(path_), kBusyMilliseconds / 1000))
          .Temporary();
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw Error(ErrorCode::kHost, fmt::format("{} {}: the database is damaged"
                                                " ({})",
                                                what, Quoted(path_), text))
          .WithHint(
              "move the file away: names and cache records are lost, "
              "blobs are kept until the next prune");
    case SQLITE_READONLY:
      throw Error(ErrorCode::kHost, fmt::format("write {}: the store is "
                                                "read-only",
                                                Quoted(path_)));
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      if (os_error != 0) throw ErrnoError(what, path_, os_error);
      break;
    default:
      break;
  }
  throw Error(ErrorCode::kHost,
              fmt::format("{} {}: {}", what, Quoted(path_), text));
}

Transaction::Transaction(Database& db, Sync sync) : db_(db), sync_(sync) {
  if (sync_ == Sync::kDurable) db_.Exec("PRAGMA synchronous=FULL");
  db_.Exec("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  try {
    if (open_) db_.Exec("ROLLBACK");
    if (sync_ == Sync::kDurable) db_.Exec("PRAGMA synchronous=NORMAL");
  } catch (const Error&) {
    // SQLite has rolled back by itself (disk full, I/O error).
  }
}

void Transaction::Commit() {
  db_.Exec("COMMIT");
  open_ = false;
}

}  // namespace imgbuild::store
