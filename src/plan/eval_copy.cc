// COPY and ADD.
#include <fmt/format.h>

#include "imgbuild/oci/digest.h"
#include "imgbuild/plan/chmod.h"
#include "imgbuild/plan/git_source.h"
#include "imgbuild/plan/named_context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "plan/eval.h"

namespace imgbuild::plan {
namespace {

// COPY's destination: relative to WORKDIR, and a directory when it is written
// as one.
std::string Destination(const std::string& text, const std::string& workdir) {
  const std::string joined =
      text.starts_with('/') ? text : workdir + "/" + text;
  std::string out = "/" + fs::CleanRelative(joined);
  const bool directory = text.empty() || text == "." || text.ends_with('/') ||
                         text.ends_with("/.") || text.ends_with("/..");
  if (directory && !out.ends_with('/')) out += '/';
  return out;
}

// "COPY --chmod=755 a b # buildkit"; the peer tells these flags and no other.
std::string History(const CopyOp& op, const std::vector<std::string>& sources,
                    const std::string& destination) {
  std::string text = op.is_add ? "ADD" : "COPY";
  if (op.parents) text += " --parents";
  if (op.if_exists) text += " --if-exists";
  if (!op.chown.empty()) text += " --chown=" + op.chown;
  if (!op.chmod.empty()) text += " --chmod=" + op.chmod;
  for (const std::string& source : sources) text += " " + source;
  for (const CopyOp::Inline& file : op.inlines) text += " <<" + file.name;
  return text + " " + destination + " # buildkit";
}

void CheckChmod(const std::string& text, const SourceRange& range) {
  if (text.empty()) return;  // as without the flag
  try {
    Chmod::Parse(text);
  } catch (Error& error) {
    throw error.At(range);
  }
}

CopyOp::Remote MakeRemote(const std::string& url, const SourceRange& range,
                          const dockerfile::Copy& copy) {
  CopyOp::Remote remote{url, std::nullopt, range, "", 0};
  if (!IsGitUrl(url)) return remote;
  try {
    remote.git = ParseGitSource(url);
  } catch (Error& error) {
    error.At(range);
    throw;
  }
  if (copy.keep_git_dir && remote.git->keep_git_dir &&
      *copy.keep_git_dir != *remote.git->keep_git_dir) {
    Error error(ErrorCode::kDockerfile,
                "--keep-git-dir and the URL's keep-git-dir disagree");
    throw error.At(range);
  }
  if (!remote.git->keep_git_dir) remote.git->keep_git_dir = copy.keep_git_dir;
  return remote;
}

}  // namespace

CopyOp::Remote StageEvaluator::Remote(const std::string& url,
                                      const dockerfile::Word& word,
                                      const std::set<std::string>& variables,
                                      const dockerfile::Copy& copy) {
  CopyOp::Remote remote = MakeRemote(url, word.range, copy);
  using Kind = ExternalName::Kind;
  ExternalName name =
      NewName(remote.git ? Kind::kGit : Kind::kUrl, word, "ADD");
  for (const std::string& arg : variables) {
    if (!IsDeclared(arg)) continue;
    name.args[arg] = state_.env.Find(arg).value_or("");
  }
  if (copy.checksum) name.own_checksum = Expand(*copy.checksum);
  if (remote.git) {
    name.git = remote.git;
    name.name = WithoutUserInfo(remote.git->remote);
    if (!remote.git->ref.empty()) name.name += "#" + remote.git->ref;
    if (name.own_checksum.empty()) name.own_checksum = remote.git->commit;
    if (name.own_checksum.empty() && IsFullCommit(remote.git->ref)) {
      name.own_checksum = remote.git->ref;
    }
  } else {
    name.url = url;
    name.name = WithoutUserInfo(url);
  }
  context_.graph.names.push_back(name);
  try {
    remote.pin = context_.resolver.PinOf(name);
  } catch (Error& error) {
    error.At(name.range);
    throw;
  }
  return remote;
}

FileSource StageEvaluator::SourceFrom(const dockerfile::Word& from,
                                      bool allow_index, const std::string& site,
                                      std::vector<VertexIndex>& inputs) {
  FileSource source;
  const auto add_input = [&](VertexIndex vertex) {
    source.kind = FileSource::Kind::kVertex;
    source.vertex = static_cast<VertexIndex>(inputs.size());
    inputs.push_back(vertex);
  };
  if (const auto stage =
          context_.stages.FindSource(from, info_.index, allow_index)) {
    add_input(EnsureStage(context_, *stage).vertex);
    return source;
  }
  ImageName name{from.text, ""};
  ExternalName noted = NewName(ExternalName::Kind::kImage, from, site);
  if (const auto key = FindNamedContext(context_.options, from.text,
                                        context_.options.target_platform)) {
    const NamedContext named =
        ParseNamedContext(context_.options.named_contexts.at(*key));
    switch (named.kind) {
      case NamedContext::Kind::kFiles:
        source.context = *key;
        return source;
      case NamedContext::Kind::kStage:
        add_input(EnsureStageNamed(context_, named.value, from.range).vertex);
        return source;
      case NamedContext::Kind::kOciLayout:
        name = {"", named.value};
        break;
      case NamedContext::Kind::kImage:
        name = {named.value, ""};
        break;
    }
    noted.site = "--build-context " + *key;
    noted.written = named.value;
  }
  try {
    if (name.reference == from.text) {
      LintPin(context_, oci::Reference::Parse(from.text).WithDefaultTag(),
              instruction_->range, from.range);
    }
    if (name.layout.empty()) {
      noted.image = oci::Reference::Parse(name.reference).WithDefaultTag();
      noted.name = NameOf(*noted.image);
      context_.graph.names.push_back(noted);
    }
    // For the target, whatever platform this stage is for: as BuildKit does.
    add_input(ImageVertex(context_, name, context_.options.target_platform,
                          info_.display_name, "", from.range));
  } catch (Error& error) {
    error.At(from.range);
    if (const auto near = Suggest(from.text, context_.stages.Names())) {
      error.WithHint(fmt::format("did you mean the stage {}?", *near));
    }
    throw;
  }
  return source;
}

void StageEvaluator::LintSource(const std::string& source, bool is_add,
                                const SourceRange& range) {
  const auto& hidden = context_.options.hidden_by_ignore_file;
  if (!hidden) return;
  // "./a", "/a" and "b/../a" are all the file a of the context.
  const std::string path = fs::CleanRelative(source);
  if (hidden(path.empty() ? "." : path)) {
    linter_.IgnoredSource(source, is_add, range);
  }
}

void StageEvaluator::Do(const dockerfile::Copy& copy) {
  CopyOp op;
  std::vector<VertexIndex> inputs;
  op.is_add = copy.is_add;
  op.unpack_archives = copy.is_add && copy.unpack.value_or(true);
  op.unpack = copy.unpack;
  op.link = copy.link;
  op.parents = copy.parents;
  op.if_exists = copy.if_exists;
  if (copy.from) {
    if (dockerfile::HasVariable(copy.from->text, context_.file.escape)) {
      Error error(ErrorCode::kDockerfile,
                  "variable expansion is not supported for --from");
      error.At(copy.from->range)
          .WithHint(fmt::format("define a new stage with FROM using a global "
                                "ARG: FROM {} AS source, then --from=source",
                                copy.from->text));
      throw error;
    }
    op.source = SourceFrom(*copy.from, true, "COPY --from", inputs);
  }
  if (copy.chown) {
    op.chown = Expand(*copy.chown);
    op.chown_range = copy.chown->range;
  }
  if (copy.chmod) {
    op.chmod = Expand(*copy.chmod);
    CheckChmod(op.chmod, copy.chmod->range);
  }
  if (copy.checksum) op.checksum = Expand(*copy.checksum);
  std::vector<std::string> sources;
  for (const dockerfile::Word& word : copy.sources) {
    std::set<std::string> variables;
    const std::string text = Expand(word, &variables);
    sources.push_back(text);
    if (!copy.from && !IsHttpUrl(text) && !(copy.is_add && IsGitUrl(text))) {
      LintSource(text, copy.is_add, word.range);
    }
    if (!IsHttpUrl(text) && !IsGitUrl(text)) {
      op.patterns.push_back({text, word.range});
      continue;
    }
    if (copy.is_add) {
      op.remotes.push_back(Remote(text, word, variables, copy));
      op.remotes.back().patterns_before = op.patterns.size();
      continue;
    }
    if (!IsHttpUrl(text) && !text.starts_with("git@")) {
      op.patterns.push_back({text, word.range});  // a path after all
      continue;
    }
    Error error(ErrorCode::kDockerfile, "source can't be a URL for COPY");
    throw error.At(word.range)
        .WithHint("ADD fetches URLs and git repositories");
  }
  const std::string destination = Expand(copy.destination);
  op.destination = Destination(destination, state_.config.working_dir);
  op.destination_range = copy.destination.range;
  for (const dockerfile::Heredoc& heredoc : copy.heredocs) {
    std::string text = heredoc.body;
    if (heredoc.expand) {
      const dockerfile::ExpandResult expanded =
          dockerfile::ExpandHeredoc(heredoc, state_.env.AsLookup());
      WarnUnmatched(expanded.unmatched, heredoc.body_range);
      text = expanded.text;
    }
    op.inlines.push_back({heredoc.name, text});
  }
  for (const dockerfile::Word& exclude : copy.excludes) {
    op.excludes.push_back(exclude.text);
  }
  if (!op.checksum.empty() &&
      (op.remotes.size() != 1 || !op.patterns.empty() || !op.inlines.empty())) {
    Error error(ErrorCode::kDockerfile,
                op.remotes.empty()
                    ? "checksum requires an HTTP(S) or git source"
                    : "checksum can't be specified for multiple sources");
    throw error.At(copy.checksum->range);
  }
  if (!op.checksum.empty() && !op.remotes[0].git) {
    if (!oci::Digest::TryParse(op.checksum)) {
      Error error(ErrorCode::kDockerfile,
                  fmt::format("invalid checksum {}", Quoted(op.checksum)));
      throw error.At(copy.checksum->range)
          .WithHint("the form is sha256: and 64 hexadecimal digits");
    }
  }
  const std::string history = History(op, sources, destination);
  AddLayer(std::move(op), std::move(inputs), history);
}

}  // namespace imgbuild::plan
