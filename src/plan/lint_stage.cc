#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "plan/lint_findings.h"

namespace imgbuild::plan {
namespace {

using dockerfile::RuleId;

// Words between underscores that make a name sound like a secret, and those
// that say it is none (DB_PASSWORD_FILE, PUBLIC_KEY).
constexpr std::string_view kSecretWords[] = {
    "apikey",   "auth",  "credential", "credentials", "key",
    "password", "pword", "passwd",     "secret",      "token"};
constexpr std::string_view kInnocentWords[] = {"public", "file", "version"};

bool HasWord(const std::vector<std::string>& parts,
             std::span<const std::string_view> words) {
  return std::ranges::any_of(parts, [&](const std::string& part) {
    return std::ranges::find(words, part) != words.end();
  });
}

bool SoundsSecret(std::string_view name) {
  const std::vector<std::string> parts = Split(ToLower(name), '_');
  return HasWord(parts, kSecretWords) && !HasWord(parts, kInnocentWords);
}

// A name that RUN's environment never has.
bool IsScanArg(std::string_view name) {
  return name == "BUILDKIT_SBOM_SCAN_CONTEXT" ||
         name == "BUILDKIT_SBOM_SCAN_STAGE";
}

}  // namespace

void StageLinter::Report(RuleId rule, std::string message,
                         const SourceRange& focus) {
  const bool same_file = focus && focus.file() == range_.file();
  findings_.push_back(
      {rule, std::move(message), range_, same_file ? focus : SourceRange()});
}

void StageLinter::UndefinedVar(std::string_view name,
                               const std::vector<std::string>& known,
                               const SourceRange& focus) {
  // An unknown base may have set anything.
  if (!base_known_ || IsScanArg(name)) return;
  std::string message = fmt::format("Usage of undefined variable '${}'", name);
  if (const auto near = Suggest(name, known)) {
    message += fmt::format(" (did you mean ${}?)", *near);
  }
  Report(RuleId::kUndefinedVar, std::move(message), focus);
}

// The earlier one is reported: it is the one without effect.
void StageLinter::Once(std::optional<SourceRange>& earlier) {
  if (earlier) {
    findings_.push_back(
        {RuleId::kMultipleInstructionsDisallowed,
         fmt::format("Multiple {} instructions should not be used in the same "
                     "stage because only the last one will be used",
                     instruction_->keyword),
         *earlier,
         {}});
  }
  earlier = range_;
}

void StageLinter::JsonForm(const dockerfile::Command& command, bool shell_set) {
  if (command.form == dockerfile::Command::Form::kExec || shell_set ||
      !base_known_) {
    return;
  }
  Report(RuleId::kJSONArgsRecommended,
         fmt::format("JSON arguments recommended for {} to prevent unintended "
                     "behavior related to OS signals",
                     instruction_->keyword),
         command.range);
}

void StageLinter::Cmd(const dockerfile::Command& command, bool shell_set) {
  Once(cmd_);
  JsonForm(command, shell_set);
}

void StageLinter::Entrypoint(const dockerfile::Command& command,
                             bool shell_set) {
  Once(entrypoint_);
  JsonForm(command, shell_set);
}

void StageLinter::Healthcheck() { Once(healthcheck_); }

void StageLinter::LegacyPair() {
  Report(RuleId::kLegacyKeyValueFormat,
         fmt::format("\"{0} key=value\" should be used instead of legacy "
                     "\"{0} key value\" format",
                     instruction_->keyword),
         {});
}

void StageLinter::SecretName(std::string_view instruction,
                             std::string_view key) {
  if (!SoundsSecret(key)) return;
  Report(RuleId::kSecretsUsedInArgOrEnv,
         fmt::format("Do not use ARG or ENV instructions for sensitive data "
                     "({} {})",
                     instruction, Quoted(key)),
         {});
}

void StageLinter::Port(std::string_view word, const SourceRange& focus) {
  const size_t slash = word.find('/');
  const std::string_view protocol =
      slash == std::string_view::npos ? "" : word.substr(slash + 1);
  if (protocol != ToLower(protocol)) {
    Report(RuleId::kExposeProtoCasing,
           fmt::format("Defined protocol '{}' in EXPOSE instruction should be "
                       "lowercase",
                       word),
           focus);
  }
  if (word.substr(0, slash).find(':') != std::string_view::npos) {
    Report(RuleId::kExposeInvalidFormat,
           fmt::format("EXPOSE instruction should not define an IP address or "
                       "host-port mapping, found '{}'",
                       word),
           focus);
  }
}

void StageLinter::FirstWorkdir(std::string_view path) {
  if (path.starts_with('/')) return;
  Report(RuleId::kWorkdirRelativePath,
         fmt::format("Relative workdir {} can have unexpected results if the "
                     "base image changes",
                     Quoted(path)),
         {});
}

void StageLinter::IgnoredSource(std::string_view source, bool is_add,
                                const SourceRange& focus) {
  Report(RuleId::kCopyIgnoredFile,
         fmt::format("Attempting to {} file {} that is excluded by "
                     ".dockerignore",
                     is_add ? "Add" : "Copy", Quoted(fs::CleanPath(source))),
         focus);
}

}  // namespace imgbuild::plan
