#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "config/describe.hpp"

namespace cpns::config {
namespace {

namespace json = boost::json;

json::object properties_of(role_kind role) {
  boost::system::error_code ec;
  const auto v = json::parse(json_schema(role), ec);
  EXPECT_FALSE(ec) << ec.message();
  return ec ? json::object{} : v.as_object().at("properties").as_object();
}

TEST(json_schema, is_json_for_every_role_and_closed_to_unknown_keys) {
  for (const auto role : {role_kind::server, role_kind::gateway, role_kind::pne}) {
    const auto v = json::parse(json_schema(role));
    EXPECT_EQ(v.at("additionalProperties"), false);
    EXPECT_EQ(v.at("$schema"), "https://json-schema.org/draft/2020-12/schema");
    EXPECT_EQ(v.at("required").as_array().at(0), "role");
  }
}

TEST(json_schema, contains_the_bounds_words_and_defaults_of_the_description) {
  const auto server = properties_of(role_kind::server);
  const auto& size = server.at("keys").at("properties").at("set_size");
  EXPECT_EQ(size.at("default"), 32);
  EXPECT_EQ(size.at("anyOf").at(0).at("minimum"), 1);
  EXPECT_EQ(size.at("anyOf").at(0).at("maximum"), 256);
  EXPECT_EQ(server.at("temporary_key_release").at("anyOf").at(0).at("enum"),
            (json::array{"derived", "literal"}));
  EXPECT_EQ(server.at("require_presence").at("default"), true);
  EXPECT_EQ(server.at("tls").at("required"), (json::array{"certificate", "key", "ca"}));
  const auto gateway = properties_of(role_kind::gateway);
  EXPECT_EQ(gateway.at("transports").at("minItems"), 1);
  EXPECT_EQ(gateway.at("transports").at("items").at("required"), (json::array{"name", "plugin"}));
  const auto pne = properties_of(role_kind::pne);
  EXPECT_EQ(pne.at("answer_window").at("default"), "always");
  EXPECT_EQ(pne.at("suites").at("default"), (json::array{2, 1}));
}

TEST(reference_page, in_the_docs_is_the_one_that_the_program_generates) {
  std::ifstream in(std::string{CPNS_SOURCE_DIR} + "/docs/config.md", std::ios::binary);
  ASSERT_TRUE(in)
      << "docs/config.md is missing; generate it with: cpns config schema --markdown > docs/config.md";
  std::ostringstream page;
  page << in.rdbuf();
  EXPECT_EQ(page.str(), reference_markdown())
      << "generate it with: cpns config schema --markdown > docs/config.md";
}

}  // namespace
}  // namespace cpns::config
