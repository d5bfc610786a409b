#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/progress_json.h"
#include "cli/progress_plain.h"

namespace imgbuild::cli {
namespace {

class PlainDisplay : public ProgressDisplay {
 public:
  explicit PlainDisplay(std::FILE* out) : sink_(out) {}
  ProgressSink& sink() override { return sink_; }
  void Close() override {}
  std::string FailureBlock() const override { return sink_.FailureBlock(); }

 private:
  PlainProgress sink_;
};

// Shows nothing, but keeps what a failing step said.
class QuietDisplay : public ProgressDisplay {
 public:
  QuietDisplay() : sink_(nullptr) {}
  ProgressSink& sink() override { return sink_; }
  void Close() override {}
  std::string FailureBlock() const override { return sink_.FailureBlock(); }

 private:
  PlainProgress sink_;
};

class JsonDisplay : public ProgressDisplay {
 public:
  explicit JsonDisplay(std::FILE* out) : sink_(out) {}
  ProgressSink& sink() override { return sink_; }
  void Close() override {}
  std::string FailureBlock() const override { return ""; }

 private:
  JsonProgress sink_;
};

}  // namespace

std::unique_ptr<ProgressDisplay> MakeProgress(const std::string& kind,
                                              std::FILE* out) {
  std::string chosen = kind;
  if (chosen == "auto") {
    const char* term = std::getenv("TERM");
    const bool dumb = term == nullptr || std::string_view(term) == "dumb";
    chosen = ::isatty(::fileno(out)) != 0 && !dumb ? "tty" : "plain";
  }
  if (chosen == "plain") return std::make_unique<PlainDisplay>(out);
  if (chosen == "tty") return MakeTtyDisplay(out);
  if (chosen == "quiet" || chosen == "none") {
    return std::make_unique<QuietDisplay>();
  }
  if (chosen == "rawjson") return std::make_unique<JsonDisplay>(out);
  Error error(ErrorCode::kUsage,
              fmt::format("unknown --progress {}", Quoted(kind)));
  const auto near =
      Suggest(kind, {"auto", "plain", "tty", "quiet", "rawjson", "none"});
  throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                            : "it is auto, plain, tty, quiet, rawjson or none");
}

}  // namespace imgbuild::cli
