// What changes the key of a step, and that nothing else does.
#include "imgbuild/plan/cache_key.h"

#include <gtest/gtest.h>

#include "plan/plan_fixture.h"

namespace imgbuild::plan {
namespace {

Recipe LastRecipe(const std::string& text, const PlanOptions& options,
                  const KeyInputs& inputs = {"parent", {"c0", "c1", "c2"}}) {
  FakeResolver resolver;
  const BuildGraph graph = PlanText(text, options, resolver);
  return MakeRecipe(graph.vertices[graph.image.result], inputs);
}

Recipe Key(const std::string& lines) {
  return LastRecipe("FROM busybox AS other\nFROM busybox\n" + lines + "\n",
                    DefaultOptions());
}

struct Pair {
  const char* before;
  const char* after;
};

TEST(CacheKeyTest, EveryFieldOfTheTextCounts) {
  const Pair rows[] = {
      {"RUN a", "RUN b"},
      {"RUN a b", "RUN [\"a\", \"b\"]"},
      {"RUN [\"a b\"]", "RUN [\"a\", \"b\"]"},
      {"ENV A=1\nRUN a", "ENV A=2\nRUN a"},
      {"ARG A=1\nRUN a", "ARG A=2\nRUN a"},
      {"ARG A\nRUN a", "ARG A=\nRUN a"},
      {"USER a\nRUN a", "USER b\nRUN a"},
      {"WORKDIR /a\nRUN a", "WORKDIR /b\nRUN a"},
      {"SHELL [\"a\"]\nRUN a", "SHELL [\"b\"]\nRUN a"},
      {"RUN a", "RUN --network=none a"},
      {"RUN <<E\na\nE", "RUN <<E\nb\nE"},
      {"RUN <<E\n#!a\nE", "RUN <<E\n#!b\nE"},
      {"RUN --mount=type=bind,target=/a a", "RUN --mount=target=/b a"},
      {"RUN --mount=target=/a a", "RUN --mount=target=/a,source=b a"},
      {"RUN --mount=target=/a a", "RUN --mount=target=/a,rw a"},
      {"RUN --mount=type=cache,target=/a a",
       "RUN --mount=type=cache,target=/a,from=other a"},
      {"RUN --mount=target=/a a", "RUN --mount=type=tmpfs,target=/a a"},
      {"RUN --mount=type=tmpfs,target=/a a",
       "RUN --mount=type=tmpfs,target=/a,size=1m a"},
      {"RUN --mount=type=cache,target=/a a",
       "RUN --mount=type=cache,target=/a,id=x a"},
      {"RUN --mount=type=cache,target=/a a",
       "RUN --mount=type=cache,target=/a,sharing=locked a"},
      {"RUN --mount=type=cache,target=/a a",
       "RUN --mount=type=cache,target=/a,ro a"},
      {"RUN --mount=type=cache,target=/a a",
       "RUN --mount=type=cache,target=/a,mode=0700 a"},
      {"RUN --mount=type=cache,target=/a a",
       "RUN --mount=type=cache,target=/a,uid=1 a"},
      {"RUN --mount=type=cache,target=/a a",
       "RUN --mount=type=cache,target=/a,gid=1 a"},
      {"RUN --mount=type=secret,id=a a", "RUN --mount=type=secret,id=b a"},
      {"RUN --mount=type=secret,id=a a",
       "RUN --mount=type=secret,id=a,target=/t a"},
      {"RUN --mount=type=secret,id=a a",
       "RUN --mount=type=secret,id=a,env=E a"},
      {"RUN --mount=type=secret,id=a a",
       "RUN --mount=type=secret,id=a,required a"},
      {"RUN --mount=type=secret,id=a a",
       "RUN --mount=type=secret,id=a,mode=0444 a"},
      {"RUN --mount=type=ssh a", "RUN --mount=type=ssh,id=x a"},
      {"COPY a /x", "ADD a /x"},
      {"COPY a /x", "COPY b /x"},
      {"COPY a /x", "COPY a /y"},
      {"COPY a /x", "COPY a /x/"},
      {"COPY a /x", "COPY --chown=1 a /x"},
      {"COPY --chown=1 a /x", "COPY --chown=1:2 a /x"},
      {"COPY a /x", "COPY --chmod=755 a /x"},
      {"COPY a /x", "COPY --link a /x"},
      {"COPY a /x", "COPY --parents a /x"},
      {"COPY a /x", "COPY --exclude=b a /x"},
      {"COPY --exclude=b a /x", "COPY --exclude=c a /x"},
      {"COPY <<E /x\na\nE", "COPY <<E /x\nb\nE"},
      {"COPY <<E /x/\na\nE", "COPY <<F /x/\na\nF"},
      {"ADD a /x", "ADD --unpack=false a /x"},
      {"ADD http://h/a /x", "ADD http://h/b /x"},
      {"ADD http://h/a /x", "ADD --unpack=true http://h/a /x"},
      {"ADD http://h/a.git /x", "ADD --keep-git-dir http://h/a.git /x"},
      {"ADD http://h/a.git /x", "ADD http://h/a.git#v1 /x"},
      {"WORKDIR /a", "WORKDIR /b"},
      {"USER a\nWORKDIR /a", "USER b\nWORKDIR /a"},
  };
  for (const Pair& row : rows) {
    const Recipe before = Key(row.before);
    const Recipe after = Key(row.after);
    EXPECT_NE(before.Digest(), after.Digest()) << row.before << "\n  and\n"
                                               << row.after;
    EXPECT_TRUE(ExplainDifference(before, after).has_value()) << row.after;
  }
}

TEST(CacheKeyTest, NothingElseCounts) {
  const Pair rows[] = {
      {"RUN a", "run a"},
      {"RUN a", "# a comment\nRUN a"},
      {"RUN a", "RUN \\\na"},
      {"RUN a", "LABEL l=1\nRUN a"},
      {"RUN a", "EXPOSE 80\nCMD [\"x\"]\nRUN a"},
      {"RUN a", "RUN --network=default a"},
      {"COPY a /x", "ENV A=1\nCOPY a /x"},
      {"COPY a /x", "COPY [\"a\", \"/x\"]"},
      {"COPY a /x", "COPY a /y/../x"},
      {"COPY a /x", "USER somebody\nCOPY a /x"},
      {"ARG D=/x\nCOPY a $D", "COPY a /x"},
      {"WORKDIR /a", "ENV A=1\nWORKDIR /a"},
      {"WORKDIR /a", "WORKDIR /b/../a"},
  };
  for (const Pair& row : rows) {
    EXPECT_EQ(Key(row.before).Digest(), Key(row.after).Digest())
        << row.before << "\n  and\n"
        << row.after << "\n"
        << ExplainDifference(Key(row.before), Key(row.after)).value_or("");
  }
}

TEST(CacheKeyTest, OptionsThatReachTheProcessCount) {
  const std::string text = "FROM busybox\nRUN a\n";
  const oci::Digest plain = LastRecipe(text, DefaultOptions()).Digest();
  const auto changed = [&](auto change) {
    PlanOptions options = DefaultOptions();
    change(options);
    return LastRecipe(text, options).Digest() != plain;
  };
  EXPECT_TRUE(changed([](PlanOptions& o) { o.network = "none"; }));
  EXPECT_TRUE(changed([](PlanOptions& o) { o.shm_bytes = 1; }));
  EXPECT_TRUE(changed([](PlanOptions& o) { o.ulimits = {"nofile=1"}; }));
  EXPECT_TRUE(changed([](PlanOptions& o) { o.cgroup_parent = "x"; }));
  EXPECT_TRUE(changed([](PlanOptions& o) { o.extra_hosts = {{"h", "1"}}; }));
  EXPECT_TRUE(changed([](PlanOptions& o) { o.source_date_epoch = 5; }));
  EXPECT_TRUE(changed(
      [](PlanOptions& o) { o.build_args["BUILDKIT_SANDBOX_HOSTNAME"] = "h"; }));
  EXPECT_TRUE(changed([](PlanOptions& o) {
    o.target_platform = oci::Platform::Parse("linux/arm64");
  }));
  // Proxies, undeclared arguments, labels and names do not.
  EXPECT_FALSE(
      changed([](PlanOptions& o) { o.build_args["HTTP_PROXY"] = "http://p"; }));
  EXPECT_FALSE(changed([](PlanOptions& o) { o.build_args["A"] = "1"; }));
  EXPECT_FALSE(changed([](PlanOptions& o) { o.labels["l"] = "1"; }));
  EXPECT_FALSE(changed([](PlanOptions& o) { o.no_cache = true; }));
  EXPECT_FALSE(
      changed([](PlanOptions& o) { o.entitlements = {"network.host"}; }));
}

TEST(CacheKeyTest, InputsCount) {
  const std::string copy = "FROM busybox\nCOPY a /x\n";
  const oci::Digest plain =
      LastRecipe(copy, DefaultOptions(), {"p", {"c"}}).Digest();
  EXPECT_NE(LastRecipe(copy, DefaultOptions(), {"q", {"c"}}).Digest(), plain);
  EXPECT_NE(LastRecipe(copy, DefaultOptions(), {"p", {"d"}}).Digest(), plain);
}

TEST(CacheKeyTest, ARecipeIsReadBackAsItWasPrinted) {
  Recipe recipe;
  recipe.Add("arg", "two\nlines \\ and a\rreturn");
  recipe.Add("empty", "");
  const Recipe again = Recipe::Parse(recipe.Text());
  EXPECT_EQ(again.fields(), recipe.fields());
  EXPECT_EQ(again.Digest(), recipe.Digest());
}

// Fields that run together would make different steps equal.
TEST(CacheKeyTest, FieldsAreDelimited) {
  Recipe one;
  one.Add("a", "bc");
  Recipe two;
  two.Add("ab", "c");
  EXPECT_NE(one.Digest(), two.Digest());
}

}  // namespace
}  // namespace imgbuild::plan
