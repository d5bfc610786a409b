#include "cli/progress_plain.h"

#include <fmt/format.h>

namespace imgbuild::cli {
namespace {

constexpr size_t kTailLines = 50;

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

VertexId PlainProgress::AddVertex(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  rows_.emplace_back();
  rows_.back().name = name;
  return static_cast<VertexId>(rows_.size() - 1);
}

void PlainProgress::Show(VertexId vertex) {
  if (out_ == nullptr) return;
  Row& row = rows_[vertex];
  // Steps run side by side: say again whose lines follow.
  if (row.shown && last_ == vertex) return;
  if (last_ != ~VertexId{0} && last_ != vertex) std::fputs("\n", out_);
  fmt::print(out_, "#{} {}\n", vertex + 1, row.name);
  row.shown = true;
  last_ = vertex;
}

void PlainProgress::Line(VertexId vertex, const std::string& text) {
  if (out_ == nullptr) return;
  Show(vertex);
  fmt::print(out_, "#{} {}\n", vertex + 1, text);
  std::fflush(out_);
}

void PlainProgress::Started(VertexId vertex) {
  const std::scoped_lock lock(mutex_);
  rows_[vertex].started = std::chrono::steady_clock::now();
}

void PlainProgress::Log(VertexId vertex, int, std::string_view bytes) {
  const std::scoped_lock lock(mutex_);
  Row& row = rows_[vertex];
  row.partial += bytes;
  size_t begin = 0;
  for (size_t end = row.partial.find('\n'); end != std::string::npos;
       end = row.partial.find('\n', begin)) {
    const std::string line =
        fmt::format("{:.3f} {}", SecondsSince(row.started),
                    row.partial.substr(begin, end - begin));
    Line(vertex, line);
    row.tail.push_back(line);
    if (row.tail.size() > kTailLines) row.tail.pop_front();
    begin = end + 1;
  }
  row.partial.erase(0, begin);
}

void PlainProgress::Progress(VertexId vertex, std::string_view what,
                             uint64_t done, uint64_t total) {
  // A log wants results, not each step of the way.
  if (done != total) return;
  const std::scoped_lock lock(mutex_);
  Line(vertex, std::string(what));
}

void PlainProgress::Finished(VertexId vertex, VertexOutcome outcome,
                             const std::string& detail) {
  const std::scoped_lock lock(mutex_);
  Row& row = rows_[vertex];
  if (!row.partial.empty()) {
    const std::string line =
        fmt::format("{:.3f} {}", SecondsSince(row.started), row.partial);
    row.partial.clear();
    row.tail.push_back(line);
    Line(vertex, line);
  }
  switch (outcome) {
    case VertexOutcome::kCached:
      Line(vertex, "CACHED");
      break;
    case VertexOutcome::kDone:
      Line(vertex, fmt::format("DONE {:.1f}s", SecondsSince(row.started)));
      break;
    case VertexOutcome::kSkipped:
      Line(vertex, "SKIPPED");
      break;
    case VertexOutcome::kCancelled:
      Line(vertex, "CANCELED");
      break;
    case VertexOutcome::kError:
      row.failed = true;
      Line(vertex, "ERROR: " + detail);
      break;
  }
}

void PlainProgress::Message(const std::string& line) {
  if (out_ == nullptr) return;
  const std::scoped_lock lock(mutex_);
  fmt::print(out_, "{}\n", line);
  std::fflush(out_);
}

void PlainProgress::Warning(const std::string& line) {
  Message("warning: " + line);
}

std::string PlainProgress::FailureBlock() const {
  const std::scoped_lock lock(mutex_);
  for (const Row& row : rows_) {
    if (!row.failed || row.tail.empty()) continue;
    std::string text = fmt::format("------\n > {}:\n", row.name);
    for (const std::string& line : row.tail) text += line + "\n";
    return text + "------\n";
  }
  return "";
}

}  // namespace imgbuild::cli
