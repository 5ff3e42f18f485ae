#include "api/body.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace cpns::api {
namespace {

request with(std::string_view body, std::string type = "application/json") {
  request r;
  r.body = secret_bytes::from_text(body);
  r.content_type = std::move(type);
  return r;
}

TEST(json_body, reads_members_by_type) {
  const auto b = json_body::read(
      with(R"({"name":"anna","on":true,"n":7,"nothing":null})", "application/json; charset=utf-8"),
      {"name", "on", "n", "nothing"});
  ASSERT_TRUE(b);
  EXPECT_EQ(b->text("name").value(), "anna");
  EXPECT_TRUE(b->boolean("on", false).value());
  EXPECT_EQ(b->number("n", 1, 10).value(), 7U);
  EXPECT_FALSE(b->has("nothing"));
  EXPECT_EQ(b->optional_text("nothing").value(), std::nullopt);
  EXPECT_EQ(b->secret("name", 1, 10).value(), secret_bytes::from_text("anna"));
}

TEST(json_body, reads_an_object_of_simple_values_as_texts) {
  const auto b = json_body::read(
      with(
          R"({"p":{"a":"x","b":7,"c":true,"d":-1},"list":[],"deep":{"a":{}},"none":{"a":null},"nul":{"a":"\u0000"}})"),
      {"p", "list", "deep", "none", "nul"});
  ASSERT_TRUE(b);
  EXPECT_EQ(b->texts("p").value(), (text_map{{"a", "x"}, {"b", "7"}, {"c", "true"}, {"d", "-1"}}));
  EXPECT_TRUE(b->texts("missing").value().empty());
  for (const auto* field : {"list", "deep", "none"})
    EXPECT_EQ(b->texts(field).error().code, "wrong-type") << field;
  EXPECT_EQ(b->texts("nul").error().code, "out-of-range");
}

TEST(json_body, reads_a_list_of_texts) {
  const auto b = json_body::read(with(R"({"l":["a","bb"],"none":[],"o":{},"mixed":["a",1],"empty":[""]})"),
                                 {"l", "none", "o", "mixed", "empty"});
  ASSERT_TRUE(b);
  EXPECT_EQ(b->text_list("l", 2, 2).value(), (std::vector<std::string>{"a", "bb"}));
  EXPECT_EQ(b->text_list("l", 1, 2).error().code, "out-of-range");
  EXPECT_EQ(b->text_list("l", 2, 1).error().code, "out-of-range");
  for (const auto* field : {"none", "empty"})
    EXPECT_EQ(b->text_list(field, 9, 9).error().code, "out-of-range") << field;
  for (const auto* field : {"o", "mixed"})
    EXPECT_EQ(b->text_list(field, 9, 9).error().code, "wrong-type") << field;
  const auto missing = b->text_list("missing", 9, 9);
  EXPECT_EQ(missing.error().code, "missing-field");
  EXPECT_EQ(missing.error().field, "missing");
}

TEST(json_body, names_the_field_at_fault) {
  const auto b =
      json_body::read(with(R"({"name":5,"n":-1,"long":"aaaa","on":"yes"})"), {"name", "n", "long", "on"})
          .value();
  const auto check = [](const auto& got, std::string_view code, std::string_view field) {
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().status, 400U);
    EXPECT_EQ(got.error().code, code);
    EXPECT_EQ(got.error().field, field);
  };
  check(b.text("name"), "wrong-type", "name");
  check(b.text("missing"), "missing-field", "missing");
  check(b.number("n", 0, 10), "wrong-type", "n");
  check(b.text("long", 3), "out-of-range", "long");
  check(b.boolean("on", false), "wrong-type", "on");
  check(b.secret("long", 8, 100), "out-of-range", "long");
}

TEST(json_body, refuses_bodies_that_are_not_what_they_should_be) {
  const auto code_of = [](const request& r) {
    const auto b = json_body::read(r, {"name"});
    return b ? std::string{"accepted"} : b.error().code;
  };
  EXPECT_EQ(code_of(with("")), "accepted");
  EXPECT_EQ(code_of(with("{}")), "accepted");
  EXPECT_EQ(code_of(with("{", "application/json")), "bad-json");
  EXPECT_EQ(code_of(with("[]")), "bad-json");
  EXPECT_EQ(code_of(with("{} x")), "bad-json");
  EXPECT_EQ(code_of(with(std::string(100, '['))), "bad-json");
  EXPECT_EQ(code_of(with(R"({"nmae":"a"})")), "unknown-field");
  EXPECT_EQ(code_of(with("name=a", "application/x-www-form-urlencoded")), "wrong-content-type");
  EXPECT_NE(json_body::read(with(R"({"nmae":"a"})"), {"name"}).error().detail.find("did you mean 'name'"),
            std::string::npos);
}

TEST(json_body, refuses_a_number_that_is_not_finite) {
  for (const auto* number : {"1e400", "-1e400", "[1,{\"a\":1e999}]"}) {
    const auto r = with(R"({"name":)" + std::string{number} + "}");
    EXPECT_EQ(json_body::read(r, {"name"}).error().code, "bad-json") << number;
    EXPECT_EQ(check_json(r).error().code, "bad-json") << number;
    EXPECT_TRUE(body_without(r, {}).is_null()) << number;
  }
  EXPECT_TRUE(json_body::read(with(R"({"name":1e300})"), {"name"}));
}

TEST(json_body, refuses_a_member_that_occurs_twice) {
  for (const auto* body : {R"({"name":"a","name":"b"})", R"({"name":1,"n\u0061me":2})",
                           R"({"other":[{"x":{"name":1,"name":1}}]})"}) {
    const auto got = json_body::read(with(body), {"name", "other"});
    ASSERT_FALSE(got) << body;
    EXPECT_EQ(got.error().code, "bad-json");
    EXPECT_EQ(got.error().field, "name");
    EXPECT_EQ(got.error().detail, "the member 'name' occurs twice in the body");
    EXPECT_FALSE(check_json(with(body))) << body;
  }
  EXPECT_TRUE(json_body::read(with(R"({"name":{"a":1},"other":{"a":{"a":1},"b":[{"a":1},{"a":1}]}})"),
                              {"name", "other"}));
}

TEST(json_body, is_checked_only_if_it_says_that_it_is_json) {
  EXPECT_TRUE(check_json(with("")));
  EXPECT_TRUE(check_json(with("{}")));
  EXPECT_TRUE(check_json(with("{", "text/csv")));
  EXPECT_FALSE(check_json(with("{")));
}

TEST(json_body, hides_secret_members_from_the_audit_log) {
  const auto r = with(R"({"user":"anna","password":"hunter2 hunter2"})");
  EXPECT_EQ(boost::json::serialize(body_without(r, {"password"})),
            R"x({"user":"anna","password":"(secret)"})x");
  EXPECT_TRUE(body_without(with("hunter2"), {}).is_null());
}

TEST(json_body, refuses_control_characters_where_people_read) {
  const auto b =
      json_body::read(with(R"({"esc":"a\u001b[1m","c1":"a\u009bm","good":"Gr\u00fc\u00dfe","two":"a\nb"})"),
                      {"esc", "c1", "good", "two"});
  ASSERT_TRUE(b);
  for (const auto* field : {"esc", "c1", "two"}) EXPECT_EQ(b->optional_name(field, 99).error().field, field);
  EXPECT_TRUE(b->optional_name("good", 99).value());
  EXPECT_EQ(b->secret_line("two", 1, 99).error().code, "out-of-range");
  EXPECT_TRUE(b->secret_line("esc", 1, 99));
}

TEST(parameters, must_not_be_empty) {
  request r;
  r.query = {{"state", ""}};
  EXPECT_EQ(only_parameters(r, {"state"}).error().code, "out-of-range");
}

TEST(parameters, are_checked) {
  request r;
  r.query = {{"limit", "20"}, {"after", "ff00"}};
  EXPECT_EQ(page_of(r).value().limit, 20U);
  EXPECT_EQ(page_of(r).value().after, "ff00");
  EXPECT_TRUE(only_parameters(r, {"limit", "after"}));
  EXPECT_EQ(only_parameters(r, {"limit"}).error().field, "after");
  for (const auto* wrong : {"0", "1001", "-1", "1x", ""}) {
    r.query["limit"] = wrong;
    EXPECT_EQ(page_of(r).error().field, "limit") << wrong;
  }
}

TEST(problem, carries_code_field_and_request_in_its_document) {
  const problem p{404, "state-unknown", "not found: the user anna", "user"};
  const auto o = boost::json::parse(document_of(p, "r1")).as_object();
  EXPECT_EQ(o.at("type").as_string(), "urn:cpns:problem:state-unknown");
  EXPECT_EQ(o.at("status").as_int64(), 404);
  EXPECT_EQ(o.at("field").as_string(), "user");
  EXPECT_EQ(o.at("request").as_string(), "r1");
}

TEST(problem, takes_its_status_from_the_error) {
  EXPECT_EQ(problem{error{errc::state_unknown}}.status, 404U);
  EXPECT_EQ(problem{error{errc::state_exists}}.status, 409U);
  EXPECT_EQ(problem{error{errc::config_range}}.status, 400U);
  EXPECT_EQ(problem{error{errc::store_full}}.status, 507U);
  EXPECT_EQ(problem{error{errc::state_overloaded}}.retry_after, 1U);
  EXPECT_EQ(problem{error{errc::state_unknown}}.code, "state-unknown");
}

}  // namespace
}  // namespace cpns::api
