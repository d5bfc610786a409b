// SQLite behind a small C++ face: one connection, cached prepared statements,
// its result codes turned into Error. Nothing else in the store sees
// sqlite3.h. Not thread-safe: MetaDb serialises.
#ifndef IMGBUILD_SRC_STORE_SQLITE_H_
#define IMGBUILD_SRC_STORE_SQLITE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace imgbuild::store {

class Database;

// A prepared statement on loan; reset and given back when destroyed. Columns
// count from 0, parameters from 1. Text and blobs are views that are valid
// until the next Step().
class Query {
 public:
  Query(Query&& other) noexcept;
  Query& operator=(Query&&) = delete;
  ~Query();

  Query& Int(int parameter, int64_t value);
  Query& Text(int parameter, std::string_view value);
  Query& Blob(int parameter, std::string_view value);
  Query& Null(int parameter);

  // True while there is a row.
  bool Step();
  // For statements without rows.
  void Run();

  int64_t GetInt(int column) const;
  std::string_view GetText(int column) const;
  std::string_view GetBlob(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  Query(Database& db, const char* sql, sqlite3_stmt* statement)
      : db_(&db), sql_(sql), statement_(statement) {}
  void Check(int result, const char* what) const;

  Database* db_;
  const char* sql_;
  sqlite3_stmt* statement_;
};

class Database {
 public:
  // Opens or creates. Throws Error(kHost).
  explicit Database(const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  // Any number of statements without parameters or rows.
  void Exec(const char* sql);
  // `sql` must be a string literal: statements are cached by its address.
  Query Prepare(const char* sql);
  // Rows changed by the last statement.
  int64_t Changes() const;
  const std::string& path() const { return path_; }
  // Throws the Error for an SQLite result code.
  [[noreturn]] void Throw(int code, std::string_view what) const;

 private:
  friend class Query;
  void GiveBack(const char* sql, sqlite3_stmt* statement) noexcept;

  std::string path_;
  sqlite3* db_ = nullptr;
  std::map<const void*, sqlite3_stmt*> idle_;
};

// BEGIN IMMEDIATE … COMMIT; rolled back unless Commit() was reached.
class Transaction {
 public:
  enum class Sync {
    kLazy,     // survives a crash of the process, maybe not of the machine
    kDurable,  // on the disk when Commit() returns
  };
  Transaction(Database& db, Sync sync);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void Commit();

 private:
  Database& db_;
  Sync sync_;
  bool open_ = true;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_SQLITE_H_
