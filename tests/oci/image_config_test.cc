#include "imgbuild/oci/image_config.h"

#include <gtest/gtest.h>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"

namespace imgbuild::oci {
namespace {

const std::string kDiffId = "sha256:" + std::string(64, 'a');

std::string Json(std::string text) {
  for (char& c : text) {
    if (c == '\'') c = '"';
  }
  for (size_t at; (at = text.find("$A")) != text.npos;) {
    text.replace(at, 2, kDiffId);
  }
  return text;
}

const char kRootfs[] = "'rootfs':{'type':'layers','diff_ids':['$A']}";

ImageConfig Parse(const std::string& members) {
  return ParseImageConfig(Json("{" + members + "," + kRootfs + "}"));
}

std::string Message(const std::string& text) {
  try {
    ParseImageConfig(Json(text));
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRegistry);
    return e.message();
  }
  return "(no error)";
}

// Everything set, in the order that Serialize writes.
const std::string kFull = Json(
    "{'architecture':'arm','author':'me','config':{'User':'1000:1000',"
    "'ExposedPorts':{'53/udp':{},'80/tcp':{}},'Env':['PATH=/bin','A=1'],"
    "'Entrypoint':['/init'],'Cmd':['sh','-c','x'],'Volumes':{'/data':{}},"
    "'WorkingDir':'/w','Labels':{'a':'1','b':'2'},'StopSignal':'SIGINT',"
    "'ArgsEscaped':true,'Healthcheck':{'Test':['CMD','true'],"
    "'Interval':30000000000,'Timeout':1000000000,'StartPeriod':2,"
    "'StartInterval':3,'Retries':4},'OnBuild':['RUN x'],"
    "'Shell':['/bin/bash','-c']},'created':'2024-01-02T03:04:05.678Z',"
    "'history':[{'created':'2024-01-01T00:00:00Z','created_by':'ADD x',"
    "'author':'you','comment':'c'},{'created_by':'CMD','empty_layer':true}],"
    "'os':'linux','os.features':['f'],'os.version':'1','rootfs':{'type':"
    "'layers','diff_ids':['$A']},'variant':'v7'}");

TEST(ImageConfig, ParsesEveryField) {
  const ImageConfig config = ParseImageConfig(kFull);
  EXPECT_EQ(config.created, "2024-01-02T03:04:05.678Z");
  EXPECT_EQ(config.author, "me");
  EXPECT_EQ(config.platform.ToString(), "linux/arm/v7");
  EXPECT_EQ(config.platform.os_version, "1");
  EXPECT_EQ(config.platform.os_features, (std::vector<std::string>{"f"}));
  EXPECT_EQ(config.user, "1000:1000");
  EXPECT_EQ(config.exposed_ports, (std::set<std::string>{"53/udp", "80/tcp"}));
  EXPECT_EQ(config.env, (std::vector<std::string>{"PATH=/bin", "A=1"}));
  EXPECT_EQ(config.entrypoint, (std::vector<std::string>{"/init"}));
  EXPECT_EQ(config.cmd, (std::vector<std::string>{"sh", "-c", "x"}));
  EXPECT_EQ(config.volumes, (std::set<std::string>{"/data"}));
  EXPECT_EQ(config.working_dir, "/w");
  EXPECT_EQ(config.labels.at("b"), "2");
  EXPECT_EQ(config.stop_signal, "SIGINT");
  EXPECT_TRUE(config.args_escaped);
  EXPECT_EQ(config.healthcheck, (Healthcheck{.test = {"CMD", "true"},
                                             .interval_ns = 30000000000,
                                             .timeout_ns = 1000000000,
                                             .start_period_ns = 2,
                                             .start_interval_ns = 3,
                                             .retries = 4}));
  EXPECT_EQ(config.on_build, (std::vector<std::string>{"RUN x"}));
  EXPECT_EQ(config.shell, (std::vector<std::string>{"/bin/bash", "-c"}));
  ASSERT_EQ(config.diff_ids.size(), 1u);
  EXPECT_EQ(config.diff_ids[0].ToString(), kDiffId);
  ASSERT_EQ(config.history.size(), 2u);
  EXPECT_EQ(config.history[0].author, "you");
  EXPECT_EQ(config.history[0].created, "2024-01-01T00:00:00Z");
  EXPECT_FALSE(config.history[0].empty_layer);
  EXPECT_TRUE(config.history[1].empty_layer);
  EXPECT_EQ(config.history[1].created, std::nullopt);
}

TEST(ImageConfig, SerialisesCanonically) {
  EXPECT_EQ(Serialize(ParseImageConfig(kFull)), kFull);
}

TEST(ImageConfig, LeavesOutWhatIsEmpty) {
  ImageConfig config;
  config.platform = Platform::Parse("linux/amd64");
  EXPECT_EQ(Serialize(config),
            "{\"architecture\":\"amd64\",\"config\":{},\"os\":\"linux\","
            "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}");
  config.entrypoint = std::vector<std::string>{};
  config.cmd = std::vector<std::string>{};
  config.shell = std::vector<std::string>{};
  config.healthcheck = Healthcheck{.test = {"NONE"}};
  config.history.push_back({.created = {},
                            .created_by = "x",
                            .author = "",
                            .comment = "",
                            .empty_layer = false});
  EXPECT_EQ(Serialize(config),
            "{\"architecture\":\"amd64\",\"config\":{\"Healthcheck\":"
            "{\"Test\":[\"NONE\"]}},\"history\":[{\"created_by\":\"x\"}],"
            "\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\","
            "\"diff_ids\":[]}}");
}

TEST(ImageConfig, WritesTextsAsTheyAre) {
  ImageConfig config;
  config.env = {"A=<a&b>\xe2\x82\xac\n\"\\\t\x7f", "B=\xff"};
  EXPECT_NE(
      Serialize(config).find(
          "[\"A=<a&b>\xe2\x82\xac\\n\\\"\\\\\\t\x7f\",\"B=\xef\xbf\xbd\"]"),
      std::string::npos)
      << Serialize(config);
}

TEST(ImageConfig, TakesNullForAnything) {
  const ImageConfig config = ParseImageConfig(
      Json("{'architecture':null,'author':null,'config':{'User':null,"
           "'ExposedPorts':null,'Env':null,'Entrypoint':null,'Cmd':null,"
           "'Volumes':null,'WorkingDir':null,'Labels':null,'StopSignal':null,"
           "'ArgsEscaped':null,'Healthcheck':null,'OnBuild':null,'Shell':null},"
           "'created':null,'history':null,'os':null,'os.features':null,"
           "'os.version':null,'rootfs':{'type':'layers','diff_ids':null},"
           "'variant':null}"));
  EXPECT_EQ(config.entrypoint, std::nullopt);
  EXPECT_EQ(config.cmd, std::nullopt);
  EXPECT_EQ(config.healthcheck, std::nullopt);
  EXPECT_EQ(config.shell, std::nullopt);
  EXPECT_EQ(config.created, std::nullopt);
  EXPECT_TRUE(config.diff_ids.empty());
  EXPECT_TRUE(Parse("'config':null").env.empty());
  EXPECT_EQ(Parse("'config':{'ExposedPorts':{'80/tcp':null}}").exposed_ports,
            (std::set<std::string>{"80/tcp"}));
  EXPECT_EQ(Parse("'config':{'Healthcheck':{'Test':null}}").healthcheck,
            Healthcheck());
}

TEST(ImageConfig, TellsEmptyFromAbsent) {
  EXPECT_EQ(Parse("'config':{'Cmd':[]}").cmd, std::vector<std::string>{});
  EXPECT_EQ(Parse("'config':{}").cmd, std::nullopt);
}

TEST(ImageConfig, ReadsALoneWordAsACommand) {
  EXPECT_EQ(Parse("'config':{'Cmd':'sh','Entrypoint':'init'}").cmd,
            std::vector<std::string>{"sh"});
}

TEST(ImageConfig, IgnoresWhatItDoesNotKnow) {
  EXPECT_EQ(Parse("'docker_version':'1','container_config':{'Cmd':7},"
                  "'config':{'Hostname':'x','AttachStdin':false}")
                .env.size(),
            0u);
}

TEST(ImageConfig, RefusesByName) {
  const std::string rootfs = Json("," + std::string(kRootfs) + "}");
  const struct {
    std::string text;
    std::string message;
  } kCases[] = {
      {"{}", "image config: \"rootfs\" is missing: not the config of an image"},
      {"{'rootfs':null}",
       "image config: \"rootfs\" is missing: not the config of an image"},
      {"{'rootfs':{}}",
       "image config: \"rootfs.type\" is \"\" instead of \"layers\""},
      {"{'rootfs':{'type':'layers+base'}}",
       "image config: \"rootfs.type\" is \"layers+base\" instead of "
       "\"layers\""},
      {"{'rootfs':{'type':'layers','diff_ids':['$A','x']}}",
       "image config: \"rootfs.diff_ids[1]\" is not a digest: \"x\""},
      {"{'rootfs':{'type':'layers','diff_ids':[null]}}",
       "image config: \"rootfs.diff_ids[0]\" is not a digest: \"\""},
      {"{'rootfs':[]}", "image config: \"rootfs\" is not an object"},
      {"{'config':[]" + rootfs, "image config: \"config\" is not an object"},
      {"{'config':{'Env':'A=1'}" + rootfs,
       "image config: \"config.Env\" is not an array"},
      {"{'config':{'Env':['A=1',2]}" + rootfs,
       "image config: \"config.Env[1]\" is not a string"},
      {"{'config':{'User':0}" + rootfs,
       "image config: \"config.User\" is not a string"},
      {"{'config':{'Volumes':['/x']}" + rootfs,
       "image config: \"config.Volumes\" is not an object"},
      {"{'config':{'Volumes':{'/x':1}}" + rootfs,
       "image config: \"config.Volumes./x\" is not an object"},
      {"{'config':{'Labels':{'a':1}}" + rootfs,
       "image config: \"config.Labels.a\" is not a string"},
      {"{'config':{'ArgsEscaped':1}" + rootfs,
       "image config: \"config.ArgsEscaped\" is not true or false"},
      {"{'config':{'Healthcheck':{'Retries':'3'}}" + rootfs,
       "image config: \"config.Healthcheck.Retries\" is not a whole number"},
      {"{'history':{}" + rootfs, "image config: \"history\" is not an array"},
      {"{'history':['x']" + rootfs,
       "image config: \"history[0]\" is not an object"},
      {"{'os':['linux']" + rootfs, "image config: \"os\" is not a string"},
      {"nonsense", "image config: malformed JSON at byte 2"},
      {"7", "image config: not a JSON object"},
      {std::string(kMaxConfigBytes + 1, ' '),
       "image config: more than 8388608 bytes"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Message(c.text), c.message);
}

TEST(ImageConfig, EnvironmentKeepsItsOrder) {
  ImageConfig config;
  config.env = {"A=1", "B=", "C", "A=2"};
  EXPECT_EQ(config.Env("A"), "2");  // the last one counts
  EXPECT_EQ(config.Env("B"), "");
  EXPECT_EQ(config.Env("C"), "");
  EXPECT_EQ(config.Env("D"), std::nullopt);
  EXPECT_EQ(config.Env(""), std::nullopt);
  config.SetEnv("B", "x=y");
  config.SetEnv("D", "new");
  EXPECT_EQ(config.env,
            (std::vector<std::string>{"A=1", "B=x=y", "C", "A=2", "D=new"}));
  EXPECT_EQ(config.Env("B"), "x=y");
}

TEST(ImageConfig, SettingARepeatedVariableIsVisible) {
  ImageConfig config;
  config.env = {"A=1", "A=2"};
  config.SetEnv("A", "3");
  EXPECT_EQ(config.Env("A"), "3");
}

}  // namespace
}  // namespace imgbuild::oci
