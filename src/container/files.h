// Small files in a container's directory. They are replaced by rename, so a
// reader sees the old or the new one; they need not survive a power cut.
#ifndef IMGBUILD_SRC_CONTAINER_FILES_H_
#define IMGBUILD_SRC_CONTAINER_FILES_H_

#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/container/containers.h"

namespace imgbuild::container {

void ReplaceFile(const std::string& dir, const std::string& name,
                 std::string_view text);
// Absent, or the directory is gone: nullopt.
std::optional<std::string> ReadSmallFile(const std::string& dir,
                                         const std::string& name);
void DropFile(const std::string& dir, const std::string& name);

std::string ToJson(const RunningRecord& record);
// nullopt for what is no such record.
std::optional<RunningRecord> RunningFromJson(const std::string& text);

// The health of a container, as its monitor last saw it.
struct Health {
  std::string status;  // "starting", "healthy", "unhealthy"
  int failing = 0;     // in a row
  struct Probe {
    std::string start;
    std::string end;
    int exit_code = 0;
    std::string output;
  };
  std::vector<Probe> log;  // the last five
};
std::string ToJson(const Health& health);
std::optional<Health> HealthFromJson(const std::string& text);

// Where a container leaves its exit code for those who wait for it: opened
// before the end, it can be read when the container is gone.
inline constexpr char kExitFile[] = "exit";

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_FILES_H_
