// `login` and `logout`: credentials into the helper or the file that Docker
// would use, so that both programs see the same.
#include <fcntl.h>

#include <climits>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include <nlohmann/json.hpp>

#include "registry/base64.h"
#include "registry/credential_files.h"
#include "registry/credential_helper.h"
#include "registry/user_file.h"

namespace imgbuild::registry {
namespace {

// Keeps the order of the keys, so that a file of the user's stays readable.
using Json = nlohmann::ordered_json;

Json ReadConfig(const std::string& path) {
  const auto text = ReadUserFile(path, kMaxAuthFile);
  if (!text || text->empty()) return Json::object();
  Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) {
    throw Error(ErrorCode::kHost, path + ": not a JSON object");
  }
  return json;
}

// Where the path leads when it is a link: the link stays one.
std::string RealTarget(const std::string& path) {
  std::string target = path;
  for (int hops = 0; hops < 8; ++hops) {
    const auto info = fs::LstatIfExists(AT_FDCWD, target);
    if (!info || !S_ISLNK(info->st_mode)) break;
    const std::string link = fs::ReadLink(AT_FDCWD, target);
    target = link.starts_with('/')
                 ? link
                 : target.substr(0, target.rfind('/') + 1) + link;
  }
  return target;
}

void WriteConfig(const std::string& path, const Json& json) {
  const std::string target = RealTarget(path);
  const size_t slash = target.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    fs::MakeDirs(AT_FDCWD, target.substr(0, slash), 0700);
  }
  fs::WriteFileAtomic(AT_FDCWD, target, json.dump(8) + "\n", 0600);
}

std::string PathOrThrow(const CredentialFilesOptions& options) {
  std::string path = options.auth_file.empty() ? DockerConfigPath(options.env)
                                               : options.auth_file;
  if (path.empty()) {
    throw Error(ErrorCode::kHost,
                "no place for credentials: neither HOME nor DOCKER_CONFIG is "
                "set");
  }
  return path;
}

// credHelpers for this host, else credsStore, else "".
std::string HelperFor(const Json& config, const std::string& host) {
  const std::string server = ServerName(host);
  if (const auto helpers = config.find("credHelpers");
      helpers != config.end() && helpers->is_object()) {
    for (const auto& [key, helper] : helpers->items()) {
      if (helper.is_string() &&
          (NormaliseAuthKey(key) == host ||
           NormaliseAuthKey(key) == NormaliseAuthKey(server))) {
        return helper.get<std::string>();
      }
    }
  }
  const auto store = config.find("credsStore");
  return store != config.end() && store->is_string() ? store->get<std::string>()
                                                     : std::string();
}

}  // namespace

std::string SaveCredentials(const CredentialFilesOptions& options,
                            const std::string& host,
                            const Credentials& credentials) {
  const std::string path = PathOrThrow(options);
  Json config = ReadConfig(path);
  const std::string server = ServerName(host);
  if (const std::string helper = HelperFor(config, host); !helper.empty()) {
    HelperStore(helper, server, credentials);
    // What `docker login` leaves as a marker.
    config["auths"][server] = Json::object();
    WriteConfig(path, config);
    return "docker-credential-" + helper;
  }
  Json entry = Json::object();
  entry["auth"] =
      Base64Encode(credentials.username + ":" + credentials.password);
  if (!credentials.identity_token.empty()) {
    entry["auth"] = Base64Encode(credentials.username + ":");
    entry["identitytoken"] = credentials.identity_token;
  }
  config["auths"][server] = std::move(entry);
  WriteConfig(path, config);
  return path;
}

bool EraseCredentials(const CredentialFilesOptions& options,
                      const std::string& host) {
  const std::string path = PathOrThrow(options);
  Json config = ReadConfig(path);
  bool erased = false;
  if (const std::string helper = HelperFor(config, host); !helper.empty()) {
    erased = HelperErase(helper, ServerName(host));
  }
  const auto auths = config.find("auths");
  if (auths == config.end() || !auths->is_object()) return erased;
  std::vector<std::string> keys;
  for (const auto& [key, entry] : auths->items()) {
    if (NormaliseAuthKey(key) == NormaliseAuthKey(ServerName(host))) {
      keys.push_back(key);
    }
  }
  for (const std::string& key : keys) auths->erase(key);
  if (!keys.empty()) WriteConfig(path, config);
  return erased || !keys.empty();
}

}  // namespace imgbuild::registry
