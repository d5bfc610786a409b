// Small stand-ins around a registry client: fixed credentials, fixed
// endpoints, a blob in memory on its way in or out.
#ifndef IMGBUILD_TESTS_SUPPORT_REGISTRY_DOUBLES_H_
#define IMGBUILD_TESTS_SUPPORT_REGISTRY_DOUBLES_H_

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/registry/client.h"
#include "imgbuild/registry/config.h"

namespace imgbuild::testing {

// By host; records who was asked for.
class FixedCredentials : public registry::CredentialSource {
 public:
  std::map<std::string, registry::Credentials> by_host;
  std::optional<registry::Credentials> Find(
      const oci::Repository& repository) override {
    const std::lock_guard lock(mutex_);
    asked_.push_back(repository.ToString());
    const auto found = by_host.find(repository.domain());
    if (found == by_host.end()) return std::nullopt;
    return found->second;
  }
  std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
};

// https://HOST for everything, mirrors first where there are some.
class FixedHosts : public registry::HostConfig {
 public:
  std::vector<std::string> mirrors;  // base URLs
  std::string scheme = "https";
  bool insecure = false;
  std::vector<registry::Endpoint> EndpointsFor(
      const oci::Repository& repository, bool) override {
    std::vector<registry::Endpoint> out;
    for (const std::string& mirror : mirrors) {
      registry::Endpoint endpoint;
      endpoint.base_url = mirror;
      endpoint.path_prefix = repository.path();
      endpoint.is_mirror = true;
      out.push_back(endpoint);
    }
    registry::Endpoint home;
    home.base_url = scheme + "://" + repository.RegistryHost();
    home.path_prefix = repository.path();
    home.insecure = insecure;
    out.push_back(home);
    return out;
  }
};

class MemorySink : public registry::BlobSink {
 public:
  explicit MemorySink(std::string kept = "", bool readable = true)
      : bytes_(std::move(kept)), readable_(readable) {}
  void Write(Bytes bytes) override { bytes_.append(AsText(bytes)); }
  uint64_t Resume() override { return bytes_.size(); }
  bool ReadKept(Writer& to) override {
    if (readable_) to.Write(AsBytes(bytes_));
    return readable_;
  }
  void Restart() override {
    bytes_.clear();
    ++restarts_;
  }
  const std::string& bytes() const { return bytes_; }
  int restarts() const { return restarts_; }

 private:
  std::string bytes_;
  bool readable_;
  int restarts_ = 0;
};

class MemorySource : public registry::BlobSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  std::unique_ptr<Reader> ReadFrom(uint64_t offset) override {
    offsets_.push_back(offset);
    return std::make_unique<Tail>(bytes_, static_cast<size_t>(offset));
  }
  const std::vector<uint64_t>& offsets() const { return offsets_; }

 private:
  class Tail : public Reader {
   public:
    Tail(const std::string& bytes, size_t at) : bytes_(bytes), at_(at) {}
    size_t Read(std::span<std::byte> buffer) override {
      const size_t n = std::min(buffer.size(), bytes_.size() - at_);
      std::memcpy(buffer.data(), bytes_.data() + at_, n);
      at_ += n;
      return n;
    }

   private:
    const std::string& bytes_;
    size_t at_;
  };
  std::string bytes_;
  std::vector<uint64_t> offsets_;
};

// A client with everything around it; `transport` decides what is real.
struct ClientUnderTest {
  explicit ClientUnderTest(registry::HttpTransport& transport, Clock& clock,
                           registry::ClientOptions options = {}) {
    options.warn = [this](const std::string& text) {
      const std::lock_guard lock(mutex);
      warnings.push_back(text);
    };
    client = registry::NewClient(transport, hosts, credentials, clock, options);
  }
  FixedHosts hosts;
  FixedCredentials credentials;
  std::mutex mutex;
  std::vector<std::string> warnings;
  std::unique_ptr<registry::Client> client;
  CancelToken cancel;
};

inline oci::Descriptor BlobDescriptor(const std::string& bytes) {
  return {std::string(oci::media_type::kOciLayerTar),
          oci::Digest::OfBytes(bytes),
          bytes.size(),
          {},
          {},
          {},
          {}};
}

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_REGISTRY_DOUBLES_H_
