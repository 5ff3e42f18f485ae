// Reports of the checker stay machine-readable, whatever a plugin logs.

#include <gtest/gtest.h>

#include <boost/json/src.hpp>
#include <set>

#include "plugins/conformance/report.hpp"

namespace cpns::conformance {
namespace {

const std::vector<outcome> outcomes{{"loads", verdict::passed, "", 3, {}, {"12 ms central debug: hm"}},
                                    {"close-returns",
                                     verdict::failed,
                                     "<\"it\" & \\ \x01\xff>",
                                     1234,
                                     {},
                                     {"12 ms central warn: <no>", "13 ms peripheral info: \x02"}},
                                    {"opens-in-time", verdict::warning, "slow", 1, {}, {}},
                                    {"link-comes-up", verdict::crashed, "signal 11", 2, {}, {}},
                                    {"nothing-throws", verdict::skipped, "not so", 0, {}, {}}};

TEST(report, prints_one_line_per_test_and_a_summary_as_text) {
  const auto text = as_text({"radio", 7}, outcomes);
  EXPECT_NE(text.find("      3 ms  passed   loads\n"), std::string::npos) << text;
  EXPECT_NE(text.find("   1234 ms  failed   close-returns   <\"it\" & \\  ?>\n"
                      "                      12 ms central warn: <no>\n"
                      "                      13 ms peripheral info:  \n"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find("hm"), std::string::npos) << "log of a test that passed";
  EXPECT_NE(text.find("radio: 1 passed, 1 failed, 1 crashed, 1 warning, 1 skipped; 1.240 s, seed 7\n"),
            std::string::npos)
      << text;
}

TEST(report, is_valid_json) {
  const auto j = boost::json::parse(as_json({"radio \"x\"", 7}, outcomes)).as_object();
  EXPECT_EQ(j.at("plugin").as_string(), "radio \"x\"");
  EXPECT_FALSE(j.at("well").as_bool());
  EXPECT_EQ(j.at("crashed").as_int64(), 1);
  EXPECT_EQ(j.at("tests").as_array().at(1).at("reason").as_string(), "<\"it\" & \\  ?>");
  EXPECT_EQ(j.at("tests").as_array().at(1).at("log").as_array().at(0).as_string(),
            "12 ms central warn: <no>");
  EXPECT_FALSE(j.at("tests").as_array().at(0).as_object().contains("log")) << "it passed";
  EXPECT_EQ(boost::json::parse(list_as_json(all_tests())).as_array().size(), all_tests().size());
}

TEST(report, counts_and_escapes_as_junit) {
  const auto xml = as_junit({"radio", 7}, outcomes);
  EXPECT_NE(xml.find("tests=\"5\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"1.240\""),
            std::string::npos)
      << xml;
  EXPECT_NE(xml.find("<failure message=\"&lt;&quot;it&quot; &amp; \\  ?&gt;\"/>"
                     "<system-out>12 ms central warn: &lt;no&gt;\n"),
            std::string::npos)
      << xml;
}

TEST(report, counts_only_failures_and_crashes_as_bad) {
  EXPECT_TRUE(all_well({outcomes[0], outcomes[2], outcomes[4]}));
  EXPECT_FALSE(all_well({outcomes[0], outcomes[1]}));
  EXPECT_FALSE(all_well({outcomes[3]}));
}

TEST(tests, have_unique_names_in_kebab_case_a_sentence_and_needs_that_run_before) {
  std::set<std::string_view> before;
  for (const auto& t : all_tests()) {
    EXPECT_EQ(t.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-"), std::string_view::npos) << t.name;
    EXPECT_TRUE(t.sentence.ends_with('.')) << t.name;
    EXPECT_TRUE(t.needs.empty() || before.count(t.needs) == 1) << t.name;
    EXPECT_TRUE(before.insert(t.name).second) << t.name;
  }
}

}  // namespace
}  // namespace cpns::conformance
