// What names stand for, for `pin`: out of the lock beside a Dockerfile, else
// from the registry, each distinct name asked for once over all files.
#ifndef IMGBUILD_CLI_PIN_DIGESTS_H_
#define IMGBUILD_CLI_PIN_DIGESTS_H_

#include <exception>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/lock/lockfile.h"
#include "imgbuild/lock/pin.h"

#include "cli/app.h"

namespace imgbuild::cli {

class PinDigests {
 public:
  PinDigests(App& app, bool ignore_locks)
      : app_(app), ignore_locks_(ignore_locks) {}

  // Notes the names that pinning this file will ask for. Throws Error
  // (kDockerfile) when there is a lock beside it that cannot be read.
  void Expect(const dockerfile::Dockerfile& file, const std::string& path,
              const std::vector<lock::UsedName>& used, lock::PinMode mode);
  // Asks the registries, 16 names at a time. A name that fails does not stop
  // the others: For() throws its error when it is wanted.
  void Fetch();
  // Valid while *this lives. With a lock the registry is not asked: a name that
  // the lock does not have is an Error(kPolicy), never a look elsewhere.
  lock::DigestOf For(const std::string& path) const;

 private:
  struct Answer {
    std::optional<oci::Digest> digest;
    std::exception_ptr error;
  };
  App& app_;
  const bool ignore_locks_;
  std::map<std::string, Answer> answers_;        // by canonical name
  std::map<std::string, lock::Lockfile> locks_;  // by the Dockerfile's path
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_PIN_DIGESTS_H_
