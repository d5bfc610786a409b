// EXPOSE words: `80`, `80/udp`, `8000-8010`, `127.0.0.1:80:8080/tcp`.
#ifndef IMGBUILD_PLAN_PORTS_H_
#define IMGBUILD_PLAN_PORTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/source.h"

namespace imgbuild::plan {

// "80/tcp" for each container port of the word. Throws Error(kDockerfile).
std::vector<std::string> ParsePorts(std::string_view word,
                                    const SourceRange& range);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_PORTS_H_
