// Two registries without sockets, with faults in front of the first, and
// something to copy from one to the other.
#ifndef IMGBUILD_TESTS_TRANSFER_COPY_FIXTURE_H_
#define IMGBUILD_TESTS_TRANSFER_COPY_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "imgbuild/transfer/copy.h"
#include "imgbuild/util/error.h"

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/fault_proxy.h"
#include "support/memory_store.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::transfer {

class CopyFixture : public ::testing::Test {
 protected:
  static constexpr char kIndexType[] =
      "application/vnd.oci.image.index.v1+json";

  void SetUp() override {
    for (size_t i = 0; i < 300000; ++i) {
      layer_ += static_cast<char>(i * 31 + i / 251);
    }
    image_ = home_.AddImage("a/b", "t", layer_);
    transport_.Serve("https://r.example", proxy_.Handler());
    transport_.Serve("https://other.example", other_.Handler());
  }
  // An index "multi" of `image_` for amd64 and of a second image for arm64.
  std::string AddIndex() {
    const std::string arm = home_.AddImage("a/b", "arm", "another layer");
    const auto entry = [this](const std::string& digest,
                              const std::string& architecture) {
      return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
             R"("digest":")" +
             digest + R"(","size":)" +
             std::to_string(home_.Manifest("a/b", digest).size()) +
             R"(,"platform":{"os":"linux","architecture":")" + architecture +
             "\"}}";
    };
    return home_.AddManifest("a/b", "multi",
                             R"({"schemaVersion":2,"mediaType":")" +
                                 std::string(kIndexType) +
                                 R"(","manifests":[)" + entry(image_, "amd64") +
                                 "," + entry(arm, "arm64") + "]}",
                             kIndexType);
  }
  std::unique_ptr<ImageSource> From(const std::string& name) {
    return RegistrySource(*under_test_.client, oci::Reference::Parse(name),
                          cancel_);
  }
  std::unique_ptr<ImageTarget> To(const std::string& name) {
    const auto reference = oci::Reference::Parse(name);
    return RegistryTarget(*under_test_.client, reference.repository(),
                          reference.tag(), cancel_);
  }
  std::string CopyTo(ImageSource& source, ImageTarget& target,
                     CopyOptions options = {}) {
    outcomes_.clear();
    options.on_blob = [this](const oci::Descriptor&,
                             const registry::PushOutcome& outcome) {
      outcomes_.push_back(outcome);
    };
    return Copy(source, target, options, cancel_).digest.ToString();
  }
  std::string Copied(const std::string& from, const std::string& to,
                     const CopyOptions& options = {}) {
    return CopyTo(*From(from), *To(to), options);
  }
  // The message of what `action` throws.
  template <typename F>
  std::string Message(ErrorCode code, F action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.message();
    }
    return "(nothing was thrown)";
  }
  std::vector<std::string> NewRequests() {
    const std::vector<std::string> log = transport_.Log();
    std::vector<std::string> fresh(log.begin() + static_cast<long>(seen_),
                                   log.end());
    seen_ = log.size();
    return fresh;
  }
  std::string LayerDigest() const {
    return oci::Digest::OfBytes(layer_).ToString();
  }

  std::string layer_;
  std::string image_;
  testing::FakeRegistry home_;
  testing::FakeRegistry other_;
  testing::FaultProxy proxy_{home_.Handler()};
  testing::ScriptedTransport transport_;
  testing::FakeClock clock_;
  testing::ClientUnderTest under_test_{transport_, clock_};
  CancelToken cancel_;
  std::vector<registry::PushOutcome> outcomes_;
  size_t seen_ = 0;
};

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TESTS_TRANSFER_COPY_FIXTURE_H_
