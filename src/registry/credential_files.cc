#include "registry/credential_files.h"

#include <cstdlib>
#include <mutex>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "registry/base64.h"
#include "registry/credential_helper.h"
#include "registry/user_file.h"

namespace imgbuild::registry {
namespace {

using Json = nlohmann::json;

std::string StringAt(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return "";
  return found->get<std::string>();
}

// "user:password" into its two halves; false when there is no colon.
bool SplitPair(std::string_view pair, Credentials* out) {
  const size_t colon = pair.find(':');
  if (colon == std::string_view::npos) return false;
  out->username = std::string(pair.substr(0, colon));
  out->password = std::string(pair.substr(colon + 1));
  // Old clients padded with NUL.
  while (!out->password.empty() && out->password.back() == '\0') {
    out->password.pop_back();
  }
  return true;
}

std::optional<Credentials> ParseEntry(const Json& entry,
                                      const std::string& source) {
  if (!entry.is_object()) return std::nullopt;
  Credentials out;
  out.source = source;
  out.identity_token = StringAt(entry, "identitytoken");
  out.registry_token = StringAt(entry, "registrytoken");
  out.username = StringAt(entry, "username");
  out.password = StringAt(entry, "password");
  if (const std::string auth = StringAt(entry, "auth"); !auth.empty()) {
    const auto pair = Base64Decode(auth);
    if (pair) SplitPair(*pair, &out);
  }
  if (out.username.empty() && out.password.empty() &&
      out.identity_token.empty() && out.registry_token.empty()) {
    return std::nullopt;  // a helper keeps the secret; the entry is a marker
  }
  return out;
}

// The entry `key` of the table `table`.
std::string RuleOf(const std::string& source, std::string_view text,
                   const std::string& table, const std::string& key) {
  return table + " " + Quoted(key) + " in " +
         PlaceOf(source, text, "\"" + key + "\"", "\"" + table + "\"");
}

bool IsDockerHub(const std::string& domain) {
  return domain == "docker.io" || domain == "index.docker.io" ||
         domain == "registry-1.docker.io";
}

class CredentialFiles : public CredentialSource {
 public:
  explicit CredentialFiles(CredentialFilesOptions options)
      : options_(std::move(options)) {}

  std::optional<Credentials> Find(const oci::Repository& repository) override {
    const std::lock_guard lock(mutex_);
    if (auto found = FromVariable(repository.domain())) return found;
    for (const AuthFile& file : Files()) {
      if (auto found = FromFile(file, repository)) return found;
    }
    return std::nullopt;
  }

 private:
  void Warn(const std::string& text) {
    // Once is enough: every layer asks.
    if (options_.warn && warned_.insert(text).second) options_.warn(text);
  }

  std::optional<Credentials> FromVariable(const std::string& domain) {
    const std::string name = AuthVariable(domain);
    const auto value = options_.env(name);
    if (!value || value->empty()) return std::nullopt;
    Credentials out;
    out.source = "$" + name;
    out.rule = out.source;
    if (SplitPair(*value, &out)) return out;
    Warn("$" + name + " is ignored: it is not of the form user:password");
    return std::nullopt;
  }

  std::optional<Credentials> FromFile(const AuthFile& file,
                                      const oci::Repository& repository) {
    const std::vector<std::string> keys = AuthKeysFor(repository);
    for (const std::string& key : keys) {
      const auto helper = file.helpers.find(key);
      if (helper == file.helpers.end()) continue;
      if (auto found = FromHelper(helper->second, repository)) return found;
    }
    if (!file.store.name.empty()) {
      if (auto found = FromHelper(file.store, repository)) return found;
    }
    for (const std::string& key : keys) {
      const auto entry = file.auths.find(key);
      if (entry != file.auths.end()) return entry->second;
    }
    return std::nullopt;
  }

  std::optional<Credentials> FromHelper(const NamedHelper& helper,
                                        const oci::Repository& repository) {
    try {
      auto found = HelperGet(helper.name, ServerName(repository.domain()));
      if (found) found->rule = helper.rule;
      return found;
    } catch (const Error& error) {
      Warn(error.message() + "; going on without credentials for " +
           repository.domain());
      return std::nullopt;
    }
  }

  const std::vector<AuthFile>& Files() {
    if (files_) return *files_;
    files_.emplace();
    if (const auto text = options_.env("DOCKER_AUTH_CONFIG");
        text && !text->empty()) {
      Add(*text, "$DOCKER_AUTH_CONFIG");
    }
    for (const std::string& path : Paths()) {
      try {
        const auto text = ReadUserFile(path, kMaxAuthFile);
        if (text) Add(*text, path);
      } catch (const Error& error) {
        Warn(error.message() + "; its credentials are not used");
      }
    }
    return *files_;
  }

  void Add(const std::string& text, const std::string& source) {
    try {
      files_->push_back(ParseAuthFile(text, source));
    } catch (const Error& error) {
      Warn(error.message() + "; its credentials are not used");
    }
  }

  std::vector<std::string> Paths() const {
    std::vector<std::string> out;
    const auto add = [&out](std::string path) {
      if (!path.empty()) out.push_back(std::move(path));
    };
    add(options_.auth_file);
    add(options_.env("REGISTRY_AUTH_FILE").value_or(""));
    add(DockerConfigPath(options_.env));
    if (const auto dir = options_.env("XDG_RUNTIME_DIR");
        dir && !dir->empty()) {
      add(*dir + "/containers/auth.json");
    }
    if (const auto dir = options_.env("XDG_CONFIG_HOME");
        dir && !dir->empty()) {
      add(*dir + "/containers/auth.json");
    } else if (const auto home = options_.env("HOME"); home && !home->empty()) {
      add(*home + "/.config/containers/auth.json");
    }
    return out;
  }

  const CredentialFilesOptions options_;
  std::mutex mutex_;
  std::optional<std::vector<AuthFile>> files_;
  std::set<std::string> warned_;
};

class EmptySource : public CredentialSource {
 public:
  std::optional<Credentials> Find(const oci::Repository&) override {
    return std::nullopt;
  }
};

}  // namespace

EnvLookup ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

std::string AuthVariable(std::string_view host) {
  std::string out = "IMGBUILD_AUTH_";
  for (const char c : host) {
    if (c >= 'a' && c <= 'z') {
      out += static_cast<char>(c - 'a' + 'A');
    } else if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
      out += c;
    } else {
      out += '_';
    }
  }
  return out;
}

std::string NormaliseAuthKey(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  for (const std::string_view version : {"/v1", "/v2"}) {
    if (key.ends_with(version)) key.remove_suffix(version.size());
  }
  while (key.ends_with('/')) key.remove_suffix(1);
  return std::string(key);
}

std::string ServerName(const std::string& domain) {
  return IsDockerHub(domain) ? "https://index.docker.io/v1/" : domain;
}

std::vector<std::string> AuthKeysFor(const oci::Repository& repository) {
  std::vector<std::string> out;
  std::string name = repository.ToString();
  for (;;) {
    out.push_back(name);
    const size_t slash = name.rfind('/');
    if (slash == std::string::npos) break;
    name.resize(slash);
  }
  if (IsDockerHub(repository.domain())) {
    out.insert(out.end(),
               {"index.docker.io", "docker.io", "registry-1.docker.io"});
  }
  return out;
}

AuthFile ParseAuthFile(std::string_view text, const std::string& source) {
  // The parser's own message would quote the text, secrets and all.
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) {
    throw Error(ErrorCode::kHost, source + ": not a JSON object");
  }
  AuthFile file;
  if (const auto auths = json.find("auths");
      auths != json.end() && auths->is_object()) {
    for (const auto& [key, entry] : auths->items()) {
      if (auto parsed = ParseEntry(entry, source)) {
        parsed->rule = RuleOf(source, text, "auths", key);
        file.auths.emplace(NormaliseAuthKey(key), std::move(*parsed));
      }
    }
  }
  if (const auto helpers = json.find("credHelpers");
      helpers != json.end() && helpers->is_object()) {
    for (const auto& [key, helper] : helpers->items()) {
      if (helper.is_string() && !helper.get_ref<const std::string&>().empty()) {
        file.helpers.emplace(
            NormaliseAuthKey(key),
            NamedHelper{helper.get<std::string>(),
                        RuleOf(source, text, "credHelpers", key)});
      }
    }
  }
  file.store = {StringAt(json, "credsStore"),
                "credsStore in " + PlaceOf(source, text, "\"credsStore\"")};
  return file;
}

std::string DockerConfigPath(const EnvLookup& env) {
  if (const auto dir = env("DOCKER_CONFIG"); dir && !dir->empty()) {
    return *dir + "/config.json";
  }
  const auto home = env("HOME");
  if (!home || home->empty()) return "";
  return *home + "/.docker/config.json";
}

std::unique_ptr<CredentialSource> NewCredentialFiles(
    CredentialFilesOptions options) {
  return std::make_unique<CredentialFiles>(std::move(options));
}

std::unique_ptr<CredentialSource> NewCredentialFiles(
    std::function<void(const std::string&)> warn) {
  CredentialFilesOptions options;
  options.warn = std::move(warn);
  return NewCredentialFiles(std::move(options));
}

std::unique_ptr<CredentialSource> NoCredentials() {
  return std::make_unique<EmptySource>();
}

}  // namespace imgbuild::registry
