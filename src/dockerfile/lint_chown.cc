// RUN chown -R right after the COPY whose files it rewrites.
#include <algorithm>
#include <optional>
#include <utility>

#include "imgbuild/util/strings.h"

#include "dockerfile/lint_rules.h"

namespace imgbuild::dockerfile {
namespace {

using Words = std::vector<std::string>;

// A shell text as simple commands, quotes removed. Only what is needed to see
// `adduser app && chown -R app /app`; anything cleverer gives other words.
std::vector<Words> SimpleCommands(std::string_view text) {
  std::vector<Words> commands(1);
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) commands.back().push_back(std::exchange(word, ""));
  };
  char quote = 0;
  for (const char c : text) {
    if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == ' ' || c == '\t') {
      end_word();
    } else if (c == '&' || c == ';' || c == '|' || c == '\n') {
      end_word();
      if (!commands.back().empty()) commands.emplace_back();
    } else {
      word += c;
    }
  }
  end_word();
  if (commands.back().empty()) commands.pop_back();
  return commands;
}

// What may stand before the chown without touching the copied files.
bool IsHarmless(const Words& command) {
  constexpr std::string_view kHarmless[] = {"addgroup", "adduser", "groupadd",
                                            "useradd",  "usermod", "mkdir",
                                            "set",      "true",    ":"};
  return std::ranges::find(kHarmless, command[0]) != std::end(kHarmless);
}

struct Change {
  std::string program;  // chown or chmod
  std::string value;    // the owner or the mode
  Words paths;
};

std::optional<Change> RecursiveChange(const Words& command) {
  if (command[0] != "chown" && command[0] != "chmod") return std::nullopt;
  Change change{command[0], "", {}};
  bool recursive = false;
  for (size_t i = 1; i < command.size(); ++i) {
    const std::string& word = command[i];
    // chmod -x and -rw are modes; nobody writes them with -R alone.
    if (word == "--recursive") {
      recursive = true;
    } else if (word.starts_with("--")) {
      continue;
    } else if (word.size() > 1 && word[0] == '-' && change.value.empty() &&
               word.find_first_not_of("RvfchHLP", 1) == std::string::npos) {
      recursive = recursive || word.find('R') != std::string::npos;
    } else if (change.value.empty()) {
      change.value = word;
    } else {
      change.paths.push_back(word);
    }
  }
  if (!recursive || change.paths.empty()) return std::nullopt;
  return change;
}

// Absolute, without a slash at the end; nothing for what cannot be known.
std::optional<std::string> PathIn(const std::optional<std::string>& workdir,
                                  std::string_view path) {
  std::string text(path);
  if (!text.starts_with('/')) {
    if (text.starts_with('$')) return text;  // the same variable, if any
    if (!workdir) return std::nullopt;
    if (text == ".") text.clear();
    if (text.starts_with("./")) text.erase(0, 2);
    text = *workdir + "/" + text;
  }
  while (text.size() > 1 && (text.ends_with('/') || text.ends_with("/."))) {
    text.resize(text.size() - (text.ends_with('/') ? 1 : 2));
  }
  return text;
}

bool IsInside(std::string_view path, std::string_view tree) {
  return path == tree || tree == "/" ||
         (path.starts_with(tree) && path.substr(tree.size()).starts_with('/'));
}

struct CopiedTree {
  const Copy* copy;
  std::string path;
};

void JudgeRun(const Instruction& instruction,
              const std::vector<CopiedTree>& trees,
              const std::optional<std::string>& workdir,
              std::vector<Finding>& out) {
  const auto& run = std::get<Run>(instruction.node);
  std::string text = run.command.shell;
  if (run.only_heredoc && !run.heredocs.empty()) text = run.heredocs[0].body;
  if (run.command.form == Command::Form::kExec || text.starts_with("#!")) {
    return;
  }
  for (const Words& command : SimpleCommands(text)) {
    const auto change = RecursiveChange(command);
    if (!change && IsHarmless(command)) continue;
    if (!change) return;  // the files may be others after this
    for (const std::string& written : change->paths) {
      const auto path = PathIn(workdir, written);
      const auto hit = std::ranges::find_if(trees, [&](const CopiedTree& tree) {
        const auto& flag =
            change->program == "chown" ? tree.copy->chown : tree.copy->chmod;
        return path && !flag && IsInside(tree.path, *path);
      });
      if (hit == trees.end()) continue;
      const std::string keyword = hit->copy->is_add ? "ADD" : "COPY";
      out.push_back({RuleId::kChownAfterCopy,
                     "RUN " + change->program + " -R stores every file of " +
                         written + " a second time; write " + keyword + " --" +
                         change->program + "=" + change->value + " instead",
                     instruction.range, run.command.range});
      return;
    }
  }
}

}  // namespace

void JudgeChownAfterCopy(const LintInput& input, std::vector<Finding>& out) {
  for (const Stage& stage : input.file.stages) {
    std::optional<std::string> workdir;
    std::vector<CopiedTree> trees;  // since the latest RUN
    for (const Instruction& instruction : stage.instructions) {
      if (const auto* dir = std::get_if<Workdir>(&instruction.node)) {
        workdir = PathIn(workdir, dir->path.text);
      } else if (const auto* copy = std::get_if<Copy>(&instruction.node)) {
        if (auto path = PathIn(workdir, copy->destination.text)) {
          trees.push_back({copy, std::move(*path)});
        }
      } else if (std::holds_alternative<Run>(instruction.node)) {
        if (!trees.empty()) JudgeRun(instruction, trees, workdir, out);
        trees.clear();
      }
    }
  }
}

}  // namespace imgbuild::dockerfile
