#include "cli/progress_json.h"

#include "imgbuild/util/clock.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

// Step output may be any bytes; JSON may not.
std::string Dump(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void JsonProgress::Emit(const std::string& line) {
  std::fputs((line + "\n").c_str(), out_);
  std::fflush(out_);
}

VertexId JsonProgress::AddVertex(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  Emit(Dump({{"event", "vertex"}, {"id", next_}, {"name", name}}));
  return next_++;
}

void JsonProgress::Started(VertexId vertex) {
  const std::scoped_lock lock(mutex_);
  Emit(Dump({{"event", "started"},
             {"id", vertex},
             {"time", FormatRfc3339(SystemClock().NowSeconds())}}));
}

void JsonProgress::Log(VertexId vertex, int stream, std::string_view bytes) {
  const std::scoped_lock lock(mutex_);
  Emit(Dump({{"event", "log"},
             {"id", vertex},
             {"stream", stream},
             {"data", std::string(bytes)}}));
}

void JsonProgress::Progress(VertexId vertex, std::string_view what,
                            uint64_t done, uint64_t total) {
  const std::scoped_lock lock(mutex_);
  Emit(Dump({{"event", "progress"},
             {"id", vertex},
             {"what", std::string(what)},
             {"done", done},
             {"total", total}}));
}

void JsonProgress::Finished(VertexId vertex, VertexOutcome outcome,
                            const std::string& detail) {
  static constexpr const char* kOutcomes[] = {"done", "cached", "skipped",
                                              "error", "cancelled"};
  const std::scoped_lock lock(mutex_);
  Emit(Dump({{"event", "finished"},
             {"id", vertex},
             {"outcome", kOutcomes[static_cast<int>(outcome)]},
             {"detail", detail}}));
}

void JsonProgress::Message(const std::string& line) {
  const std::scoped_lock lock(mutex_);
  Emit(Dump({{"event", "message"}, {"text", line}}));
}

void JsonProgress::Warning(const std::string& line) {
  const std::scoped_lock lock(mutex_);
  Emit(Dump({{"event", "warning"}, {"text", line}}));
}

}  // namespace imgbuild::cli
