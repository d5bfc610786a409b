#include "registry/host_config.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "registry/proxy.h"
#include "registry/registries_conf.h"
#include "registry/url.h"
#include "registry/user_file.h"

namespace imgbuild::registry {
namespace {

constexpr size_t kMaxConfigFile = 1u << 20;

std::string EnvOr(const char* name, const std::string& otherwise) {
  return ProcessEnvironment()(name).value_or(otherwise);
}

std::vector<std::string> StandardCertsDirs() {
  std::vector<std::string> out = {"/etc/docker/certs.d",
                                  "/etc/containers/certs.d"};
  if (const std::string home = EnvOr("HOME", ""); !home.empty()) {
    out.push_back(home + "/.config/containers/certs.d");
    out.push_back(home + "/.docker/certs.d");
  }
  return out;
}

// PREFIX.d/*.conf, in the order of their names.
void AddDropIns(const std::string& directory, std::vector<std::string>* out) {
  const UniqueFd fd =
      fs::OpenIfExists(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!fd) return;
  for (const std::string& name : fs::ListDir(fd.get())) {
    if (name.ends_with(".conf")) out->push_back(directory + "/" + name);
  }
}

std::vector<std::string> StandardRegistriesConf() {
  std::vector<std::string> out;
  const std::string home = EnvOr("HOME", "");
  const std::string user = home + "/.config/containers/registries.conf";
  if (const std::string file = EnvOr("CONTAINERS_REGISTRIES_CONF", "");
      !file.empty()) {
    return {file};
  }
  if (!home.empty() && fs::LstatIfExists(AT_FDCWD, user)) {
    out.push_back(user);
  } else {
    out.push_back("/etc/containers/registries.conf");
  }
  AddDropIns("/etc/containers/registries.conf.d", &out);
  if (!home.empty()) AddDropIns(user + ".d", &out);
  return out;
}

class FileHostConfig : public HostConfig {
 public:
  explicit FileHostConfig(const HostsOptions& options)
      : certs_dirs_(options.certs_dirs.empty() ? StandardCertsDirs()
                                               : options.certs_dirs) {
    for (const std::string& entry : options.insecure_registries) {
      insecure_.push_back({entry, "--insecure-registry"});
    }
    const std::vector<std::string> files = options.registries_conf.empty()
                                               ? StandardRegistriesConf()
                                               : options.registries_conf;
    for (const std::string& file : files) {
      if (const auto text = ReadConfig(file)) {
        MergeRules(&rules_, ParseRegistriesConf(*text, file));
      }
    }
    const std::vector<std::string> daemons =
        options.daemon_json.empty()
            ? std::vector<std::string>{"/etc/docker/daemon.json"}
            : options.daemon_json;
    for (const std::string& file : daemons) {
      if (const auto text = ReadConfig(file)) {
        const DaemonJson daemon = ParseDaemonJson(*text, file);
        for (const std::string& mirror : daemon.mirrors) {
          hub_mirrors_.push_back(
              {mirror, PlaceOf(file, *text, "\"" + mirror + "\"",
                               "\"registry-mirrors\"")});
        }
        for (const std::string& entry : daemon.insecure) {
          insecure_.push_back({entry, PlaceOf(file, *text, "\"" + entry + "\"",
                                              "\"insecure-registries\"")});
        }
      }
    }
  }

  std::vector<Endpoint> EndpointsFor(const oci::Repository& repository,
                                     bool by_digest) override {
    const std::string name = repository.ToString();
    const RegistryRule* rule = FindRule(rules_, name);
    if (rule != nullptr && rule->blocked) {
      throw Error(ErrorCode::kPolicy, "registry " + Quoted(rule->prefix) +
                                          " is blocked by " + At(*rule));
    }
    std::vector<Endpoint> out;
    if (rule != nullptr) {
      for (const MirrorRule& mirror : rule->mirrors) {
        if (mirror.use == (by_digest ? MirrorRule::Use::kTagOnly
                                     : MirrorRule::Use::kDigestOnly)) {
          continue;
        }
        Endpoint endpoint = EndpointAt(
            RewriteName(*rule, mirror.location, name), mirror.insecure,
            "mirror in " + At(rule->file, mirror.line));
        endpoint.is_mirror = true;
        out.push_back(std::move(endpoint));
      }
    }
    if (out.empty() && repository.domain() == "docker.io") {
      AddHubMirrors(repository, &out);
    }
    out.push_back(EndpointAt(
        rule != nullptr ? RewriteName(*rule, rule->location, name) : name,
        rule != nullptr && rule->insecure,
        rule != nullptr ? "registry in " + At(*rule) : "default"));
    return out;
  }

  TlsOptions TlsFor(const std::string& host_port) override {
    TlsOptions tls = Certs(host_port).first;
    tls.skip_verify = !InsecureBy(host_port).empty();
    return tls;
  }

 private:
  // Something that a file or a flag says.
  struct Said {
    std::string text;
    std::string where;
  };
  static std::string At(const std::string& file, unsigned line) {
    return file + ":" + std::to_string(line);
  }
  static std::string At(const RegistryRule& rule) {
    return At(rule.file, rule.line);
  }

  // Who says that the host is insecure; "" when nobody does.
  std::string InsecureBy(const std::string& host_port) const {
    for (const Said& entry : insecure_) {
      if (IsInsecureHost(entry.text, host_port)) return entry.where;
    }
    return "";
  }

  static std::optional<std::string> ReadConfig(const std::string& file) {
    return ReadUserFile(file, kMaxConfigFile);
  }

  std::pair<TlsOptions, std::string> Certs(const std::string& host_port) {
    const std::lock_guard lock(mutex_);
    const auto found = certs_.find(host_port);
    if (found != certs_.end()) return found->second;
    std::string place;
    TlsOptions tls = LoadCerts(certs_dirs_, host_port, &place);
    return certs_.emplace(host_port, std::pair(tls, place)).first->second;
  }

  Endpoint EndpointAt(const std::string& name, bool insecure,
                      const std::string& rule) {
    // Rewritten names pass the same grammar as written ones.
    const oci::Repository at = oci::Repository::Parse(name);
    Endpoint endpoint;
    const std::string host = at.RegistryHost();
    const auto [tls, place] = Certs(at.domain());
    const auto url = Url::Parse("https://" + host);
    // A loopback registry with certificates of its own is taken at its word.
    const bool loopback = url && IsLoopbackHost(url->host) && place.empty();
    const std::string said = InsecureBy(host);
    endpoint.base_url = "https://" + host;
    endpoint.path_prefix = at.path();
    endpoint.insecure = insecure || loopback || !said.empty();
    endpoint.tls = tls;
    endpoint.tls.skip_verify = endpoint.insecure;
    endpoint.rule = rule;
    if (!place.empty()) endpoint.trust = "certificates in " + place;
    if (endpoint.insecure) {
      endpoint.trust = insecure       ? "insecure: " + rule
                       : said.empty() ? "insecure: a loopback address"
                                      : "insecure: " + said;
    }
    return endpoint;
  }

  // Docker's registry-mirrors are URLs, and for the Hub only.
  void AddHubMirrors(const oci::Repository& repository,
                     std::vector<Endpoint>* out) {
    for (const auto& [text, where] : hub_mirrors_) {
      const auto url = Url::Parse(text);
      if (!url) continue;
      Endpoint endpoint;
      endpoint.base_url = url->Origin();
      std::string prefix = url->path.substr(1);
      if (!prefix.empty() && !prefix.ends_with('/')) prefix += '/';
      endpoint.path_prefix = prefix + repository.path();
      endpoint.tls = TlsFor(url->HostPort());
      endpoint.insecure = endpoint.tls.skip_verify;
      endpoint.is_mirror = true;
      endpoint.rule = "registry-mirrors in " + where;
      if (endpoint.insecure) {
        endpoint.trust = "insecure: " + InsecureBy(url->HostPort());
      } else if (const auto& place = Certs(url->HostPort()).second;
                 !place.empty()) {
        endpoint.trust = "certificates in " + place;
      }
      out->push_back(std::move(endpoint));
    }
  }

  const std::vector<std::string> certs_dirs_;
  std::vector<Said> insecure_;
  std::vector<RegistryRule> rules_;
  std::vector<Said> hub_mirrors_;
  std::mutex mutex_;
  std::map<std::string, std::pair<TlsOptions, std::string>> certs_;
};

std::vector<std::string> StringList(const nlohmann::json& root, const char* key,
                                    const std::string& file) {
  std::vector<std::string> out;
  const auto found = root.find(key);
  if (found == root.end() || found->is_null()) return out;
  if (!found->is_array()) {
    throw Error(ErrorCode::kHost, file + ": " + key + " is not a list");
  }
  for (const auto& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

}  // namespace

DaemonJson ParseDaemonJson(std::string_view text, const std::string& file) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) {
    throw Error(ErrorCode::kHost, file + ": not a JSON object");
  }
  return {StringList(json, "registry-mirrors", file),
          StringList(json, "insecure-registries", file)};
}

TlsOptions LoadCerts(const std::vector<std::string>& directories,
                     const std::string& host_port, std::string* found) {
  TlsOptions tls;
  for (const std::string& directory : directories) {
    const std::string place = directory + "/" + host_port;
    const UniqueFd fd =
        fs::OpenIfExists(AT_FDCWD, place, O_RDONLY | O_DIRECTORY);
    if (!fd) continue;
    const std::vector<std::string> names = fs::ListDir(fd.get());
    const auto has = [&names](const std::string& name) {
      return std::binary_search(names.begin(), names.end(), name);
    };
    for (const std::string& name : names) {
      if (name.ends_with(".crt")) {
        tls.ca_files.push_back(place + "/" + name);
      } else if (name.ends_with(".cert")) {
        const std::string key = name.substr(0, name.size() - 4) + "key";
        if (!has(key)) {
          throw Error(ErrorCode::kHost, place + "/" + name +
                                            ": the client certificate's key " +
                                            Quoted(key) + " is missing");
        }
        if (tls.client_cert_file.empty()) {
          tls.client_cert_file = place + "/" + name;
          tls.client_key_file = place + "/" + key;
        }
      } else if (name.ends_with(".key")) {
        const std::string cert = name.substr(0, name.size() - 3) + "cert";
        if (!has(cert)) {
          throw Error(ErrorCode::kHost, place + "/" + name +
                                            ": the key's certificate " +
                                            Quoted(cert) + " is missing")
              .WithHint("client certificates end in .cert; .crt is a root");
        }
      }
    }
    if (found != nullptr && found->empty() &&
        (!tls.ca_files.empty() || !tls.client_cert_file.empty())) {
      *found = place;
    }
  }
  return tls;
}

bool IsInsecureHost(std::string_view entry, std::string_view host_port) {
  const auto url = Url::Parse("https://" + std::string(host_port));
  if (!url) return false;
  if (entry.find('/') != std::string_view::npos) {
    return InNetwork(url->host, entry);
  }
  const std::string plain = ToLower(entry);
  return plain == url->host || plain == url->HostPort();
}

std::unique_ptr<HostConfig> LoadHostConfig(const HostsOptions& options) {
  return std::make_unique<FileHostConfig>(options);
}

}  // namespace imgbuild::registry
