#include "actors/pn_gw/node_follower.hpp"

#include <gtest/gtest.h>

#include "config/values.hpp"

namespace cpns::actors {
namespace {

TEST(node_follower, looks_at_a_silence_as_soon_as_the_other_server_has_drained) {
  const time_point began{seconds{1000}};
  auto servers = std::make_shared<node_list>(
      std::vector{config::parse_address("a:1").value(), config::parse_address("b:1").value()}, gateway_id{});
  node_follower f{servers, milliseconds{1500}};
  const auto used = servers->next(began).text();
  servers->reached();
  f.up(used, true);
  servers->drain(used == "a:1" ? "b:1" : "a:1", began, seconds{1});
  EXPECT_EQ(f.judge(began, began), node_follower::silence_t::nothing) << "the other server drains";
  EXPECT_EQ(f.next_look(began, began), began + milliseconds{750});
  EXPECT_EQ(f.judge(began + milliseconds{1500}, began), node_follower::silence_t::leave);
  servers->drain(used == "a:1" ? "b:1" : "a:1", began, seconds{10});
  EXPECT_EQ(f.next_look(began, began), time_never) << "no other server within the time";
}

}  // namespace
}  // namespace cpns::actors
