#include "api/access.hpp"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cpns::api {
namespace {

std::string own_group() {
  const auto* g = ::getgrgid(::getegid());
  return g == nullptr ? std::string{} : g->gr_name;
}

TEST(access, root_and_the_user_of_the_role_are_admins) {
  const auto rules = access_rules::make({}).value();
  EXPECT_EQ(rules.level_of({.uid = 0, .gid = 0}), level::admin);
  EXPECT_EQ(rules.level_of({.uid = ::geteuid(), .gid = 4711}), level::admin);
  EXPECT_EQ(rules.level_of({.uid = 4711, .gid = 4711}), level::nobody);
}

TEST(access, takes_the_highest_level_among_all_groups) {
  const auto name = own_group();
  ASSERT_FALSE(name.empty());
  config::api_config c;
  c.groups.viewer = {name};
  c.groups.operator_ = {name};
  const auto rules = access_rules::make(c).value();
  EXPECT_TRUE(rules.names_groups());
  EXPECT_EQ(rules.level_of({.uid = 4711, .gid = ::getegid()}), level::operator_);
  EXPECT_EQ(rules.level_of({.uid = 4711, .gid = 1, .groups = {2, ::getegid()}}), level::operator_)
      << "a supplementary one";
  EXPECT_EQ(rules.level_of({.uid = 4711, .gid = 1, .groups = {2}}), level::nobody);
}

TEST(access, refuses_a_group_that_this_machine_does_not_have) {
  config::api_config c;
  c.groups.admin = {"no-such-group-here"};
  const auto made = access_rules::make(c);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, errc::config_range);
  EXPECT_NE(made.error().detail.find("no-such-group-here"), std::string::npos);
}

TEST(access, identifies_the_process_at_the_other_end) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const auto who = identify(ends[0]);
  ASSERT_TRUE(who) << who.error().message();
  EXPECT_EQ(who->uid, ::geteuid());
  EXPECT_EQ(who->gid, ::getegid());
  EXPECT_EQ(who->pid, ::getpid());
  EXPECT_FALSE(who->executable.empty());
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace cpns::api
