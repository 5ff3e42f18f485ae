// How the two roles of a plugin under test find each other.

#include <gtest/gtest.h>

#include <fstream>

#include "config/loader.hpp"
#include "plugins/conformance/subject.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::conformance {
namespace {

TEST(meeting, replaces_placeholders_alike_for_both_roles_and_differently_for_each_pair) {
  subject s;
  s.central = {{"network", "{run}"}, {"announce", "127.255.255.255:{udp}"}, {"fixed", "{other}"}};
  s.peripheral = {{"network", "{run}"}, {"discover", "{udp}"}};
  const auto one = draw_meeting(s), two = draw_meeting(s, {{"mtu", "64"}});
  EXPECT_EQ(one.central.at("network"), one.peripheral.at("network"));
  EXPECT_LE(one.central.at("network").size(), 12u);
  EXPECT_EQ(one.central.at("announce"), "127.255.255.255:" + one.peripheral.at("discover"));
  EXPECT_EQ(one.central.at("fixed"), "{other}");
  EXPECT_NE(one.central.at("network"), two.central.at("network"));
  EXPECT_EQ(two.central.at("mtu") + two.peripheral.at("mtu"), "6464");
}

TEST(meeting, gives_both_roles_the_same_fresh_folder) {
  const cpns::test::temporary_folder base;
  subject s;
  s.folder = base.path().string();
  s.central = s.peripheral = {{"socket", "{folder}/s"}};
  const auto one = draw_meeting(s), two = draw_meeting(s);
  EXPECT_EQ(one.central, one.peripheral);
  EXPECT_NE(one.central, two.central);
}

TEST(subject, survives_a_command_line) {
  subject s{"/x/y.so", {{"a", "1=2"}}, {{"b", ""}}, {{"c", "3"}}, {"d=4", "e="}, 99, "/f"};
  const auto back = from_words(to_words(s));
  EXPECT_EQ(back.file, s.file);
  EXPECT_EQ(back.central, s.central);
  EXPECT_EQ(back.peripheral, s.peripheral);
  EXPECT_EQ(back.few_links, s.few_links);
  EXPECT_EQ(back.refused, s.refused);
  EXPECT_EQ(back.seed, s.seed);
  EXPECT_EQ(back.folder, s.folder);
}

TEST(subject, splits_parameters_at_the_first_equals_sign) {
  EXPECT_EQ(split_parameter("a=b=c").value(), (std::pair<std::string, std::string>{"a", "b=c"}));
  EXPECT_FALSE(split_parameter("a"));
  EXPECT_FALSE(split_parameter("=a"));
}

TEST(check_file, is_read_strictly) {
  const cpns::test::temporary_folder folder;
  const auto file = folder / "x.check.yaml";
  std::ofstream{file} << "both: {network: \"{run}\"}\ncentral: {mtu: 64}\nrefused: [\"mtu=1\"]\n";
  const auto read = config::load_check_settings(file);
  ASSERT_TRUE(read) << read.error().as_error().message();
  EXPECT_EQ(read->both.at("network"), "{run}");
  EXPECT_EQ(read->central.at("mtu"), "64");
  EXPECT_EQ(read->refused, std::vector<std::string>{"mtu=1"});
  std::ofstream{file} << "bth: {}\ncentral: [x]\n";
  const auto wrong = config::load_check_settings(file);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().lines().size(), 2u);
  EXPECT_NE(wrong.error().lines().front().find("x.check.yaml:1:1: "), std::string::npos);
}

}  // namespace
}  // namespace cpns::conformance
