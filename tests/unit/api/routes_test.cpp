#include "api/routes.hpp"

#include <gmock/gmock.h>

namespace cpns::api {
namespace {

using testing::ElementsAre;
using testing::Pair;

route plain(verb v, std::string path) {
  return {.verb = v, .path = std::move(path), .handle = [](const request&) -> outcome { return response{}; }};
}

route_table table() {
  route_table t;
  t.add({plain(verb::get, "/v1/users"), plain(verb::get, "/v1/users/{user}"),
         plain(verb::del, "/v1/users/{user}"), plain(verb::post, "/v1/users/{user}/password")});
  return t;
}

TEST(routes, finds_a_path_and_decodes_its_values) {
  const auto t = table();
  const auto found = t.find(verb::get, "/v1/users/anna%40example.org");
  ASSERT_NE(found.to, nullptr);
  EXPECT_EQ(found.to->path, "/v1/users/{user}");
  EXPECT_THAT(found.values, ElementsAre(Pair("user", "anna@example.org")));
  EXPECT_NE(t.find(verb::get, "/v1/users").to, nullptr);
}

TEST(routes, names_the_verbs_of_a_path) {
  EXPECT_EQ(table().find(verb::put, "/v1/users/anna").to, nullptr);
  EXPECT_THAT(table().verbs_of("/v1/users/anna"), ElementsAre(verb::get, verb::del));
  EXPECT_THAT(table().verbs_of("/v1/nobody"), testing::IsEmpty());
  EXPECT_THAT(table().verbs_of("/v1/users/anna", true), testing::IsEmpty()) << "no route of probes";
}

TEST(routes, finds_nothing_for_a_malformed_or_unknown_path) {
  const auto t = table();
  for (const auto* path :
       {"", "v1/users", "/v1/users/", "/v1/users//password", "/v1/users/%", "/v1/users/%zz", "/v1/users/%00",
        "/v1/users/%ff", "/v1/users/a/b", "/v1/userss", "*"}) {
    const auto found = t.find(verb::get, path);
    EXPECT_EQ(found.to, nullptr) << path;
  }
}

TEST(routes, percent_encoding_is_undone_by_decoding) {
  for (const std::string text : {"urn:dev:mac:0024befffe804ff1", "a b/c?d&e=f%", "\xc3\xa9", "-._~"})
    EXPECT_EQ(decode_percent(encode_percent(text)), text);
  EXPECT_EQ(encode_percent("a/b:c"), "a%2Fb%3Ac");
}

TEST(routes, reads_a_query_strictly) {
  EXPECT_THAT(parse_query("limit=10&after=a%20b&flag").value(),
              ElementsAre(Pair("after", "a b"), Pair("flag", ""), Pair("limit", "10")));
  EXPECT_TRUE(parse_query("").value().empty());
  EXPECT_EQ(parse_query("a+b=c+d").value().at("a b"), "c d");
  EXPECT_FALSE(parse_query("a=1&a=2"));
  EXPECT_FALSE(parse_query("a=%"));
}

}  // namespace
}  // namespace cpns::api
