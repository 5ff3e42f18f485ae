#include "config/values.hpp"

#include <gtest/gtest.h>

namespace cpns::config {
namespace {

using namespace std::chrono_literals;

TEST(durations, are_read_with_their_units) {
  EXPECT_EQ(parse_duration("500ms").value(), 500ms);
  EXPECT_EQ(parse_duration("10s").value(), 10s);
  EXPECT_EQ(parse_duration("15m").value(), 15min);
  EXPECT_EQ(parse_duration("24h").value(), 24h);
  EXPECT_EQ(parse_duration("7d").value(), 168h);
  EXPECT_EQ(parse_duration("0s").value(), 0s);
}

TEST(durations, are_refused_in_any_other_form) {
  for (const auto* text :
       {"", "10", "s", "1.5s", "-1s", " 1s", "1s ", "1 s", "1S", "1w", "ten", "0x1s", "1s1s"}) {
    const auto d = parse_duration(text);
    ASSERT_FALSE(d) << text;
    EXPECT_EQ(d.error().code, errc::config_type) << text;
  }
  EXPECT_EQ(parse_duration("9223372036854775807d").error().code, errc::config_range);
  EXPECT_EQ(parse_duration("99999999999999999999ms").error().code, errc::config_range);
}

TEST(durations, are_written_in_their_shortest_form) {
  EXPECT_EQ(duration_text(0ms), "0s");
  EXPECT_EQ(duration_text(1500ms), "1500ms");
  EXPECT_EQ(duration_text(90s), "90s");
  EXPECT_EQ(duration_text(120s), "2m");
  EXPECT_EQ(duration_text(24h), "1d");
  for (const auto d : {1ms, 999ms, 1000ms, 61000ms, 86400000ms})
    EXPECT_EQ(parse_duration(duration_text(d)).value(), d);
}

TEST(addresses, are_host_names_or_ipv4_or_ipv6) {
  EXPECT_EQ(parse_address("127.0.0.1:7443").value(), (address{"127.0.0.1", 7443}));
  EXPECT_EQ(parse_address("cpns1.example.org:0").value(), (address{"cpns1.example.org", 0}));
  EXPECT_EQ(parse_address("[::1]:65535").value(), (address{"::1", 65535}));
  EXPECT_EQ(parse_address("[::1]:65535")->text(), "[::1]:65535");
  EXPECT_EQ(parse_address("localhost:1")->text(), "localhost:1");
  EXPECT_EQ(parse_address("cpns_server:7443").value(), (address{"cpns_server", 7443}))
      << "container names have underscores, and resolve";
}

TEST(addresses, are_refused_in_any_other_form) {
  for (const auto* text : {"", ":", "127.0.0.1", "127.0.0.1:", ":7443", "::1:7443", "[::1]", "[]:1",
                           "h:65536", "h:-1", "h:1x", "h:99999999999", "a b:1", "a/b:1", "http://h:1"})
    EXPECT_FALSE(parse_address(text)) << text;
  for (const auto* url : {"https://cpns.example.org:7443", "cpns.example.org:7443/", "http://h"})
    EXPECT_EQ(parse_address(url).error().detail,
              "'" + std::string{url} + "' is a URL or a path; write host:port alone, without https:// and /");
  EXPECT_NE(parse_address("b\xc3\xbc"
                          "cher.example:1")
                .error()
                .detail.find("xn--"),
            std::string::npos);
}

std::optional<std::string> sample_environment(std::string_view name) {
  if (name == "HOME_DIR") return "/home/alice";
  if (name == "EMPTY") return "";
  if (name == "NESTED") return "${HOME_DIR}";
  return std::nullopt;
}

TEST(expansion, replaces_variables_and_takes_defaults) {
  EXPECT_EQ(expand("${HOME_DIR}/x", sample_environment).value(), "/home/alice/x");
  EXPECT_EQ(expand("a${MISSING:-b}c", sample_environment).value(), "abc");
  EXPECT_EQ(expand("a${MISSING:-}c", sample_environment).value(), "ac");
  EXPECT_EQ(expand("${EMPTY:-x}", sample_environment).value(), "x");
  EXPECT_EQ(expand("${EMPTY}", sample_environment).value(), "");
  EXPECT_EQ(expand("$${HOME_DIR} $ $5", sample_environment).value(), "${HOME_DIR} $ $5");
  EXPECT_EQ(expand("${NESTED}", sample_environment).value(), "${HOME_DIR}")
      << "a value is not expanded again";
}

TEST(expansion, fails_when_a_variable_is_not_set_or_not_closed) {
  EXPECT_EQ(expand("${MISSING}", sample_environment).error().code, errc::config_missing);
  EXPECT_NE(expand("${MISSING}", sample_environment).error().detail.find("MISSING"), std::string::npos);
  for (const auto* text : {"${", "${X", "${}", "${1X}", "${A B}", "${:-x}"})
    EXPECT_EQ(expand(text, sample_environment).error().code, errc::config_syntax) << text;
}

}  // namespace
}  // namespace cpns::config
