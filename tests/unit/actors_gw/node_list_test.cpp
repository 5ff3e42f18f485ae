// The order in which a gateway tries servers.
#include "actors/pn_gw/node_list.hpp"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>

#include "crypto/key_schedule.hpp"
#include "protocol/constants.hpp"

namespace cpns::actors {
namespace {

const time_point start{seconds{1'800'000'000}};

gateway_id gateway(int i) {
  return crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::x509,
                                   "urn:cpns:gw:" + std::to_string(i));
}
std::vector<config::address> hosts(std::initializer_list<const char*> names) {
  std::vector<config::address> out;
  for (const auto* n : names) out.push_back({n, 7443});
  return out;
}
std::string try_one(node_list& l, time_point now = start) { return l.next(now).host; }
/// The servers in the order in which they are tried when none is reached.
std::vector<std::string> order_of(node_list& l, std::size_t n) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i) {
    out.push_back(try_one(l));
    l.failed();
  }
  return out;
}

TEST(node_list, gateways_spread_over_all_servers_and_those_of_one_that_fails_over_all_others) {
  std::map<std::string, int> first;
  std::map<std::string, std::map<std::string, int>> second;
  for (int i = 0; i < 600; ++i) {
    node_list l{hosts({"a", "b", "c"}), gateway(i)};
    const auto order = order_of(l, 3);
    EXPECT_EQ(std::set<std::string>(order.begin(), order.end()).size(), 3u);
    ++first[order[0]];
    ++second[order[0]][order[1]];
  }
  for (const auto& [host, n] : first) EXPECT_NEAR(n, 200, 50) << host;
  for (const auto& [host, next] : second) {
    ASSERT_EQ(next.size(), 2u) << host;
    for (const auto& [other, n] : next) EXPECT_NEAR(n, 100, 40) << host << " then " << other;
  }
}

TEST(node_list, a_new_server_moves_only_the_gateways_that_begin_there) {
  int moved = 0;
  for (int i = 0; i < 300; ++i) {
    node_list two{hosts({"a", "b"}), gateway(i)}, three{hosts({"a", "b", "c"}), gateway(i)};
    const auto before = try_one(two), after = try_one(three);
    if (before == after) continue;
    EXPECT_EQ(after, "c");
    ++moved;
  }
  EXPECT_NEAR(moved, 100, 40);
}

TEST(node_list, goes_on_after_a_fault_and_begins_again_after_a_planned_end) {
  node_list l{hosts({"a", "b", "c"}), gateway(1)};
  const auto order = order_of(l, 4);
  EXPECT_EQ(order[3], order[0]);
  node_list m{hosts({"a", "b", "c"}), gateway(1)};
  (void)try_one(m);
  m.failed();
  EXPECT_EQ(try_one(m), order[1]);
  m.reached();
  m.failed();
  EXPECT_EQ(try_one(m), order[2]) << "a connection that broke";
  m.reached();
  m.ended();
  EXPECT_EQ(try_one(m), order[0]);
}

TEST(node_list, passes_over_a_server_that_drains_until_it_is_named_after_the_drain) {
  node_list l{hosts({"a", "b"}), gateway(1)};
  const auto first = try_one(l);
  l.reached();
  l.drain(first + ":7443", start, seconds{10});
  l.failed();
  const auto other = try_one(l);
  EXPECT_NE(other, first);
  l.reached();
  EXPECT_FALSE(l.knows_another(start));
  EXPECT_EQ(l.size(), 1u);
  l.learn({first + ":7443"}, start + seconds{9});
  EXPECT_FALSE(l.knows_another(start + seconds{9})) << "named while it drains";
  l.ended();
  EXPECT_EQ(try_one(l), other);
  l.reached();
  l.learn({first + ":7443"}, start + seconds{10});
  EXPECT_TRUE(l.knows_another(start + seconds{10}));
  l.ended();
  EXPECT_EQ(try_one(l), first);
}

TEST(node_list, a_server_whose_drain_is_over_is_there_for_a_fault_of_the_other_one) {
  node_list l{hosts({"a", "b"}), gateway(1)};
  const auto first = try_one(l);
  l.reached();
  l.drain(first + ":7443", start, seconds{10});
  l.failed();
  const auto other = try_one(l);
  l.reached();
  EXPECT_FALSE(l.knows_another(start + seconds{9}));
  EXPECT_TRUE(l.knows_another(start + seconds{10}));
  l.failed();
  EXPECT_EQ(try_one(l, start + seconds{10}), first);
  EXPECT_NE(other, first);
}

TEST(node_list, tries_a_server_that_drains_when_no_other_one_is_there) {
  node_list l{hosts({"a", "b"}), gateway(1)};
  const auto first = try_one(l);
  l.reached();
  l.drain(first + ":7443", start, seconds{10});
  l.failed();
  EXPECT_NE(try_one(l), first);
  l.failed();
  EXPECT_EQ(try_one(l), first);
  l.reached();
  EXPECT_EQ(l.size(), 2u) << "it is back";
  node_list alone{hosts({"a"}), gateway(1)};
  (void)try_one(alone);
  alone.reached();
  alone.drain("a:7443", start, seconds{10});
  alone.failed();
  EXPECT_EQ(try_one(alone), "a");
  EXPECT_EQ(alone.size(), 1u);
}

TEST(node_list, learned_servers_add_to_the_configured_ones_and_are_forgotten_after_a_day) {
  node_list l{hosts({"a"}), gateway(1)};
  EXPECT_EQ(try_one(l), "a");
  EXPECT_FALSE(l.knows_another(start));
  l.learn({"a:7443", "b:1", "[::1]:2"}, start);
  EXPECT_EQ(l.view(start).size(), 3u);
  EXPECT_TRUE(l.knows_another(start));
  l.learn({"b:1"}, start + std::chrono::hours{23});
  EXPECT_EQ(l.view(start + std::chrono::hours{24}).size(), 2u) << "[::1]:2 was not named for a day";
  l.learn({}, start + std::chrono::hours{25});
  EXPECT_EQ(l.view(start + std::chrono::hours{46}).size(), 2u) << "an empty list takes nothing away";
  EXPECT_EQ(l.view(start + std::chrono::hours{47}).size(), 1u) << "the configured one stays";
  EXPECT_EQ(try_one(l, start + std::chrono::hours{47}), "a");
  EXPECT_EQ(l.size(), 1u);
}

TEST(node_list, keeps_the_32_servers_that_were_named_last) {
  node_list l{hosts({"a", "b"}), gateway(1)};
  const auto names = [](int from) {
    std::vector<std::string> out;
    for (int i = 0; i < 32; ++i) out.push_back("n" + std::to_string(from + i) + ":1");
    return out;
  };
  l.learn(names(0), start);
  l.learn(names(100), start + seconds{1});
  std::set<std::string> seen;
  for (const auto& n : l.view(start + seconds{1})) seen.emplace(n.at("address").as_string());
  EXPECT_EQ(seen.size(), protocol::nodes_max + 2);
  EXPECT_TRUE(seen.contains("n131:1") && seen.contains("a:7443") && seen.contains("b:7443"));
  EXPECT_FALSE(seen.contains("n0:1"));
}

}  // namespace
}  // namespace cpns::actors
