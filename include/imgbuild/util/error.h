// The one error currency: an exception with a category, a message, where it
// happened and what to do next. "Absent" is never an error: functions that may
// find nothing return std::optional. Exceptions of libraries are turned into
// Error where they enter.
//
// Message grammar: lower case, no full stop, names in "double quotes", the
// operation first: `open "/x/y": no such file or directory`.
#ifndef IMGBUILD_UTIL_ERROR_H_
#define IMGBUILD_UTIL_ERROR_H_

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/source.h"

namespace imgbuild {

// The category decides the exit status (the values are the statuses).
enum class ErrorCode {
  kStep = 1,        // a step of the build failed
  kFailed = kStep,  // what was asked of images and containers cannot be done
  kUsage = 2,       // the command line is wrong
  kDockerfile = 3,  // the Dockerfile or the lock is invalid
  kRegistry = 4,    // registry or network
  kHost = 5,        // the store, the host, an internal mistake
  kPolicy = 6,      // the lock or a policy is violated
  kInterrupted = 130,
};

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message);

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  const SourceRange& range() const { return range_; }
  const std::string& hint() const { return hint_; }
  // Outermost last: "while running step 4/7", "while building stage x".
  const std::vector<std::string>& frames() const { return frames_; }
  // True when the same request may succeed later (a registry's 503, a reset
  // connection): the retry layer looks at nothing else.
  bool temporary() const { return temporary_; }

  // Fluent additions; each returns *this. At() keeps a range that is already
  // set: the innermost one knows best.
  Error& At(const SourceRange& range);
  Error& WithHint(std::string hint);
  Error& While(std::string frame);
  Error& Temporary(bool value = true);
  // Free-form lines to print after the message (a log tail, a list of
  // candidates).
  Error& WithNote(std::string note);
  const std::vector<std::string>& notes() const { return notes_; }

  // The message alone (Render() has the rest).
  const char* what() const noexcept override { return message_.c_str(); }
  // The whole text for people, ended by '\n':
  //   error: MESSAGE
  //     --> FILE:LINE:COL … excerpt …
  //      = while …
  //      = hint: …
  std::string Render() const;

 private:
  ErrorCode code_;
  std::string message_;
  SourceRange range_;
  std::string hint_;
  std::vector<std::string> frames_;
  std::vector<std::string> notes_;
  bool temporary_ = false;
};

// errno becomes an Error here and nowhere else: `open "/x": permission denied`.
// ENOSPC and EDQUOT get a hint about disk space.
Error ErrnoError(std::string_view operation, std::string_view object,
                 int error_number, ErrorCode code = ErrorCode::kHost);

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_ERROR_H_
