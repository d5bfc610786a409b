#include "dockerfile/expand_all.h"

#include <type_traits>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/dockerfile/mount.h"

namespace imgbuild::dockerfile {
namespace {

class Walker {
 public:
  explicit Walker(char escape) : escape_(escape) {}

  void Visit(const Instruction& instruction) {
    std::visit([&](const auto& node) { Visit(node); }, instruction.node);
  }

 private:
  void Do(const Word& word) { Expand(word, lookup_, escape_); }
  void Do(const std::optional<Word>& word) {
    if (word) Do(*word);
  }
  void Do(const std::vector<Word>& words) {
    for (const Word& word : words) Do(word);
  }
  void Do(const std::vector<KeyValue>& pairs) {
    for (const KeyValue& pair : pairs) {
      Do(pair.key);
      Do(pair.value);
    }
  }

  void Visit(const From& n) {
    Do(n.image);
    Do(n.platform);
  }
  void Visit(const dockerfile::Run& n) {
    for (const RawMount& mount : n.mounts) {
      ResolveMount(mount, [&](const Word& word) {
        return Expand(word, lookup_, escape_).text;
      });
    }
  }
  void Visit(const Copy& n) {
    Do(n.sources);
    Do(n.destination);
    Do(n.chown);
    Do(n.chmod);
    Do(n.checksum);
    for (const Heredoc& heredoc : n.heredocs) {
      if (heredoc.expand) ExpandHeredoc(heredoc, lookup_);
    }
  }
  void Visit(const Env& n) { Do(n.pairs); }
  void Visit(const Label& n) { Do(n.pairs); }
  void Visit(const Expose& n) {
    for (const Word& port : n.ports) ExpandWords(port, lookup_, escape_);
  }
  void Visit(const User& n) { Do(n.user); }
  void Visit(const Workdir& n) { Do(n.path); }
  void Visit(const Volume& n) { Do(n.paths); }
  void Visit(const StopSignal& n) { Do(n.signal); }
  void Visit(const Reset& n) { Do(n.names); }
  void Visit(const Arg& n) {
    for (const ArgDeclaration& d : n.declarations) {
      Do(d.name);
      Do(d.value);
    }
  }
  // Shells expand these themselves.
  void Visit(const Cmd&) {}
  void Visit(const Entrypoint&) {}
  void Visit(const Maintainer&) {}
  void Visit(const Healthcheck&) {}
  void Visit(const Shell&) {}
  void Visit(const OnBuild&) {}

  const char escape_;
  const Lookup lookup_ = [](std::string_view) { return std::nullopt; };
};

}  // namespace

void ExpandAll(const Dockerfile& file) {
  Walker walker(file.escape);
  for (const Instruction& instruction : file.meta_args)
    walker.Visit(instruction);
  for (const Stage& stage : file.stages) {
    walker.Visit(stage.from);
    for (const Instruction& instruction : stage.instructions)
      walker.Visit(instruction);
  }
}

}  // namespace imgbuild::dockerfile
