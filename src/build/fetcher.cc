#include "imgbuild/build/fetcher.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>
#include <vector>

#include "imgbuild/build/remote_context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include "build/secret.h"

namespace imgbuild::build {
namespace {

// Nothing of the user's configuration decides what comes out, no prompt waits
// for an answer, and a submodule cannot name a path of this machine.
std::vector<std::string> GitEnvironment(const std::string& ssh_auth_sock) {
  std::vector<std::string> env = {
      "GIT_CONFIG_NOSYSTEM=1",
      "GIT_CONFIG_GLOBAL=/dev/null",
      "GIT_TERMINAL_PROMPT=0",
      "GIT_ALLOW_PROTOCOL=http:https:git:ssh",
      "GIT_SSH_COMMAND=ssh -o BatchMode=yes",
      "GIT_LFS_SKIP_SMUDGE=1",
      "LC_ALL=C",
  };
  for (const char* name :
       {"PATH", "HOME", "SSH_AUTH_SOCK", "http_proxy", "https_proxy",
        "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"}) {
    if (const char* value = std::getenv(name)) {
      env.push_back(fmt::format("{}={}", name, value));
    }
  }
  // The later one of two wins nowhere for sure: there is only one.
  if (!ssh_auth_sock.empty()) {
    std::erase_if(env, [](const std::string& pair) {
      return pair.starts_with("SSH_AUTH_SOCK=");
    });
    env.push_back("SSH_AUTH_SOCK=" + ssh_auth_sock);
  }
  return env;
}

class RealFetcher : public Fetcher {
 public:
  RealFetcher(registry::HttpTransport& transport, FetcherOptions options)
      : transport_(transport), options_(std::move(options)) {}

  registry::Download FetchUrl(const std::string& url,
                              const registry::Validators& known, Writer& out,
                              const CancelToken& cancel) override {
    return registry::DownloadUrl(transport_, url, known, out, cancel,
                                 UrlAuthorization(url));
  }

  std::string ResolveCommit(const plan::GitSource& source,
                            const CancelToken& cancel) override {
    if (plan::IsFullCommit(source.ref)) return source.ref;
    const std::string ref = source.ref.empty() ? "HEAD" : source.ref;
    const CommandResult result =
        Git(source.remote, {"ls-remote", "--", source.remote, ref, ref + "^{}"},
            "", cancel);
    if (!result.status.ok()) throw Failed(source, "ls-remote", result);
    // A branch is preferred to a tag of the same name, as git does; of an
    // annotated tag the commit counts, not the tag object.
    const std::vector<std::string> wanted = {
        ref + "^{}",         ref,
        "refs/heads/" + ref, "refs/tags/" + ref + "^{}",
        "refs/tags/" + ref,  "refs/" + ref + "^{}",
        "refs/" + ref};
    for (const std::string& name : wanted) {
      for (const std::string& line : Split(result.out, '\n')) {
        const size_t tab = line.find('\t');
        if (tab == std::string::npos || line.substr(tab + 1) != name) continue;
        std::string commit = line.substr(0, tab);
        if (plan::IsFullCommit(commit)) return commit;
      }
    }
    throw Error(
        ErrorCode::kRegistry,
        fmt::format("{} has no ref {}", ShownUrl(source.remote), Quoted(ref)));
  }

  void Checkout(const plan::GitSource& source, const std::string& commit,
                const std::string& directory,
                const CancelToken& cancel) override {
    const auto must = [&](const char* what, std::vector<std::string> words) {
      const CommandResult result =
          Git(source.remote, std::move(words), directory, cancel);
      if (!result.status.ok()) throw Failed(source, what, result);
    };
    must("init", {"init", "-q"});
    must("remote", {"remote", "add", "origin", source.remote});
    // Not every server hands out a commit by its name, or a part of history.
    const CommandResult shallow =
        Git(source.remote,
            {"fetch", "-q", "--depth=1", "--no-tags", "origin", commit},
            directory, cancel);
    if (!shallow.status.ok()) {
      must("fetch", {"fetch", "-q", "--tags", "origin",
                     "+refs/heads/*:refs/remotes/origin/*"});
    }
    must("checkout", {"checkout", "-q", "--detach", commit});
    if (source.submodules) {
      must("submodule", {"submodule", "update", "-q", "--init", "--recursive"});
    }
    // The index says when files were written, and hands that on to the next
    // one: only one that grew from nothing does not.
    if (source.submodules) {
      must("submodule", {"submodule", "foreach", "-q", "--recursive",
                         "git read-tree --empty && git read-tree HEAD"});
    }
    must("read-tree", {"read-tree", "--empty"});
    must("read-tree", {"read-tree", commit});
  }

 private:
  // The ends of the names of a host's secrets: with its port, and without.
  static std::vector<std::string> Suffixes(const registry::HttpOrigin& url,
                                           const char* separator) {
    return {separator + url.origin.substr(url.origin.find("//") + 2),
            separator + url.host};
  }

  std::string UrlAuthorization(const std::string& text) const {
    const auto url = registry::SplitHttpUrl(text);
    if (!url) return "";
    for (const std::string& suffix : Suffixes(*url, "_")) {
      if (auto token = SecretValue("HTTP_AUTH_TOKEN" + suffix)) {
        return Header("HTTP_AUTH_TOKEN" + suffix, "Bearer " + *token);
      }
      if (auto value = SecretValue("HTTP_AUTH_HEADER" + suffix)) {
        return Header("HTTP_AUTH_HEADER" + suffix, *value);
      }
    }
    return "";
  }

  // What goes into a request must not begin a further header.
  static std::string Header(const std::string& id, const std::string& value) {
    for (const char c : value) {
      if (static_cast<unsigned char>(c) >= ' ' || c == '\t') continue;
      throw Error(ErrorCode::kUsage,
                  fmt::format("secret {} has more than one line", id));
    }
    return value;
  }

  // Through the environment: everybody can read the words of a process. Only
  // for the host of `remote`, submodules there included.
  void AddAuthorization(const std::string& remote,
                        std::vector<std::string>& env) const {
    const auto url = registry::SplitHttpUrl(remote);
    if (!url) return;
    std::vector<std::string> suffixes = Suffixes(*url, ".");
    suffixes.emplace_back();
    for (const std::string& suffix : suffixes) {
      std::string header;
      if (auto token = SecretValue("GIT_AUTH_TOKEN" + suffix)) {
        header = "basic " + registry::EncodeBase64("x-access-token:" + *token);
      } else if (auto value = SecretValue("GIT_AUTH_HEADER" + suffix)) {
        header = *value;
      } else {
        continue;
      }
      header = Header("GIT_AUTH" + suffix, header);
      env.insert(
          env.end(),
          {"GIT_CONFIG_COUNT=1",
           fmt::format("GIT_CONFIG_KEY_0=http.{}/.extraheader", url->origin),
           "GIT_CONFIG_VALUE_0=Authorization: " + header});
      return;
    }
  }

  std::optional<std::string> SecretValue(const std::string& id) const {
    auto value = ReadSecret(options_.secrets, id);
    if (value) *value = Trim(*value);
    return value;
  }

  CommandResult Git(const std::string& remote, std::vector<std::string> words,
                    const std::string& directory,
                    const CancelToken& cancel) const {
    ProcessOptions options;
    options.argv = {"git",
                    "-c",
                    "core.hooksPath=/dev/null",
                    "-c",
                    "core.logAllRefUpdates=false",
                    "-c",
                    "advice.detachedHead=false",
                    "-c",
                    "init.defaultBranch=main"};
    options.argv.insert(options.argv.end(), words.begin(), words.end());
    options.env = GitEnvironment(options_.ssh_auth_sock);
    AddAuthorization(remote, *options.env);
    options.cwd = directory;
    options.new_session = true;
    // What is checked out must not depend on the caller's.
    options.before_exec = [] {
      ::umask(022);
      return 0;
    };
    return RunCommand(options, "", 1 << 20, &cancel);
  }

  static Error Failed(const plan::GitSource& source, const char* what,
                      const CommandResult& result) {
    std::string reason = std::string(Trim(result.err));
    // git repeats the URL as it was given, user info included.
    const std::string shown = ShownUrl(source.remote);
    for (size_t at = 0; shown != source.remote &&
                        (at = reason.find(source.remote)) != std::string::npos;
         at += shown.size()) {
      reason.replace(at, source.remote.size(), shown);
    }
    return Error(
        ErrorCode::kRegistry,
        fmt::format("git {} of {}: {}", what, shown,
                    reason.empty() ? result.status.ToString() : reason));
  }

  registry::HttpTransport& transport_;
  const FetcherOptions options_;
};

class OfflineFetcher : public Fetcher {
 public:
  explicit OfflineFetcher(std::string reason) : reason_(std::move(reason)) {}

  registry::Download FetchUrl(const std::string& url,
                              const registry::Validators&, Writer&,
                              const CancelToken&) override {
    throw Refused(ShownUrl(url))
        .WithHint(
            "`imgbuild lock fetch` brings the files of a lock into the "
            "store");
  }
  std::string ResolveCommit(const plan::GitSource& source,
                            const CancelToken&) override {
    if (plan::IsFullCommit(source.ref)) return source.ref;
    throw Refused(ShownUrl(source.remote));
  }
  void Checkout(const plan::GitSource& source, const std::string&,
                const std::string&, const CancelToken&) override {
    throw Refused(ShownUrl(source.remote))
        .WithHint(
            "the store keeps no repositories: a build with --locked "
            "fetches the commit, and its step is cached from then on");
  }

 private:
  Error Refused(const std::string& what) const {
    return Error(ErrorCode::kPolicy,
                 fmt::format("{} is not in the store, and {} fetches nothing",
                             what, reason_));
  }
  const std::string reason_;
};

}  // namespace

std::unique_ptr<Fetcher> NewOfflineFetcher(const std::string& reason) {
  return std::make_unique<OfflineFetcher>(reason);
}

std::unique_ptr<Fetcher> NewFetcher(registry::HttpTransport& transport,
                                    FetcherOptions options) {
  return std::make_unique<RealFetcher>(transport, std::move(options));
}

}  // namespace imgbuild::build
