// --chmod: "755", "u=rwX,go=rX", "+x".
#ifndef IMGBUILD_PLAN_CHMOD_H_
#define IMGBUILD_PLAN_CHMOD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::plan {

class Chmod {
 public:
  // Throws Error(kDockerfile) on anything that is neither octal (0–07777) nor a
  // symbolic mode of chmod(1).
  static Chmod Parse(std::string_view text);
  uint32_t Apply(uint32_t mode, bool directory) const;
  // Set for the octal form: the mode of parents that have to be made.
  const std::optional<uint32_t>& octal() const { return octal_; }

 private:
  struct Clause {
    uint32_t who = 0;  // of 07777: the bits it may touch
    char op = '=';
    uint32_t bits = 0;           // rwx replicated for u, g and o; setid, sticky
    bool conditional_x = false;  // X
    char copy_from = 0;          // u, g, o
  };
  static Clause ParseClause(std::string_view text, std::string_view whole,
                            size_t& position);
  std::optional<uint32_t> octal_;
  std::vector<Clause> clauses_;
};

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_CHMOD_H_
