// Maps whose copies share: they must answer as maps that do not.
#include "plan/shared_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan_fixture.h"
#include "plan/stage_config.h"

namespace imgbuild::plan {
namespace {

std::map<std::string, int> All(const SharedMap<int>& map) {
  std::map<std::string, int> out;
  std::string last;
  map.ForEach([&](const std::string& key, int value) {
    EXPECT_TRUE(out.empty() || last < key) << last << " " << key;
    last = key;
    out[key] = value;
  });
  EXPECT_EQ(out.size(), map.size());
  return out;
}

TEST(SharedMapTest, AnswersAsAMapAndLeavesCopiesAlone) {
  std::mt19937 random(3);
  SharedMap<int> map;
  std::map<std::string, int> wanted;
  std::vector<std::pair<SharedMap<int>, std::map<std::string, int>>> copies;
  for (int i = 0; i < 20000; ++i) {
    const std::string key = "k" + std::to_string(random() % 500);
    if (random() % 3 == 0) {
      EXPECT_EQ(map.Erase(key), wanted.erase(key) > 0);
    } else {
      map.Set(key, i);
      wanted[key] = i;
    }
    const std::string probe = "k" + std::to_string(random() % 500);
    const int* found = map.Find(probe);
    ASSERT_EQ(found != nullptr, wanted.contains(probe));
    if (found != nullptr) {
      EXPECT_EQ(*found, wanted[probe]);
    }
    if (i % 1000 == 0) copies.emplace_back(map, wanted);
  }
  EXPECT_EQ(All(map), wanted);
  for (const auto& [copy, was] : copies) EXPECT_EQ(All(copy), was);
}

TEST(SharedMapTest, KeysInOrderStaySearchable) {
  SharedMap<int> map;
  constexpr int kMany = 100000;  // a list of this depth would end the stack
  char key[16];
  for (int i = 0; i < kMany; ++i) {
    std::snprintf(key, sizeof key, "%08d", i);
    map.Set(key, i);
  }
  EXPECT_EQ(map.size(), static_cast<size_t>(kMany));
  EXPECT_EQ(*map.Find("00077777"), 77777);
}

TEST(OrderedMapTest, KeepsTheOrderOfFirstSetting) {
  OrderedMap<int> map;
  map.Set("b", 1);
  map.Set("a", 2);
  map.Set("c", 3);
  map.Set("b", 4);
  map.Erase("a");
  map.Set("a", 5);
  std::string text;
  map.ForEach([&](const std::string& key, int value) {
    text += key + std::to_string(value) + " ";
  });
  EXPECT_EQ(text, "b4 c3 a5 ");
}

TEST(ConfigEnvTest, AnswersAsAnImageConfig) {
  // Of a name that is there twice the last counts; some have no '='.
  oci::ImageConfig config;
  config.env = {"A=1", "PATH=/bin", "A=2", "B", "A", "C=x=y", "", "B=", "=v"};
  ConfigEnv env(config.env);
  EXPECT_EQ(env.ToVector(), config.env);
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{
           {"A", "3"}, {"B", ""}, {"D", "4"}, {"", "w"}, {"C", "z"}}) {
    env.Set(name, value);
    config.SetEnv(name, value);
    EXPECT_EQ(env.ToVector(), config.env) << name;
  }
  EXPECT_TRUE(env.Has("D"));
  EXPECT_TRUE(env.Erase("A"));
  EXPECT_FALSE(env.Erase("A"));
  std::erase_if(config.env, [](const std::string& pair) {
    return pair == "A" || pair.starts_with("A=");
  });
  EXPECT_EQ(env.ToVector(), config.env);
}

TEST(StageConfigTest, KeepsAllOfAnImage) {
  oci::ImageConfig config;
  config.author = "me";
  config.user = "u";
  config.exposed_ports = {"80/tcp", "9/udp"};
  config.env = {"A=1"};
  config.entrypoint = {{"e"}};
  config.cmd = {{"c"}};
  config.volumes = {"/v", "/w"};
  config.working_dir = "/d";
  config.labels = {{"k", "v"}, {"a", "b"}};
  config.stop_signal = "SIGINT";
  config.args_escaped = true;
  config.healthcheck = oci::Healthcheck{};
  config.healthcheck->test = {"NONE"};
  config.on_build = {"RUN x"};
  config.shell = {{"sh"}};
  config.diff_ids = {oci::DiffId(oci::Digest::OfBytes("layer"))};
  config.history.resize(1);
  config.history[0].created_by = "h";
  EXPECT_EQ(oci::Serialize(StageConfig(config).ToImage()),
            oci::Serialize(config));
}

// Everything that a stage takes over from the one before, in a row that is
// long: a copy for each stage would be fifty million.
TEST(ManyStagesTest, EachAddsOfEverythingToTheOneBefore) {
  constexpr int kStages = 10000;
  std::string text = "FROM busybox AS s0\n";
  for (int i = 1; i < kStages; ++i) {
    text += fmt::format(
        "FROM s{0} AS s{1}\nARG A{1}=$V{0}\nENV V{1}=v{1}\nLABEL l{1}=$A{1}\n"
        "EXPOSE {1}\nVOLUME /v{1}\n",
        i - 1, i);
  }
  FakeResolver resolver;
  const BuildGraph graph = PlanText(text, DefaultOptions(), resolver);
  const oci::ImageConfig& config = graph.image.config;
  EXPECT_EQ(config.env.size(), static_cast<size_t>(kStages));
  EXPECT_EQ(config.env.back(), "V9999=v9999");
  EXPECT_EQ(config.labels.at("l9999"), "v9998");
  EXPECT_EQ(config.exposed_ports.size(), static_cast<size_t>(kStages - 1));
  EXPECT_EQ(config.volumes.size(), static_cast<size_t>(kStages - 1));
}

TEST(ManyStagesTest, EachCopiesFromTheOneBefore) {
  constexpr int kStages = 10000;
  std::string text = "FROM busybox AS s0\n";
  for (int i = 1; i < kStages; ++i) {
    text += fmt::format("FROM busybox AS s{1}\nCOPY --from=s{0} /f{0} /f{1}\n",
                        i - 1, i);
  }
  FakeResolver resolver;
  const BuildGraph graph = PlanText(text, DefaultOptions(), resolver);
  EXPECT_EQ(graph.vertices.size(), static_cast<size_t>(kStages));
}

}  // namespace
}  // namespace imgbuild::plan
