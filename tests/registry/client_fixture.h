// A client in front of a registry in memory, without sockets.
#ifndef IMGBUILD_TESTS_REGISTRY_CLIENT_FIXTURE_H_
#define IMGBUILD_TESTS_REGISTRY_CLIENT_FIXTURE_H_

#include <gtest/gtest.h>

#include <string>

#include "imgbuild/registry/client.h"
#include "imgbuild/util/error.h"

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::registry {

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    digest_ = registry_.AddImage("a/b", "t", layer_);
    transport_.Serve("https://r.example", registry_.Handler());
  }
  oci::Descriptor Resolve(const std::string& name) {
    return under_test_.client->Resolve(oci::Reference::Parse(name),
                                       under_test_.cancel);
  }
  oci::Document Fetch(const std::string& name) {
    return under_test_.client->FetchDocument(oci::Reference::Parse(name),
                                             under_test_.cancel);
  }
  // The message of what `action` throws.
  template <typename F>
  std::string Message(F action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kRegistry);
      return error.message();
    }
    return "(nothing was thrown)";
  }
  // r.example answers every manifest request with this.
  void Answer(testing::TestResponse response) {
    transport_.Serve(
        "https://r.example",
        [response](const testing::TestRequest&) { return response; });
  }
  const std::string layer_ = "the layer's bytes";
  std::string digest_;
  testing::FakeRegistry registry_;
  testing::ScriptedTransport transport_;
  testing::FakeClock clock_;
  testing::ClientUnderTest under_test_{transport_, clock_};
};

}  // namespace imgbuild::registry

#endif  // IMGBUILD_TESTS_REGISTRY_CLIENT_FIXTURE_H_
