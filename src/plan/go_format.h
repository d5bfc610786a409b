// History texts as BuildKit writes them: Go's %q and %v of slices.
#ifndef IMGBUILD_PLAN_GO_FORMAT_H_
#define IMGBUILD_PLAN_GO_FORMAT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/image_config.h"

namespace imgbuild::plan {

// strconv.Quote.
std::string GoQuote(std::string_view text);
// %q of a []string: ["a" "b"].
std::string GoQuoteList(const std::vector<std::string>& list);
// %v of a []string: [a b].
std::string GoList(const std::vector<std::string>& list);
// time.Duration.String(): "1m30s", "0s", "1.5s".
std::string GoDuration(int64_t nanoseconds);
// %q of a *HealthcheckConfig.
std::string GoQuoteHealthcheck(const oci::Healthcheck& healthcheck);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_GO_FORMAT_H_
