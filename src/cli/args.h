// One command's flags. CLI11 stays behind this; mistakes are our Error with
// the nearest flag.
#ifndef IMGBUILD_CLI_ARGS_H_
#define IMGBUILD_CLI_ARGS_H_

#include <memory>
#include <string>
#include <vector>

namespace imgbuild::cli {

class Args {
 public:
  // `usage` is what follows the program's name: "build [OPTIONS] PATH".
  Args(const std::string& usage, const std::string& description);
  ~Args();

  // Names as CLI11 writes them: "-q,--quiet". Targets outlive Parse().
  void Flag(const std::string& names, bool* target, const std::string& help);
  // The same, left out of --help: for tests.
  void HiddenFlag(const std::string& names, bool* target);
  // The last one wins.
  void Value(const std::string& names, std::string* target,
             const std::string& placeholder, const std::string& help);
  // May repeat; in order.
  void List(const std::string& names, std::vector<std::string>* target,
            const std::string& placeholder, const std::string& help);
  void Positional(const std::string& name, std::string* target, bool required,
                  const std::string& help);
  void Positionals(const std::string& name, std::vector<std::string>* target,
                   bool required, const std::string& help);
  // -h is a flag of the command's own (run's host name); --help stays.
  void FreeShortH();
  // The first word that is no flag and everything after it, untouched:
  // `run [OPTIONS] IMAGE [COMMAND…]`.
  void Rest(std::vector<std::string>* target);

  // "--tag", "--quiet": the long names so far, but --help.
  std::vector<std::string> Names() const;

  // False when --help was asked for and has been printed. Throws
  // Error(kUsage).
  bool Parse(const std::vector<std::string>& words);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_ARGS_H_
