// `--filter KEY=VALUE` of images, history-less listings and prune: the same key
// twice is "or", different keys are "and", as Docker has it.
#ifndef IMGBUILD_CLI_LIST_FILTER_H_
#define IMGBUILD_CLI_LIST_FILTER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace imgbuild::cli {

class ListFilter {
 public:
  // Throws Error(kFailed) in Docker's words: "invalid filter 'x'", with the
  // nearest key.
  ListFilter(const std::vector<std::string>& words,
             const std::vector<std::string>& keys);

  bool Has(const std::string& key) const { return values_.contains(key); }
  // Empty when the key was not given.
  const std::vector<std::string>& Values(const std::string& key) const;
  // dangling=true|1|false|0; nullopt when not given. Throws Error(kFailed).
  std::optional<bool> Bool(const std::string& key) const;
  // label=K and label=K=V: all of them must hold. label!=: none may.
  bool MatchesLabels(const std::map<std::string, std::string>& labels) const;
  bool AsksForLabels() const { return Has("label") || Has("label!"); }
  // The earliest of the values of until=: only what is older passes. Seconds
  // since 1970; nullopt when not given.
  std::optional<int64_t> Until(int64_t now_s) const;

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

// "24h" or "1h30m" (that long before `now_s`), "2024-05-01",
// "2024-05-01T10:00", RFC 3339, seconds since 1970. Throws Error(kFailed).
int64_t ParseMoment(const std::string& text, int64_t now_s);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LIST_FILTER_H_
