#include "imgbuild/dockerfile/mount.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {
namespace {

RawMount Raw(const std::string& options) {
  const Dockerfile file = Parse(std::make_shared<SourceFile>(
      "Dockerfile", "FROM a\nRUN --mount=" + options + " x\n"));
  return std::get<dockerfile::Run>(file.stages[0].instructions[0].node)
      .mounts.at(0);
}

MountSpec Resolve(const std::string& options) {
  return ResolveMount(Raw(options), [](const Word& word) {
    const Lookup lookup = [](std::string_view name) {
      return name == "V" ? std::optional<std::string>("value") : std::nullopt;
    };
    return Expand(word, lookup, '\\').text;
  });
}

// Everything but the range, on one line.
std::string Show(const MountSpec& m) {
  static const char* const kTypes[] = {"bind", "cache", "tmpfs", "secret",
                                       "ssh"};
  static const char* const kSharing[] = {"shared", "private", "locked"};
  std::string out = kTypes[static_cast<int>(m.type)];
  const auto text = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += std::string(" ") + name + "=" + value;
  };
  text("target", m.target);
  text("source", m.source);
  if (m.from) out += " from=" + *m.from;
  out += m.read_only ? " ro" : " rw";
  text("id", m.id);
  if (m.type == MountSpec::Type::kCache)
    text("sharing", kSharing[static_cast<int>(m.sharing)]);
  if (m.required) out += " required";
  if (m.mode) out += " mode=" + std::to_string(*m.mode);
  if (m.uid) out += " uid=" + std::to_string(*m.uid);
  if (m.gid) out += " gid=" + std::to_string(*m.gid);
  if (m.size_bytes != 0) out += " size=" + std::to_string(m.size_bytes);
  if (m.env) out += " env=" + *m.env;
  return out;
}

struct Row {
  const char* options;
  const char* expected;
};

TEST(MountTest, EveryOption) {
  static const Row kRows[] = {
      // bind
      {"target=/a", "bind target=/a ro"},
      {"type=bind,dst=a/b", "bind target=a/b ro"},
      {"TYPE=Bind,Destination=/a", "bind target=/a ro"},
      {"target=/a,source=/s,from=f", "bind target=/a source=/s from=f ro"},
      {"target=/a,src=s", "bind target=/a source=s ro"},
      {"target=/a,from=", "bind target=/a ro"},
      {"target=/a,rw", "bind target=/a rw"},
      {"target=/a,readwrite", "bind target=/a rw"},
      {"target=/a,rw=true", "bind target=/a rw"},
      {"target=/a,rw=0", "bind target=/a ro"},
      {"target=/a,ro", "bind target=/a ro"},
      {"target=/a,readonly=false", "bind target=/a rw"},
      {"target=/a,readonly=T,rw=F", "bind target=/a ro"},
      {"target=/a,target=/b", "bind target=/b ro"},
      // cache
      {"type=cache,target=/c/../d/",
       "cache target=/c/../d/ rw id=/d "
       "sharing=shared"},
      {"type=cache,target=rel", "cache target=rel rw id=rel sharing=shared"},
      {"type=cache,target=/c,id=x,sharing=private",
       "cache target=/c rw id=x sharing=private"},
      {"type=cache,target=/c,sharing=LOCKED",
       "cache target=/c rw id=/c sharing=locked"},
      {"type=cache,target=/c,ro,from=f,source=s",
       "cache target=/c source=s from=f ro id=/c sharing=shared"},
      {"type=cache,target=/c,mode=0700,uid=1,gid=4294967295",
       "cache target=/c rw id=/c sharing=shared mode=448 uid=1 gid=4294967295"},
      {"type=cache,target=/c,mode=7777,uid=0,gid=0",
       "cache target=/c rw id=/c sharing=shared mode=4095 uid=0 gid=0"},
      // tmpfs
      {"type=tmpfs,target=/t", "tmpfs target=/t rw"},
      {"type=tmpfs,target=/t,size=64k", "tmpfs target=/t rw size=65536"},
      {"size=1g,target=/t,type=tmpfs", "tmpfs target=/t rw size=1073741824"},
      {"type=tmpfs,target=/t,ro", "tmpfs target=/t ro"},
      // secret
      {"type=secret,id=a/b", "secret target=/run/secrets/b ro id=a/b"},
      {"type=secret,source=s", "secret target=/run/secrets/s ro id=s"},
      {"type=secret,target=/x/y", "secret target=/x/y ro id=y"},
      {"type=secret,target=x", "secret target=x ro id=x"},
      {"type=secret,id=a,target=/x", "secret target=/x ro id=a"},
      {"type=secret,id=a,env=E", "secret ro id=a env=E"},
      {"type=secret,id=a,env=E,target=/x", "secret target=/x ro id=a env=E"},
      {"required,type=secret,id=a",
       "secret target=/run/secrets/a ro id=a required"},
      {"type=secret,id=a,required=false",
       "secret target=/run/secrets/a ro id=a"},
      {"type=secret,id=a,mode=0444,uid=5,gid=6",
       "secret target=/run/secrets/a ro id=a mode=292 uid=5 gid=6"},
      {"type=secret,id=a,ro", "secret target=/run/secrets/a ro id=a"},
      // ssh
      {"type=ssh", "ssh ro id=default"},
      {"type=ssh,id=k,required,target=/s", "ssh target=/s ro id=k required"},
      {"type=ssh,mode=0600,uid=1,gid=2",
       "ssh ro id=default mode=384 uid=1 gid=2"},
      // variables, in every value but from's
      {"type=cache,target=/$V,id=${V},sharing=${X:-locked}",
       "cache target=/value rw id=value sharing=locked"},
      {"type=${T:-tmpfs},target=/t,size=${S:-2m}",
       "tmpfs target=/t rw size=2097152"},
      {"type=bind,target='/a b'", "bind target=/a b ro"},
  };
  for (const Row& row : kRows) {
    try {
      EXPECT_EQ(Show(Resolve(row.options)), row.expected) << row.options;
    } catch (const Error& error) {
      ADD_FAILURE() << row.options << ": " << error.Render();
    }
  }
}

// Every key with every type: taken, or refused by name. Nothing is ignored.
TEST(MountTest, EveryKeyOfEveryType) {
  struct Key {
    const char* option;
    const char* types;  // which take it: b, c, t, s(ecret), h (ssh)
  };
  static const Key kKeys[] = {
      {"from=x", "bc"},      {"source=x", "bcs"},  {"src=x", "bcs"},
      {"readonly", "bctsh"}, {"ro", "bctsh"},      {"readwrite", "bct"},
      {"rw", "bct"},         {"id=x", "csh"},      {"sharing=shared", "c"},
      {"required", "sh"},    {"mode=0600", "csh"}, {"uid=1", "csh"},
      {"gid=1", "csh"},      {"size=1", "t"},      {"env=E", "s"},
  };
  static const std::pair<char, const char*> kTypes[] = {{'b', "bind"},
                                                        {'c', "cache"},
                                                        {'t', "tmpfs"},
                                                        {'s', "secret"},
                                                        {'h', "ssh"}};
  for (const Key& key : kKeys) {
    for (const auto& [letter, type] : kTypes) {
      const std::string options =
          std::string("type=") + type + ",target=/t," + key.option;
      const bool taken =
          std::string(key.types).find(letter) != std::string::npos;
      std::string message;
      try {
        Resolve(options);
      } catch (const Error& error) {
        message = error.message();
      }
      const std::string name =
          std::string(key.option).substr(0, std::string(key.option).find('='));
      EXPECT_EQ(message, taken ? ""
                               : std::string("RUN: --mount: a mount of type ") +
                                     type + " has no option \"" + name + "\"")
          << options;
    }
  }
}

TEST(MountTest, RangesAreThoseOfTheValues) {
  const RawMount raw = Raw("type=cache,\\\ntarget=/c,ro");
  ASSERT_EQ(raw.options.size(), 3u);
  EXPECT_EQ(raw.options[0].range.ToString(), "Dockerfile:2:18");
  EXPECT_EQ(raw.options[0].key_range.ToString(), "Dockerfile:2:13");
  EXPECT_EQ(raw.options[1].range.ToString(), "Dockerfile:3:8");
  EXPECT_EQ(raw.options[2].range.ToString(), "Dockerfile:3:11");
}

}  // namespace
}  // namespace imgbuild::dockerfile
