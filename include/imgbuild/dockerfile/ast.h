// A parsed Dockerfile: plain values with their places in the text. Nothing is
// expanded or looked up here; that is planning. The shape follows the
// reference manual of docker/dockerfile 1.26.
//
// Texts are as written after joining continued lines and dropping comments;
// quotes and escapes are kept, because expansion needs them.
#ifndef IMGBUILD_DOCKERFILE_AST_H_
#define IMGBUILD_DOCKERFILE_AST_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "imgbuild/util/source.h"

namespace imgbuild::dockerfile {

// A piece of text and where it stands.
struct Word {
  std::string text;
  SourceRange range;
};

// <<NAME … NAME. `body` has every line with its line end, tabs already
// stripped for <<-.
struct Heredoc {
  std::string name;
  bool expand = true;       // false when any part of the delimiter was quoted
  bool strip_tabs = false;  // <<-
  int fd = -1;              // N<<NAME; -1 when not written
  std::string body;
  SourceRange range;       // of the <<NAME word
  SourceRange body_range;  // of the body
};

// RUN, CMD, ENTRYPOINT, HEALTHCHECK CMD: shell text or a JSON array.
struct Command {
  enum class Form { kShell, kExec };
  Form form = Form::kShell;
  std::string shell;              // kShell: the text
  std::vector<std::string> exec;  // kExec: the decoded strings
  SourceRange range;
};

// One --mount flag, split as CSV; keys lower-cased and known, values not yet
// expanded. ResolveMount() makes it a MountSpec.
struct RawMount {
  struct Option {
    std::string key;
    std::optional<std::string> value;  // absent for bare `ro`, `required`, …
    SourceRange range;      // of the value, or of the key without one
    SourceRange key_range;  // of the key
  };
  std::vector<Option> options;
  SourceRange range;
};

struct From {
  Word image;
  std::optional<Word> platform;
  std::optional<Word> name;  // lower-cased; the range has the original
};
struct Run {
  Command command;
  // The bodies of its heredocs, in order. A RUN that is nothing but one
  // heredoc has an empty command.shell.
  std::vector<Heredoc> heredocs;
  bool only_heredoc = false;
  std::vector<RawMount> mounts;
  std::optional<Word> network;   // default | none | host
  std::optional<Word> security;  // sandbox | insecure
  std::vector<Word> devices;
  bool no_cache = false;  // ours: --no-cache
  // What goes into the shell and the history: the line as written, with the
  // heredoc bodies and terminators after it.
  std::string script;
};
// COPY and ADD.
struct Copy {
  bool is_add = false;
  bool json_form = false;
  std::vector<Word> sources;
  std::vector<Heredoc> heredocs;  // after the sources, in order
  Word destination;
  std::optional<Word> from;  // COPY
  std::optional<Word> chown;
  std::optional<Word> chmod;
  std::optional<Word> checksum;      // ADD
  std::optional<bool> keep_git_dir;  // ADD
  std::optional<bool> unpack;        // ADD
  bool link = false;
  bool parents = false;    // COPY
  bool if_exists = false;  // COPY; ours: --if-exists
  std::vector<Word> excludes;
};
struct Cmd {
  Command command;
};
struct Entrypoint {
  Command command;
};
struct KeyValue {
  Word key;
  Word value;
};
struct Env {
  std::vector<KeyValue> pairs;
  bool legacy = false;  // `ENV key value`
};
struct Label {
  std::vector<KeyValue> pairs;
  bool legacy = false;
};
struct Maintainer {
  Word name;
};
struct Expose {
  std::vector<Word> ports;
};
struct User {
  Word user;
};
struct Workdir {
  Word path;
};
struct Volume {
  std::vector<Word> paths;
};
struct StopSignal {
  Word signal;
};
struct Healthcheck {
  bool none = false;
  Command command;
  // Nanoseconds; 0 is unset.
  int64_t interval_ns = 0;
  int64_t timeout_ns = 0;
  int64_t start_period_ns = 0;
  int64_t start_interval_ns = 0;
  int64_t retries = 0;
};
struct Shell {
  std::vector<std::string> argv;
};
struct ArgDeclaration {
  Word name;
  std::optional<Word> value;
};
struct Arg {
  std::vector<ArgDeclaration> declarations;
};
// The trigger as stored in the image: the text after ONBUILD, heredoc bodies
// appended. Checked to be one allowed instruction.
struct OnBuild {
  std::string trigger;
  SourceRange trigger_range;
};

// Ours: takes back what the base image, or the stage so far, has in its config.
struct Reset {
  enum class What { kVolume, kExpose, kEnv, kLabel, kEntrypoint };
  What what = What::kVolume;
  std::vector<Word> names;  // none: all of them
};

using InstructionNode =
    std::variant<From, Run, Copy, Cmd, Entrypoint, Env, Label, Maintainer,
                 Expose, User, Workdir, Volume, StopSignal, Healthcheck, Shell,
                 Arg, OnBuild, Reset>;

struct Instruction {
  InstructionNode node;
  std::string keyword;  // as written: "run", "RUN"
  SourceRange keyword_range;
  SourceRange range;  // the whole logical instruction, heredocs included
  // The logical line as written, white space of the line kept: BuildKit's
  // "original". What steps are called and what history starts from.
  std::string original;
  // Comment lines directly above (trimmed, without '#').
  std::vector<std::string> comments;
};

struct Stage {
  Instruction from;  // node is From
  std::vector<Instruction> instructions;
};

// # syntax=, # escape=, # check=
struct Directive {
  std::string name;  // lower-cased
  std::string value;
  SourceRange range;
};

// A remark that is no error: NoEmptyContinuation and others that only the
// parser can see.
struct ParseWarning {
  std::string rule;
  std::string message;
  SourceRange range;
};

struct Dockerfile {
  std::shared_ptr<const SourceFile> source;
  char escape = '\\';
  std::vector<Directive> directives;
  // `# imgbuild: extensions=1` stands among the comments at the top: RESET and
  // INCLUDE are instructions. What was included is in its place; its ranges
  // point into the included files.
  bool extensions = false;
  std::vector<Instruction> meta_args;  // ARG before the first FROM
  std::vector<Stage> stages;           // at least one
  std::vector<ParseWarning> warnings;
};

// S-expressions with positions, for golden tests and `imgbuild parse`-like
// debugging. Stable.
std::string Dump(const Dockerfile& file);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_AST_H_
