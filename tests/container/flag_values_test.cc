// Values of flags in Docker's syntax: what is taken, what is refused and how.
#include <gtest/gtest.h>

#include <csignal>
#include <functional>

#include "imgbuild/container/config.h"
#include "imgbuild/container/containers.h"
#include "imgbuild/util/error.h"

namespace imgbuild::container {
namespace {

std::string Message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    return error.message();
  }
  return "(nothing was thrown)";
}

std::string Text(const exec::PortForward& port) {
  return port.host_address + "|" + std::to_string(port.host_port) + "|" +
         std::to_string(port.container_port) + (port.udp ? "/udp" : "");
}

TEST(PortsTest, Forms) {
  const auto one = [](const std::string& text) {
    const auto ports = ParsePorts(text);
    return ports.size() == 1 ? Text(ports[0]) : "(several)";
  };
  EXPECT_EQ(one("80"), "|0|80");
  EXPECT_EQ(one("8080:80"), "|8080|80");
  EXPECT_EQ(one("8080:80/udp"), "|8080|80/udp");
  EXPECT_EQ(one("8080:80/TCP"), "|8080|80");
  EXPECT_EQ(one("127.0.0.1:8080:80"), "127.0.0.1|8080|80");
  EXPECT_EQ(one("127.0.0.1::80"), "127.0.0.1|0|80");
  EXPECT_EQ(one("[::1]:8080:80"), "::1|8080|80");
  const auto range = ParsePorts("8000-8002:80-82");
  ASSERT_EQ(range.size(), 3u);
  EXPECT_EQ(Text(range[2]), "|8002|82");
}

TEST(PortsTest, WhatIsNoPort) {
  EXPECT_EQ(Message([] { ParsePorts("x"); }), "Invalid containerPort: x");
  EXPECT_EQ(Message([] { ParsePorts(""); }), "Invalid containerPort: ");
  EXPECT_EQ(Message([] { ParsePorts("65536"); }),
            "Invalid containerPort: 65536");
  EXPECT_EQ(Message([] { ParsePorts("y:80"); }), "Invalid hostPort: y");
  EXPECT_EQ(Message([] { ParsePorts("80/sctpx"); }), "Invalid proto: sctpx");
  EXPECT_EQ(Message([] { ParsePorts("82-80"); }),
            "Invalid containerPort: 82-80");
  EXPECT_EQ(Message([] { ParsePorts("1-2:80-82"); }),
            "Invalid ranges specified for container and host Ports: 80-82 and "
            "1-2");
  EXPECT_EQ(Message([] { ParsePorts("::1:8080:80"); }),
            "Invalid ip address: ::1:8080:80");
}

TEST(MountTest, Forms) {
  const Volume bind = ParseMount("type=bind,source=/a,target=/b,readonly");
  EXPECT_EQ(bind.type, Volume::Type::kBind);
  EXPECT_EQ(bind.source, "/a");
  EXPECT_EQ(bind.target, "/b");
  EXPECT_TRUE(bind.read_only);
  EXPECT_FALSE(ParseMount("type=bind,src=/a,dst=/b,ro=false").read_only);
  const Volume tmpfs =
      ParseMount("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=700");
  EXPECT_EQ(tmpfs.type, Volume::Type::kTmpfs);
  EXPECT_EQ(tmpfs.tmpfs_size, 1u << 20);
  EXPECT_EQ(tmpfs.tmpfs_mode, 0700u);
  const Volume flag = ParseTmpfs("/t:size=64k,mode=1770,ro");
  EXPECT_EQ(flag.tmpfs_size, 65536u);
  EXPECT_EQ(flag.tmpfs_mode, 01770u);
  EXPECT_TRUE(flag.read_only);
  EXPECT_EQ(ParseTmpfs("/t").tmpfs_mode, 01777u);
}

TEST(MountTest, WhatIsRefused) {
  EXPECT_EQ(Message([] { ParseMount("type=bind,source=/a"); }),
            "invalid mount \"type=bind,source=/a\": the container path is "
            "absolute");
  EXPECT_EQ(Message([] { ParseMount("source=/a,target=/b"); }),
            "invalid mount \"source=/a,target=/b\": type=volume is not "
            "supported");
  EXPECT_EQ(Message([] { ParseMount("type=bind,source=a,target=/b"); }),
            "invalid mount \"type=bind,source=a,target=/b\": source is an "
            "absolute host path");
  EXPECT_EQ(
      Message([] {
        ParseMount("type=bind,source=/a,target=/b,bind-propagation=shared");
      }),
      "invalid mount \"type=bind,source=/a,target=/b,bind-propagation=shared\":"
      " the key \"bind-propagation\" is not supported");
  EXPECT_EQ(Message([] { ParseMount("type=tmpfs,source=/a,target=/b"); }),
            "invalid mount \"type=tmpfs,source=/a,target=/b\": a tmpfs has no "
            "source");
  EXPECT_EQ(Message([] { ParseTmpfs("/t:exec"); }),
            "invalid tmpfs \"/t:exec\": the option \"exec\" is not supported");
  EXPECT_EQ(Message([] { ParseTmpfs("/t:mode=9"); }),
            "invalid tmpfs \"/t:mode=9\": mode is an octal number");
  EXPECT_EQ(Message([] { ParseTmpfs("/"); }),
            "invalid tmpfs \"/\": the container path is its root");
}

TEST(UlimitTest, Forms) {
  EXPECT_EQ(ParseUlimit("nofile=10").hard, 10u);
  EXPECT_EQ(ParseUlimit("nofile=10:20").soft, 10u);
  EXPECT_EQ(ParseUlimit("nofile=10:20").hard, 20u);
  EXPECT_EQ(ParseUlimit("core=-1").soft, ~uint64_t{0});
  for (const char* bad :
       {"nofile", "=1", "nofile=", "nofile=a", "nofile=1:2:3"}) {
    EXPECT_EQ(Message([&] { ParseUlimit(bad); }),
              std::string("invalid ulimit argument: ") + bad);
  }
}

TEST(SignalTest, NamesAndNumbers) {
  EXPECT_EQ(ParseSignal("TERM"), SIGTERM);
  EXPECT_EQ(ParseSignal("sigterm"), SIGTERM);
  EXPECT_EQ(ParseSignal("9"), SIGKILL);
  EXPECT_EQ(ParseSignal("RTMIN+3"), 37);
  EXPECT_EQ(SignalName(SIGHUP), "SIGHUP");
  for (const char* bad : {"BAD", "0", "65", "", "-1", "RTMIN+40"}) {
    EXPECT_EQ(Message([&] { ParseSignal(bad); }),
              std::string("invalid signal: ") + bad);
  }
}

TEST(DurationTest, GoSyntax) {
  EXPECT_EQ(ParseDuration("1m30s"), 90'000'000'000);
  EXPECT_EQ(ParseDuration("500ms"), 500'000'000);
  EXPECT_EQ(ParseDuration("1.5s"), 1'500'000'000);
  EXPECT_EQ(ParseDuration("0"), 0);
  for (const char* bad : {"", "1", "s", "1x", "1s2", "1..5s", "99999999999h"}) {
    EXPECT_EQ(Message([&] { ParseDuration(bad); }),
              std::string("invalid duration \"") + bad + "\"");
  }
}

TEST(CpusTest, Quota) {
  EXPECT_EQ(ParseCpus("1.5"), 150000u);
  EXPECT_EQ(ParseCpus("0.01"), 1000u);
  for (const char* bad : {"x", "", "-1", "0", "1x", "nan"}) {
    EXPECT_NE(Message([&] { ParseCpus(bad); }), "(nothing was thrown)") << bad;
  }
}

TEST(RestartTest, Policies) {
  EXPECT_EQ(ToString(ParseRestart("on-failure:3")), "on-failure:3");
  EXPECT_EQ(ToString(ParseRestart("on-failure")), "on-failure");
  EXPECT_EQ(ToString(ParseRestart("always")), "always");
  EXPECT_EQ(ToString(ParseRestart("no")), "no");
  EXPECT_EQ(Message([] { ParseRestart("foo"); }),
            "invalid restart policy: unknown policy 'foo'; use one of 'no', "
            "'always', 'on-failure', or 'unless-stopped'");
  EXPECT_EQ(Message([] { ParseRestart("always:3"); }),
            "invalid restart policy: maximum retry count can only be used with "
            "'on-failure'");
  EXPECT_EQ(Message([] { ParseRestart("on-failure:x"); }),
            "invalid restart policy format: maximum retry count must be an "
            "integer");
}

TEST(NameTest, RulesAreDockers) {
  EXPECT_EQ(Message([] { CheckName("a.b-c_1"); }), "(nothing was thrown)");
  for (const char* bad : {"", "a", "bad name", "-a", "a/b", ".a"}) {
    EXPECT_EQ(Message([&] { CheckName(bad); }),
              std::string("Invalid container name (") + bad +
                  "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  }
  const std::string first = RandomName({});
  EXPECT_NE(first.find('_'), std::string::npos);
  CheckName(first);
  EXPECT_EQ(RandomId().size(), 64u);
  EXPECT_NE(RandomId(), RandomId());
}

TEST(ConfigTest, JsonKeepsEverything) {
  Config config;
  config.command = {"sh", "-c", "a \"b\""};
  config.entrypoint = "";
  config.env = {"A=1", "B="};
  config.labels = {{"k", "v"}};
  config.volumes = {ParseVolume("/a:/b:ro"), ParseTmpfs("/t:size=1m,mode=700")};
  config.ports = ParsePorts("127.0.0.1:80:81/udp");
  config.extra_hosts = {{"h", "1.2.3.4"}};
  config.limits.memory_bytes = 7 << 20;
  config.limits.memory_swap_bytes = -1;
  config.limits.ulimits = {ParseUlimit("nofile=1:2")};
  config.health = oci::Healthcheck{{"CMD-SHELL", "true"}, 1, 2, 3, 4, 5};
  config.restart = ParseRestart("on-failure:2");
  config.stop_timeout_s = 3;
  config.auto_remove = true;
  const std::string json = ToJson(config);
  const Config back = ConfigFromJson(json);
  EXPECT_EQ(ToJson(back), json);
  EXPECT_EQ(back.entrypoint, "");
  EXPECT_EQ(back.volumes[1].tmpfs_mode, 0700u);
  EXPECT_EQ(back.ports[0].host_address, "127.0.0.1");
  EXPECT_EQ(back.limits.memory_swap_bytes, -1);
  EXPECT_EQ(back.health, config.health);
  EXPECT_TRUE(back.auto_remove);
}

TEST(ConfigTest, DamagedJsonIsAnError) {
  for (const char* bad : {"", "{", "[]", "{\"env\":1}", "{\"volumes\":[1]}",
                          "{\"limits\":{\"memory\":\"x\"}}"}) {
    try {
      ConfigFromJson(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kHost) << bad;
    }
  }
}

TEST(ConfigTest, HealthFlagsChangeTheImagesCheck) {
  oci::ImageConfig image;
  image.healthcheck = oci::Healthcheck{{"CMD", "check"}, 10, 20, 0, 0, 2};
  Config config;
  EXPECT_EQ(HealthcheckOf(image, config), image.healthcheck);
  config.health = oci::Healthcheck();
  config.health->retries = 7;
  EXPECT_EQ(HealthcheckOf(image, config)->test,
            (std::vector<std::string>{"CMD", "check"}));
  EXPECT_EQ(HealthcheckOf(image, config)->retries, 7);
  config.health->test = {"CMD-SHELL", "mine"};
  EXPECT_EQ(HealthcheckOf(image, config)->interval_ns, 0);
  config.health->test = {"NONE"};
  EXPECT_FALSE(HealthcheckOf(image, config));
}

TEST(StatusTest, DockersWords) {
  Status status;
  EXPECT_EQ(StatusText(status, 100), "Created");
  status.state = State::kRunning;
  status.started_ns = 97'000'000'000;
  EXPECT_EQ(StatusText(status, 100), "Up 3 seconds");
  status.health = "healthy";
  EXPECT_EQ(StatusText(status, 100), "Up 3 seconds (healthy)");
  status.health = "starting";
  EXPECT_EQ(StatusText(status, 100), "Up 3 seconds (health: starting)");
  status.state = State::kPaused;
  EXPECT_EQ(StatusText(status, 100), "Up 3 seconds (Paused)");
  status.state = State::kExited;
  status.exit_code = 7;
  status.finished_ns = 40'000'000'000;
  EXPECT_EQ(StatusText(status, 100), "Exited (7) About a minute ago");
}

}  // namespace
}  // namespace imgbuild::container
