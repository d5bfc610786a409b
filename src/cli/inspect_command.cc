// `imgbuild inspect`: images (and containers) as Docker's JSON.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/container_description.h"
#include "cli/image_description.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

// `inspect` exits with it when the template is malformed, as Docker does.
constexpr int kBadTemplate = 64;

struct Options {
  std::string format;
  std::string platform;
  std::string type;
  bool size = false;
  std::vector<std::string> words;
};

bool ParseOptions(App& app, const Words& words, Options& options) {
  Args args("inspect [OPTIONS] NAME…", "Show containers and images as JSON.");
  args.Value("-f,--format", &options.format, "FORMAT",
             "json, or a Go template over the JSON");
  args.Value("--platform", &options.platform, "OS/ARCH[/VARIANT]",
             "that platform's image of an index");
  args.Flag("-s,--size", &options.size,
            "sizes (of containers; images have it)");
  args.Value("--type", &options.type, "TYPE",
             "container or image: what the names are");
  args.Positionals("NAME", &options.words, true,
                   "NAME[:TAG], NAME@DIGEST or an image id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return false;
  if (!options.type.empty() && options.type != "image" &&
      options.type != "container") {
    throw Error(
        ErrorCode::kFailed,
        fmt::format("unknown type: {}: must be \"container\" or \"image\"",
                    Quoted(options.type)));
  }
  return true;
}

// A container is meant before an image of the same name, as Docker has it.
Json Describe(App& app, const Options& options, const std::string& word,
              TemplateShape* shape) {
  if (options.type != "image") {
    container::Containers containers(app.store());
    if (options.type == "container") containers.Require(word);  // throws
    if (const auto container = containers.Find(word)) {
      *shape = ContainerShape();
      return DescribeContainer(containers, *container, options.size);
    }
  }
  *shape = ImageShape();
  auto match = FindImage(app, word);
  if (!match) {
    if (options.type == "image") RequireImage(app, word);  // throws
    throw Error(ErrorCode::kFailed, "no such object: " + word);
  }
  return DescribeImage(
      app, LoadImage(app, OfPlatform(app, *match, word, options.platform)));
}

}  // namespace

int InspectCommand(App& app, const Words& words) {
  Options options;
  if (!ParseOptions(app, words, options)) return 0;
  std::optional<GoTemplate> format;
  if (!options.format.empty() && options.format != "json") {
    try {
      format = GoTemplate::Parse(options.format);
    } catch (const Error& error) {
      std::fputs(error.Render().c_str(), stderr);
      return kBadTemplate;
    }
  }
  app.store();  // one that cannot be opened is one error, not one a word
  Json all = Json::array();
  std::string text;
  const int status = ForEachWord(options.words, [&](const std::string& word) {
    TemplateShape shape;
    Json one = Describe(app, options, word, &shape);
    if (format) text += format->Execute(one, shape) + "\n";
    all.push_back(std::move(one));
  });
  if (format && text.empty()) text = "\n";
  if (!format) {
    const int indent = options.format == "json" ? -1 : 4;
    text = all.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  fmt::print("{}", text);
  return status;
}

}  // namespace imgbuild::cli
