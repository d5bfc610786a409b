// SOURCE_DATE_EPOCH: the latest time that files and the config have.
#ifndef IMGBUILD_PLAN_EPOCH_H_
#define IMGBUILD_PLAN_EPOCH_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace imgbuild::plan {

// Seconds since 1970-01-01 up to the year 9999; nullopt for anything else.
std::optional<int64_t> ParseEpoch(std::string_view text);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_EPOCH_H_
