// `imgbuild import`: a tar of a root file system becomes an image.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

#include "imgbuild/build/image_resolver.h"
#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/plan/planner.h"
#include "imgbuild/transfer/import.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"

namespace imgbuild::cli {
namespace {

// FROM scratch asks for nothing.
class NoImages : public plan::ImageResolver {
 public:
  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform&) override {
    throw Error(ErrorCode::kFailed,
                "--change cannot use the image " + reference.Familiar());
  }
};

bool MayChange(const std::string& keyword) {
  for (const char* one :
       {"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD",
        "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}) {
    if (EqualsIgnoreCase(keyword, one)) return true;
  }
  return false;
}

// What the lines of --change make of an empty config.
oci::ImageConfig ConfigOf(const std::vector<std::string>& changes,
                          const oci::Platform& platform, int64_t epoch) {
  std::string text = "FROM scratch\n";
  for (const std::string& change : changes) {
    if (change.find('\n') != std::string::npos) {
      throw Error(ErrorCode::kFailed, "--change is one line")
          .WithHint("give the flag once for each instruction");
    }
    text += change + "\n";
  }
  const dockerfile::Dockerfile file =
      dockerfile::Parse(std::make_shared<SourceFile>("--change", text));
  for (const dockerfile::Stage& stage : file.stages) {
    for (const dockerfile::Instruction& instruction : stage.instructions) {
      if (MayChange(instruction.keyword)) continue;
      throw Error(ErrorCode::kFailed,
                  instruction.keyword + " is not a change of the config")
          .At(instruction.keyword_range)
          .WithHint(
              "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, "
              "ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR");
    }
  }
  plan::PlanOptions options;
  options.target_platform = platform;
  options.target_platform_given = true;
  options.build_platform = oci::Platform::Host();
  options.source_date_epoch = epoch;
  NoImages none;
  oci::ImageConfig config = plan::Plan(file, options, none).image.config;
  config.platform = platform;
  config.history.clear();
  return config;
}

int64_t Epoch() {
  const char* text = std::getenv("SOURCE_DATE_EPOCH");
  if (text == nullptr || *text == '\0') return plan::kDefaultEpoch;
  const auto seconds = ParseInt(text);
  if (seconds) return *seconds;
  throw Error(ErrorCode::kUsage, "SOURCE_DATE_EPOCH is no number");
}

}  // namespace

int ImportCommand(App& app, const Words& words) {
  std::string file;
  std::string name;
  std::string message;
  std::string platform;
  std::vector<std::string> changes;
  Args args("import [OPTIONS] FILE|- [REPOSITORY[:TAG]]",
            "Make an image of a tar of a root file system.");
  args.List("-c,--change", &changes, "INSTRUCTION",
            "a Dockerfile instruction that changes the config; may repeat");
  args.Value("-m,--message", &message, "TEXT", "the comment in its history");
  args.Value("--platform", &platform, "OS/ARCH[/VARIANT]",
             "what it is for, if not for this machine");
  args.Positional("FILE", &file, true, "the archive, - is standard input");
  args.Positional("NAME", &name, false, "the image's name");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  RequireRoot();

  std::optional<oci::Reference> reference;
  if (!name.empty()) {
    reference = oci::Reference::Parse(name).WithDefaultTag();
    if (reference->digest()) {
      throw Error(ErrorCode::kFailed,
                  "refusing to create a tag with a digest reference");
    }
  }
  const int64_t epoch = Epoch();
  oci::ImageConfig config = ConfigOf(
      changes,
      platform.empty() ? oci::Platform::Host() : oci::Platform::Parse(platform),
      epoch);
  config.created = FormatRfc3339(epoch);
  oci::History step;
  step.created = config.created;
  step.comment = message.empty() ? "Imported from " + file : message;
  config.history = {step};

  const auto lease = app.store().Hold();
  UniqueFd fd;
  if (file != "-") fd = fs::Open(AT_FDCWD, file, O_RDONLY);
  FdReader reader(fd ? fd.get() : STDIN_FILENO, fd ? file : "standard input");
  const plan::ResolvedImage image = transfer::ImportRoot(
      app.store(), app.transfer(), reader, std::move(config));
  if (reference) {
    app.store().images().SetName({reference->repository(), reference->tag(),
                                  image.manifest, image.manifest, std::nullopt,
                                  false});
  }
  fmt::print("{}\n", image.config_digest.ToString());
  return 0;
}

}  // namespace imgbuild::cli
