#include "registry/proxy.h"

#include <gtest/gtest.h>

namespace imgbuild::registry {
namespace {

TEST(Proxy, Table) {
  const struct {
    const char* no_proxy;
    const char* url;
    bool direct;
  } cases[] = {
      {"", "https://h.example/", false},
      {"", "http://h.example/", false},
      {"", "http://localhost:5000/", true},
      {"", "http://127.0.0.1:5000/", true},
      {"*", "https://h.example/", true},
      {"h.example", "https://h.example/", true},
      {"H.Example", "https://h.example/", true},
      {"example", "https://h.example/", true},
      {".example", "https://h.example/", true},
      {"*.example", "https://h.example/", true},
      {".h.example", "https://h.example/", false},
      {"ample", "https://h.example/", false},
      {"a, b ,h.example", "https://h.example/", true},
      {"h.example:443", "https://h.example/", true},
      {"h.example:5000", "https://h.example/", false},
      {"h.example:5000", "https://h.example:5000/", true},
      {"10.0.0.0/8", "http://10.1.2.3/", true},
      {"10.0.0.0/8", "http://11.1.2.3/", false},
      {"10.0.0.0/9", "http://10.128.0.1/", false},
      {"10.1.2.3", "http://10.1.2.3:5000/", true},
      {"10.1.2.3:80", "http://10.1.2.3/", true},
      {"fd00::/8", "http://[fd00::1]/", true},
      {"10.0.0.0/99", "http://10.1.2.3/", false},
  };
  const ProxySettings base{"http://p:1", "p:2", ""};
  for (const auto& c : cases) {
    ProxySettings settings = base;
    settings.no_proxy = c.no_proxy;
    const Url url = *Url::Parse(c.url);
    const std::string expected =
        c.direct ? "" : (url.scheme == "https" ? "http://p:2" : "http://p:1");
    EXPECT_EQ(ProxyFor(settings, url), expected) << c.no_proxy << " " << c.url;
  }
}

TEST(Proxy, NoneConfigured) {
  EXPECT_EQ(ProxyFor({}, *Url::Parse("https://h/")), "");
}

}  // namespace
}  // namespace imgbuild::registry
