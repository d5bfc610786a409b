// One table of the lock while it is read: known fields are taken out by name
// and checked, what is left is kept as text. Every mistake is an Error at its
// place. toml++ stays behind this header's .cc and parse.cc.
#ifndef IMGBUILD_LOCK_TOML_FIELDS_H_
#define IMGBUILD_LOCK_TOML_FIELDS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// The library alone, not Debian's shared object: it is needed by few commands.
// Damaged text runs into asserts of its parser, which goes on to report the
// mistake properly (as it does where NDEBUG turns them off).
#define TOML_HEADER_ONLY 1
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>

#include "imgbuild/lock/lockfile.h"
#include "imgbuild/util/error.h"

namespace imgbuild::lock {

// toml++ counts columns in code points; a SourceRange counts bytes.
SourceRange RangeOf(const std::shared_ptr<const SourceFile>& source,
                    const toml::source_region& region);

Error LockError(std::string message, const SourceRange& range);

// A value as TOML on one line, keys sorted: what UnknownFields keep.
std::string ToTomlText(const toml::node& node);

class Fields {
 public:
  // `what` names the table in messages: "[[image]]". All must outlive it.
  Fields(const toml::table& table,
         const std::shared_ptr<const SourceFile>& source, std::string what)
      : table_(table), source_(source), what_(std::move(what)) {}

  SourceRange range() const { return RangeOf(source_, table_.source()); }
  SourceRange RangeOfField(std::string_view key) const;
  const std::string& what() const { return what_; }

  // Each marks its key as known. Absent: "" / nullopt / false / empty.
  const toml::node* Node(std::string_view key);
  std::string String(std::string_view key);
  std::optional<int64_t> Integer(std::string_view key);
  bool Flag(std::string_view key);
  std::vector<std::string> Strings(std::string_view key);
  std::map<std::string, std::string> Map(std::string_view key);
  std::vector<oci::Digest> Digests(std::string_view key);
  const toml::table* Table(std::string_view key);
  // The tables of [[key]].
  std::vector<const toml::table*> Tables(std::string_view key);

  // Throw when the key is absent.
  std::string RequireString(std::string_view key);
  oci::Digest RequireDigest(std::string_view key);
  uint64_t RequireSize(std::string_view key);

  // Fields that nobody asked for.
  UnknownFields Rest() const;
  // "KEY of WHAT is not a string".
  Error WrongType(std::string_view key, std::string_view wanted) const;
  Error At(std::string_view key, std::string message) const;

 private:
  oci::Digest ToDigest(std::string_view key, const toml::node& node);
  Error Missing(std::string_view key) const;

  const toml::table& table_;
  const std::shared_ptr<const SourceFile>& source_;
  std::string what_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_TOML_FIELDS_H_
