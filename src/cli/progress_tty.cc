// Progress on a terminal: the rows of the build, redrawn in place.
//   [+] Building 1.2s (5/8)
//    => CACHED [builder 2/4] RUN make
//    => [builder 3/4] RUN make test                        0.8s
//    => => cc -c main.c
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cli/progress.h"

namespace imgbuild::cli {
namespace {

using Time = std::chrono::steady_clock::time_point;

double Seconds(Time from, Time to) {
  return std::chrono::duration<double>(to - from).count();
}

struct Row {
  std::string name;
  bool started = false;
  bool finished = false;
  VertexOutcome outcome = VertexOutcome::kDone;
  Time begin;
  Time end;
  std::string partial;
  std::deque<std::string> tail;
};

// What a terminal must not be told by a step: everything but text.
std::string Printable(std::string_view line) {
  std::string out;
  for (const char c : line) {
    if (c == '\t') {
      out += "    ";
    } else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) {
      out += c;
    }
  }
  return out;
}

std::string Cut(const std::string& text, size_t width) {
  size_t columns = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) == 0x80) continue;
    if (columns++ == width) return text.substr(0, i);
  }
  return text;
}

class TtyProgress : public ProgressSink, public ProgressDisplay {
 public:
  explicit TtyProgress(std::FILE* out)
      : out_(out),
        start_(std::chrono::steady_clock::now()),
        thread_([this] { Redraw(); }) {}
  ~TtyProgress() override { Stop(); }

  ProgressSink& sink() override { return *this; }
  void Close() override { Stop(); }

  VertexId AddVertex(const std::string& name) override {
    const std::scoped_lock lock(mutex_);
    rows_.emplace_back();
    rows_.back().name = name;
    return static_cast<VertexId>(rows_.size() - 1);
  }
  void Started(VertexId vertex) override {
    const std::scoped_lock lock(mutex_);
    rows_[vertex].started = true;
    rows_[vertex].begin = std::chrono::steady_clock::now();
  }
  void Log(VertexId vertex, int, std::string_view bytes) override {
    const std::scoped_lock lock(mutex_);
    Row& row = rows_[vertex];
    row.partial += bytes;
    size_t begin = 0;
    for (size_t end = row.partial.find('\n'); end != std::string::npos;
         end = row.partial.find('\n', begin)) {
      row.tail.push_back(row.partial.substr(begin, end - begin));
      if (row.tail.size() > 50) row.tail.pop_front();
      begin = end + 1;
    }
    row.partial.erase(0, begin);
  }
  void Progress(VertexId, std::string_view, uint64_t, uint64_t) override {}
  void Finished(VertexId vertex, VertexOutcome outcome,
                const std::string&) override {
    const std::scoped_lock lock(mutex_);
    Row& row = rows_[vertex];
    row.finished = true;
    row.outcome = outcome;
    row.end = std::chrono::steady_clock::now();
    if (!row.partial.empty()) row.tail.push_back(row.partial);
  }
  void Message(const std::string& line) override {
    const std::scoped_lock lock(mutex_);
    messages_.push_back(line);
  }
  void Warning(const std::string& line) override {
    Message("warning: " + line);
  }

  std::string FailureBlock() const override {
    const std::scoped_lock lock(mutex_);
    for (const Row& row : rows_) {
      if (!row.finished || row.outcome != VertexOutcome::kError ||
          row.tail.empty()) {
        continue;
      }
      std::string text = fmt::format("------\n > {}:\n", row.name);
      for (const std::string& line : row.tail) text += line + "\n";
      return text + "------\n";
    }
    return "";
  }

 private:
  void Stop() {
    {
      const std::scoped_lock lock(mutex_);
      if (stopped_) return;
      stopped_ = true;
    }
    wake_.notify_all();
    thread_.join();
    const std::scoped_lock lock(mutex_);
    Draw(true);
  }

  void Redraw() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
      wake_.wait_for(lock, std::chrono::milliseconds(100));
      Draw(false);
    }
  }

  static const char* Mark(const Row& row) {
    if (!row.finished) return "";
    switch (row.outcome) {
      case VertexOutcome::kCached:
        return "CACHED ";
      case VertexOutcome::kSkipped:
        return "SKIPPED ";
      case VertexOutcome::kError:
        return "ERROR ";
      case VertexOutcome::kCancelled:
        return "CANCELED ";
      case VertexOutcome::kDone:
        break;
    }
    return "";
  }

  // Rows that do not fit: the finished ones at the top go first.
  void Draw(bool last) {
    winsize size = {};
    size_t width = 80;
    size_t height = 24;
    if (::ioctl(::fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      width = size.ws_col;
      height = std::max<size_t>(size.ws_row, 4);
    }
    std::string text;
    if (drawn_ > 0) text += fmt::format("\033[{}A\033[J", drawn_);
    for (const std::string& line : messages_) text += line + "\n";
    messages_.clear();
    const Time now = std::chrono::steady_clock::now();
    std::vector<std::string> lines;
    size_t done = 0;
    for (const Row& row : rows_) {
      if (row.finished) ++done;
      if (!row.started) continue;
      const std::string time = fmt::format(
          "{:.1f}s", Seconds(row.begin, row.finished ? row.end : now));
      std::string left =
          Cut(fmt::format(" => {}{}", Mark(row), Printable(row.name)),
              width > 10 ? width - 9 : width);
      lines.push_back(
          fmt::format("{:<{}}{:>8}", left, width > 10 ? width - 9 : 0, time));
      if (!row.finished && !last) {
        const size_t count = std::min<size_t>(row.tail.size(), 4);
        for (size_t i = row.tail.size() - count; i < row.tail.size(); ++i) {
          lines.push_back(Cut(" => => " + Printable(row.tail[i]), width - 1));
        }
      }
    }
    if (!last && lines.size() + 2 > height) {
      lines.erase(lines.begin(),
                  lines.end() - static_cast<std::ptrdiff_t>(height - 2));
    }
    text += fmt::format("[+] Building {:.1f}s ({}/{})\n", Seconds(start_, now),
                        done, rows_.size());
    for (const std::string& line : lines) text += line + "\n";
    drawn_ = lines.size() + 1;
    std::fputs(text.c_str(), out_);
    std::fflush(out_);
  }

  std::FILE* out_;
  const Time start_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Row> rows_;
  std::vector<std::string> messages_;
  size_t drawn_ = 0;
  bool stopped_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

std::unique_ptr<ProgressDisplay> MakeTtyDisplay(std::FILE* out) {
  return std::make_unique<TtyProgress>(out);
}

}  // namespace imgbuild::cli
