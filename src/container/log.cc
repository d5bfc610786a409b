#include "container/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "imgbuild/container/run.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::container {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// conmon cuts lines much earlier.
constexpr size_t kMaxLine = 1 << 20;
constexpr auto kPoll = std::chrono::milliseconds(50);

// Lines of a file that may still grow.
class LineReader {
 public:
  explicit LineReader(UniqueFd fd) : fd_(std::move(fd)) {}
  // nullopt: no whole line for now.
  std::optional<std::string> Next() {
    for (;;) {
      const size_t end = pending_.find('\n', start_);
      if (end != std::string::npos) {
        std::string line = pending_.substr(start_, end - start_);
        start_ = end + 1;
        return line;
      }
      pending_.erase(0, start_);
      start_ = 0;
      if (pending_.size() > kMaxLine) pending_.clear();
      char buffer[65536];
      const ssize_t n = ::read(fd_.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return std::nullopt;
      pending_.append(buffer, static_cast<size_t>(n));
    }
  }

 private:
  UniqueFd fd_;
  std::string pending_;
  size_t start_ = 0;
};

// Where the last `lines` lines begin. Pieces of one line count as one.
off_t TailOffset(int fd, size_t lines) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  off_t position = size;
  size_t ends = 0;
  std::string block;
  while (position > 0) {
    const off_t from = std::max<off_t>(0, position - 65536);
    block.resize(static_cast<size_t>(position - from));
    const ssize_t n = ::pread(fd, block.data(), block.size(), from);
    if (n <= 0) break;
    for (ssize_t i = n - 1; i >= 0; --i) {
      if (block[static_cast<size_t>(i)] != '\n') continue;
      if (from + i == size - 1) continue;  // the end of the last one
      if (++ends == lines) return from + i + 1;
    }
    position = from;
  }
  return lines == 0 ? size : 0;
}

class Printer {
 public:
  Printer(const LogOptions& options,
          const std::function<void(int, std::string_view)>& out)
      : options_(options), out_(out) {}
  // False: past the end that was asked for.
  bool Print(const std::string& line) {
    const auto parsed = ParseLogLine(line);
    if (!parsed) return true;
    if (options_.until_ns != 0 && parsed->time_ns > options_.until_ns) {
      return false;
    }
    if (parsed->time_ns < options_.since_ns) return true;
    std::string text;
    if (options_.timestamps && !inside_) {
      text = FormatNs(parsed->time_ns) + " ";
    }
    text += parsed->text;
    if (!parsed->partial) text += '\n';
    inside_ = parsed->partial;
    out_(parsed->stream, text);
    return true;
  }

 private:
  const LogOptions& options_;
  const std::function<void(int, std::string_view)>& out_;
  bool inside_ = false;  // a line of which only the beginning came
};

}  // namespace

LogWriter::LogWriter(const std::string& path)
    : fd_(fs::Open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW,
                   0600)) {}

void LogWriter::Write(int stream, std::string_view bytes) {
  const std::string head = fmt::format("{} {} ", FormatNs(NowNs()),
                                       stream == 2 ? "stderr" : "stdout");
  std::string text;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    text += head;
    text += end == std::string_view::npos ? "P " : "F ";
    text += bytes.substr(0, end);
    text += '\n';
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
  }
  fs::WriteAll(fd_.get(), AsBytes(text), "log");
}

std::optional<LogLine> ParseLogLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t second =
      first == std::string_view::npos ? first : line.find(' ', first + 1);
  const size_t third =
      second == std::string_view::npos ? second : line.find(' ', second + 1);
  if (third == std::string_view::npos) return std::nullopt;
  LogLine out;
  out.time = line.substr(0, first);
  const std::string_view stream = line.substr(first + 1, second - first - 1);
  const std::string_view tag = line.substr(second + 1, third - second - 1);
  if ((stream != "stdout" && stream != "stderr") ||
      (tag != "F" && tag != "P")) {
    return std::nullopt;
  }
  const auto seconds = ParseRfc3339(out.time);
  if (!seconds) return std::nullopt;
  out.time_ns = *seconds * kSecond;
  if (const size_t dot = out.time.find('.'); dot != std::string::npos) {
    int64_t scale = kSecond / 10;
    for (size_t i = dot + 1; i < out.time.size() && out.time[i] >= '0' &&
                             out.time[i] <= '9' && scale > 0;
         ++i, scale /= 10) {
      out.time_ns += (out.time[i] - '0') * scale;
    }
  }
  out.stream = stream == "stderr" ? 2 : 1;
  out.partial = tag == "P";
  out.text = line.substr(third + 1);
  return out;
}

std::string FormatNs(int64_t ns) {
  std::string text = FormatRfc3339(ns / kSecond);
  text.pop_back();  // Z
  return fmt::format("{}.{:09d}Z", text, ns % kSecond);
}

int64_t ParseLogTime(const std::string& text, int64_t now_ns) {
  if (const auto seconds = ParseRfc3339(text)) return *seconds * kSecond;
  if (text.size() == 10 && text[4] == '-') {
    if (const auto day = ParseRfc3339(text + "T00:00:00Z")) {
      return *day * kSecond;
    }
  }
  if (!text.empty() &&
      text.find_first_not_of("0123456789.") == std::string::npos) {
    try {
      return static_cast<int64_t>(std::stod(text) * 1e9);
    } catch (const std::exception&) {
    }
  }
  try {
    return now_ns - ParseDuration(text);
  } catch (const Error&) {
    throw Error(ErrorCode::kUsage,
                fmt::format("failed to parse value as time or duration: {}",
                            Quoted(text)))
        .WithHint("it is like 2026-11-25T12:00:00Z, 1764000000 or 10m");
  }
}

void ReadLogs(
    Containers& containers, const Container& container,
    const LogOptions& options,
    const std::function<void(int stream, std::string_view bytes)>& out,
    const CancelToken& cancel) {
  const std::string path =
      containers.Directory(container.record.id) + "/" + kLogFile;
  const auto& store = containers.store().containers();
  UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY);
  while (!fd) {
    if (!options.follow || !store.IsLocked(container.record.id)) return;
    cancel.Check();
    std::this_thread::sleep_for(kPoll);
    fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY);
  }
  const off_t start = options.tail ? TailOffset(fd.get(), *options.tail) : 0;
  ::lseek(fd.get(), start, SEEK_SET);
  LineReader reader(std::move(fd));
  Printer printer(options, out);
  for (;;) {
    // Asked before reading: what was written until the end is read.
    const bool running = store.IsLocked(container.record.id);
    while (const auto line = reader.Next()) {
      if (!printer.Print(*line)) return;
    }
    if (!options.follow || !running) return;
    if (options.until_ns != 0 && NowNs() > options.until_ns) return;
    cancel.Check();
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace imgbuild::container
