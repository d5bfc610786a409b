// The dump is a list of S-expressions, one value a line, two blanks a level.
// Every line ends with the place of what it shows: @LINE:COLUMN-LINE:COLUMN,
// the end being the place behind the last character.
#include <cstdio>
#include <type_traits>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {
namespace {

// Printable ASCII and UTF-8 as they are, the rest escaped.
std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          char code[5];
          std::snprintf(code, sizeof code, "\\x%02X",
                        static_cast<unsigned>(static_cast<unsigned char>(c)));
          out += code;
        } else {
          out += c;
        }
    }
  }
  return out + "\"";
}

std::string Place(const SourceRange& range) {
  if (!range) return "";
  const auto one = [](SourcePos p) {
    return std::to_string(p.line) + ":" + std::to_string(p.column);
  };
  return " @" + one(range.begin()) + "-" + one(range.end());
}

class Dumper {
 public:
  std::string Dump(const Dockerfile& file) {
    Open(std::string("dockerfile escape ") + Quote(std::string(1, file.escape)),
         {});
    for (const Directive& d : file.directives)
      Leaf("directive " + d.name, d.value, d.range);
    for (const Instruction& i : file.meta_args) Show(i);
    for (const Stage& stage : file.stages) {
      Open("stage", {});
      Show(stage.from);
      for (const Instruction& i : stage.instructions) Show(i);
      Close();
    }
    for (const ParseWarning& w : file.warnings)
      Leaf("warning " + w.rule, w.message, w.range);
    Close();
    return std::move(out_);
  }

 private:
  void Line(const std::string& text) {
    if (!out_.empty()) out_ += "\n";
    out_.append(depth_ * 2, ' ');
    out_ += text;
  }
  void Open(const std::string& head, const SourceRange& range) {
    Line("(" + head + Place(range));
    ++depth_;
  }
  void Close() {
    out_ += ")";
    --depth_;
    if (depth_ == 0) out_ += "\n";
  }
  void Leaf(const std::string& head, std::string_view text,
            const SourceRange& range) {
    Line("(" + head + " " + Quote(text) + Place(range) + ")");
  }
  void Leaf(const std::string& head, const Word& word) {
    Leaf(head, word.text, word.range);
  }
  void Leaf(const std::string& head, const std::optional<Word>& word) {
    if (word) Leaf(head, *word);
  }
  void Leaf(const std::string& head, const std::vector<Word>& words) {
    for (const Word& word : words) Leaf(head, word);
  }
  void Bare(const std::string& text) { Line("(" + text + ")"); }

  void Show(const Instruction& instruction) {
    std::visit(
        [&](const auto& node) {
          Open(Name(node) + " " + Quote(instruction.keyword),
               instruction.range);
          for (const std::string& comment : instruction.comments)
            Bare("comment " + Quote(comment));
          Show(node);
          Close();
        },
        instruction.node);
  }

  static std::string Name(const From&) { return "from"; }
  static std::string Name(const Run&) { return "run"; }
  static std::string Name(const Copy& n) { return n.is_add ? "add" : "copy"; }
  static std::string Name(const Cmd&) { return "cmd"; }
  static std::string Name(const Entrypoint&) { return "entrypoint"; }
  static std::string Name(const Env&) { return "env"; }
  static std::string Name(const Label&) { return "label"; }
  static std::string Name(const Maintainer&) { return "maintainer"; }
  static std::string Name(const Expose&) { return "expose"; }
  static std::string Name(const User&) { return "user"; }
  static std::string Name(const Workdir&) { return "workdir"; }
  static std::string Name(const Volume&) { return "volume"; }
  static std::string Name(const StopSignal&) { return "stopsignal"; }
  static std::string Name(const Healthcheck&) { return "healthcheck"; }
  static std::string Name(const Shell&) { return "shell"; }
  static std::string Name(const Arg&) { return "arg"; }
  static std::string Name(const OnBuild&) { return "onbuild"; }
  static std::string Name(const Reset&) { return "reset"; }

  void Show(const From& n) {
    Leaf("platform", n.platform);
    Leaf("image", n.image);
    Leaf("name", n.name);
  }
  void Show(const Run& n) {
    for (const RawMount& mount : n.mounts) {
      Open("mount", mount.range);
      for (const RawMount::Option& option : mount.options) {
        if (option.value) {
          Leaf(option.key, *option.value, option.range);
        } else {
          Line("(" + option.key + Place(option.range) + ")");
        }
      }
      Close();
    }
    Leaf("network", n.network);
    Leaf("security", n.security);
    Leaf("device", n.devices);
    if (n.no_cache) Bare("no-cache");
    Show(n.command);
    Show(n.heredocs);
    if (n.only_heredoc) Bare("only-heredoc");
    if (!n.heredocs.empty()) Bare("script " + Quote(n.script));
  }
  void Show(const Command& command) {
    if (command.form == Command::Form::kShell) {
      Leaf("shell", command.shell, command.range);
      return;
    }
    std::string line = "exec";
    for (const std::string& word : command.exec) line += " " + Quote(word);
    Line("(" + line + Place(command.range) + ")");
  }
  void Show(const std::vector<Heredoc>& heredocs) {
    for (const Heredoc& h : heredocs) {
      std::string head = "heredoc";
      if (h.fd >= 0) head += " fd " + std::to_string(h.fd);
      if (!h.expand) head += " verbatim";
      if (h.strip_tabs) head += " strip-tabs";
      Open(head + " " + Quote(h.name), h.range);
      Leaf("body", h.body, h.body_range);
      Close();
    }
  }
  void Show(const Copy& n) {
    if (n.json_form) Bare("json");
    Leaf("from", n.from);
    Leaf("chown", n.chown);
    Leaf("chmod", n.chmod);
    Leaf("checksum", n.checksum);
    if (n.keep_git_dir)
      Bare(std::string("keep-git-dir ") + (*n.keep_git_dir ? "true" : "false"));
    if (n.unpack) Bare(std::string("unpack ") + (*n.unpack ? "true" : "false"));
    if (n.link) Bare("link");
    if (n.parents) Bare("parents");
    if (n.if_exists) Bare("if-exists");
    Leaf("exclude", n.excludes);
    Leaf("source", n.sources);
    Show(n.heredocs);
    Leaf("destination", n.destination);
  }
  void Show(const Cmd& n) { Show(n.command); }
  void Show(const Entrypoint& n) { Show(n.command); }
  void Show(const std::vector<KeyValue>& pairs) {
    for (const KeyValue& pair : pairs) {
      Line("(pair " + Quote(pair.key.text) + Place(pair.key.range) + " " +
           Quote(pair.value.text) + Place(pair.value.range) + ")");
    }
  }
  void Show(const Env& n) {
    if (n.legacy) Bare("legacy");
    Show(n.pairs);
  }
  void Show(const Label& n) {
    if (n.legacy) Bare("legacy");
    Show(n.pairs);
  }
  void Show(const Maintainer& n) { Leaf("name", n.name); }
  void Show(const Expose& n) { Leaf("port", n.ports); }
  void Show(const User& n) { Leaf("user", n.user); }
  void Show(const Workdir& n) { Leaf("path", n.path); }
  void Show(const Volume& n) { Leaf("path", n.paths); }
  void Show(const StopSignal& n) { Leaf("signal", n.signal); }
  void Show(const Healthcheck& n) {
    if (n.none) return Bare("none");
    const auto number = [&](const char* name, int64_t value) {
      if (value != 0) Bare(std::string(name) + " " + std::to_string(value));
    };
    number("interval-ns", n.interval_ns);
    number("timeout-ns", n.timeout_ns);
    number("start-period-ns", n.start_period_ns);
    number("start-interval-ns", n.start_interval_ns);
    number("retries", n.retries);
    Show(n.command);
  }
  void Show(const Shell& n) {
    std::string line = "argv";
    for (const std::string& word : n.argv) line += " " + Quote(word);
    Bare(line);
  }
  void Show(const Arg& n) {
    for (const ArgDeclaration& d : n.declarations) {
      std::string line = "declare " + Quote(d.name.text) + Place(d.name.range);
      if (d.value) line += " " + Quote(d.value->text) + Place(d.value->range);
      Bare(line);
    }
  }
  void Show(const OnBuild& n) { Leaf("trigger", n.trigger, n.trigger_range); }

  void Show(const Reset& n) {
    constexpr const char* kNames[] = {"volume", "expose", "env", "label",
                                      "entrypoint"};
    Bare(std::string("what ") + kNames[static_cast<size_t>(n.what)]);
    Leaf("name", n.names);
  }

  std::string out_;
  size_t depth_ = 0;
};

}  // namespace

std::string Dump(const Dockerfile& file) { return Dumper().Dump(file); }

}  // namespace imgbuild::dockerfile
