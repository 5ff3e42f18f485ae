// `cpns support-bundle`: pseudonyms and the list of allowed fields.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cli/bundle/fields.hpp"
#include "cli/bundle/pseudonyms.hpp"
#include "cli/json_text.hpp"
#include "crypto/suite.hpp"

namespace cpns::cli::bundle {
namespace {

namespace json = boost::json;
using enum subject_kind;

class bundle_names : public testing::Test {
 protected:
  pseudonyms names{crypto::system_entropy(), false};
  bool hides(const std::string& name, const std::string& text) {
    const auto shown = names.in_text(text);
    return shown.find(name) == std::string::npos;
  }
};

TEST_F(bundle_names, are_the_same_for_the_same_name_and_differ_in_another_bundle) {
  const auto one = names.of(entity, "urn:dev:mac:0024befffe804ff1");
  EXPECT_EQ(one, names.of(entity, "urn:dev:mac:0024befffe804ff1"));
  EXPECT_NE(one, names.of(entity, "urn:dev:mac:0024befffe804ff2"));
  EXPECT_NE(one, pseudonyms(crypto::system_entropy(), false).of(entity, "urn:dev:mac:0024befffe804ff1"));
  EXPECT_EQ(one, names.in_text("urn:dev:mac:0024befffe804ff1"));
  EXPECT_EQ(names.of(user, ""), "");
}

TEST_F(bundle_names, keep_the_port_of_an_address) {
  const auto host = names.of(address, "cpns.example.org");
  EXPECT_EQ(names.of(address, "cpns.example.org:7443"), host + ":7443");
  EXPECT_EQ(names.of(address, "[2001:db8::1]:7443"), names.of(address, "[2001:db8::1]") + ":7443");
  EXPECT_EQ(names.of(address, "2001:db8::1").find("2001"), std::string::npos);
}

TEST_F(bundle_names, replace_what_looks_like_a_name_in_a_text) {
  EXPECT_TRUE(hides("alice", "the password of alice@example.org is wrong"));
  EXPECT_TRUE(hides("192.0.2.7", "192.0.2.7:7443: Connection refused"));
  EXPECT_TRUE(hides("2001:db8", "[2001:db8::7]:7443: Connection refused"));
  EXPECT_TRUE(hides("02:ca:fe", "02:ca:fe:00:00:01 left"));
  EXPECT_TRUE(hides("0024befffe804ff1", "state/pne/urn_dev_mac_0024befffe804ff1.key: damaged"));
  EXPECT_TRUE(hides("hall", "the certificate of urn:cpns:gw:hall."));
  EXPECT_EQ(names.in_text("ends on 2029-03-02 13:15:00 UTC, in 823 days"),
            "ends on 2029-03-02 13:15:00 UTC, in 823 days");
}

TEST_F(bundle_names, replace_a_known_name_of_any_form_in_later_texts) {
  EXPECT_FALSE(hides("bob-the-builder", "bob-the-builder is unknown"));
  names.of(user, "bob-the-builder");
  EXPECT_TRUE(hides("bob-the-builder", "bob-the-builder is unknown"));
}

TEST_F(bundle_names, replace_the_subject_of_a_certificate_and_leave_the_sentence) {
  for (const auto* rest :
       {" ends on 2029-03-02 13:15:00 UTC, in 823 days", " (serial 7C0E) ends on 2029-03-02 13:15:00 UTC",
        ", which is in tls.ca: add its CRL", " is a delta CRL; give the complete one", ""}) {
    const auto shown =
        names.in_text("the CRL of /C=DE/O=Smith & Sons, Ltd/CN=Anna Smith" + std::string{rest});
    EXPECT_EQ(shown.find("Smith"), std::string::npos) << shown;
    EXPECT_TRUE(shown.starts_with("the CRL of certificate-")) << shown;
    EXPECT_TRUE(shown.ends_with(rest)) << shown;
  }
  EXPECT_TRUE(hides("Anna", "expired (/CN=Anna, issued by /CN=Anna CA)"));
  EXPECT_EQ(names.in_text("/etc/cpns/server.yaml: no error"), "/etc/cpns/server.yaml: no error");
}

TEST_F(bundle_names, replace_a_group_unless_the_packages_make_it) {
  const auto filter = names.filter();
  const auto anna = filter(config::text_kind::group, "anna");
  EXPECT_TRUE(anna.starts_with("group-")) << anna;
  EXPECT_EQ(filter(config::text_kind::group, "cpns-viewer"), "cpns-viewer");
  EXPECT_EQ(names.in_text("the group anna, not annabelle"), "the group " + anna + ", not annabelle");
}

TEST_F(bundle_names, of_a_database_hide_its_place_with_the_port_and_its_names) {
  const auto filter = names.filter();
  for (const auto* name : {"127.0.0.1:5433", "db.example.org:5432", "/run/pg/.s.PGSQL.5434", "keys", "cpns"})
    EXPECT_TRUE(filter(config::text_kind::database, name).starts_with("database-")) << name;
  names.of(address, "127.0.0.1:7443");
  EXPECT_TRUE(hides("5433", "127.0.0.1:5433: Connection refused"));
  EXPECT_TRUE(hides("db.example.org", "db.example.org is not known"));
  EXPECT_TRUE(hides("5434", "no socket /run/pg/.s.PGSQL.5434"));
  EXPECT_TRUE(hides("/run/pg", "the folder /run/pg is missing"));
  EXPECT_TRUE(hides("keys", "database keys does not exist"));
  EXPECT_EQ(names.in_text("run `cpns store migrate`, monkeys"), "run `cpns store migrate`, monkeys");
}

TEST_F(bundle_names, stay_if_they_are_wanted) {
  pseudonyms open(crypto::system_entropy(), true);
  EXPECT_EQ(open.of(user, "alice@example.org"), "alice@example.org");
  EXPECT_EQ(open.in_text("192.0.2.7"), "192.0.2.7");
}

TEST_F(bundle_names, hide_a_parameter_unless_it_says_nothing) {
  EXPECT_EQ(names.of(parameter, "100"), "100");
  EXPECT_EQ(names.of(parameter, "true"), "true");
  EXPECT_EQ(names.of(parameter, "home network").find("home"), std::string::npos);
  EXPECT_EQ(names.of(parameter, "127.0.0.1:7000").find("127"), std::string::npos);
}

TEST_F(bundle_names, of_a_field_that_is_not_in_the_list_do_not_matter_because_it_is_left_out) {
  const auto told = json::parse(
      R"({"role": "gateway", "password": "x", "counts": {"links": 3, "deep": {"a": 1}}, "store": {"writable": true, "path": "/x"}})");
  EXPECT_EQ(json::serialize(pick(told, status_fields(), names)),
            R"({"role":"gateway","counts":{"links":3},"store":{"writable":true}})");
  const auto logged = json::parse(
      R"({"time": "t", "event": "confirmed", "text": "a sentence", "entity": "urn:dev:os:1-1", "key": "00ff", "count": 7})");
  const auto picked = pick(logged, line_fields(), names).as_object();
  EXPECT_EQ(picked.size(), 3U) << json::serialize(picked) << ": a count in a line is a text";
  EXPECT_EQ(json::value_to<std::string>(picked.at("entity")), names.of(entity, "urn:dev:os:1-1"));
  EXPECT_EQ(json::serialize(pick(json::parse("[1]"), status_fields(), names)), "{}");
}

TEST(json_text, has_a_member_per_line_where_a_line_is_too_short) {
  const auto v = json::parse(R"({"a": {"b": 1}, "c": [1, 2], "d": {}, "e": "x"})");
  EXPECT_EQ(indented(v), "{\n  \"a\": {\"b\":1},\n  \"c\": [1,2],\n  \"d\": {},\n  \"e\": \"x\"\n}\n");
  EXPECT_EQ(indented(v, 8), "{\n  \"a\": {\n    \"b\": 1\n  },\n  \"c\": [\n    1,\n    2\n  ],\n  \"d\": "
                            "{},\n  \"e\": \"x\"\n}\n");
  EXPECT_EQ(json::parse(indented(v, 8)), v);
}

}  // namespace
}  // namespace cpns::cli::bundle
