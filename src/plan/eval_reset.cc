// RESET: takes back what the config has, mostly from the base image.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/strings.h"

#include "plan/eval.h"
#include "plan/ports.h"

namespace imgbuild::plan {
namespace {

using What = dockerfile::Reset::What;

std::string_view NameOf(What what) {
  switch (what) {
    case What::kVolume:
      return "VOLUME";
    case What::kExpose:
      return "EXPOSE";
    case What::kEnv:
      return "ENV";
    case What::kLabel:
      return "LABEL";
    case What::kEntrypoint:
      break;
  }
  return "ENTRYPOINT";
}

std::string KeyOf(const std::string& pair) {
  return pair.substr(0, pair.find('='));
}

}  // namespace

bool StageEvaluator::TakeBack(What what, const std::string& name,
                              const SourceRange& range) {
  StageConfig& config = state_.config;
  switch (what) {
    case What::kVolume:
      return config.volumes.Erase(name);
    case What::kExpose: {
      bool any = false;
      for (const std::string& port : ParsePorts(name, range)) {
        any = config.exposed_ports.Erase(port) || any;
      }
      return any;
    }
    case What::kEnv: {
      state_.env.Unset(name);
      return config.env.Erase(name);
    }
    case What::kLabel:
      return config.labels.Erase(name);
    case What::kEntrypoint:
      break;
  }
  return false;
}

void StageEvaluator::TakeAllBack(What what) {
  StageConfig& config = state_.config;
  switch (what) {
    case What::kVolume:
      config.volumes = {};
      return;
    case What::kExpose:
      config.exposed_ports = {};
      return;
    case What::kEnv:
      for (const std::string& pair : config.env.ToVector()) {
        state_.env.Unset(KeyOf(pair));
      }
      config.env = {};
      // An image always has one.
      config.env.Set("PATH", kDefaultPath);
      state_.env.Set("PATH", kDefaultPath);
      return;
    case What::kLabel:
      config.labels = {};
      return;
    case What::kEntrypoint:
      config.entrypoint.reset();
      return;
  }
}

void StageEvaluator::Do(const dockerfile::Reset& reset) {
  std::string text = fmt::format("RESET {}", NameOf(reset.what));
  if (reset.names.empty()) TakeAllBack(reset.what);
  for (const dockerfile::Word& word : reset.names) {
    const std::string name = Expand(word);
    text += " " + name;
    if (TakeBack(reset.what, name, word.range)) continue;
    context_.graph.warnings.push_back(
        {"ResetNothing",
         fmt::format("the image has no {} {}", NameOf(reset.what),
                     Quoted(name)),
         word.range});
  }
  AddHistory(text);
}

}  // namespace imgbuild::plan
