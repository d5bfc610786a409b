#include "cli/list_format.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::cli {
namespace {

constexpr char kDefault[] = "table {{.Name}}\t{{.ID}}";

std::string Render(const std::string& format) {
  const ListFormat list(format, kDefault,
                        {{"ID", "IMAGE ID"}, {"Name", "NAME"}});
  return list.Render({{{"Name", "a"}, {"ID", "1"}, {"Dear", 7}},
                      {{"Name", "longer name"}, {"ID", "2"}, {"Dear", 8}}});
}

TEST(ListFormatTest, TheDefaultIsATable) {
  const std::string table =
      "NAME          IMAGE ID\n"
      "a             1\n"
      "longer name   2\n";
  EXPECT_EQ(Render(""), table);
  EXPECT_EQ(Render("table"), table);
}

TEST(ListFormatTest, ATableOfItsOwnColumns) {
  EXPECT_EQ(Render("table {{.ID}}\\t{{upper .Name}}"),
            "IMAGE ID   NAME\n"
            "1          A\n"
            "2          LONGER NAME\n");
}

TEST(ListFormatTest, ARowIsALine) {
  EXPECT_EQ(Render("{{.ID}}\\n{{.Dear}}"), "1\n7\n2\n8\n");
}

TEST(ListFormatTest, JsonHasItsKeysSorted) {
  EXPECT_EQ(Render("json"),
            "{\"Dear\":7,\"ID\":\"1\",\"Name\":\"a\"}\n"
            "{\"Dear\":8,\"ID\":\"2\",\"Name\":\"longer name\"}\n");
}

TEST(ListFormatTest, ALabelsHeaderIsItsLastPart) {
  TemplateShape shape;
  shape.methods["Label"] = [](const std::vector<Json>&) { return Json("v"); };
  const ListFormat list("table {{.Label \"com.example.build-date\"}}\t{{.ID}}",
                        kDefault, {{"ID", "ID"}});
  EXPECT_EQ(list.Render({{{"ID", "1"}}}, shape),
            "BUILD DATE   ID\nv            1\n");
}

TEST(ListFormatTest, KnowsWhatItMentions) {
  const ListFormat list("{{.SizeRoot}} {{.ID}}", kDefault, {});
  EXPECT_TRUE(list.Mentions("ID"));
  EXPECT_FALSE(list.Mentions("Size"));
  EXPECT_TRUE(ListFormat("json", kDefault, {}).Mentions("Size"));
  EXPECT_TRUE(ListFormat("{{json .}}", kDefault, {}).Mentions("Size"));
}

TEST(ListFormatTest, AMistakeIsFoundBeforeAnyRow) {
  EXPECT_THROW(ListFormat("{{.ID", kDefault, {}), Error);
}

}  // namespace
}  // namespace imgbuild::cli
