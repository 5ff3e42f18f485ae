// The loopback radio in simulated time: delays are exact to the millisecond and take no real time, and a seed
// repeats the same run.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "pair.hpp"
#include "plugins/host/simulated_clock.hpp"

namespace cpns::plugins {
namespace {

constexpr std::uint64_t hour_ms = 60 * 60 * 1000;

/// Records links, and the first byte and the time of each message.
struct diary final : transport_listener {
  explicit diary(simulated_clock& c) : clock(c) {}
  void link_up(link_id l, endpoint_id, std::string) override { link = l; }
  void link_down(link_id, std::string) override { link = 0; }
  void message(link_id, bytes data) override {
    std::lock_guard lock{guard};
    heard.emplace_back(data.at(0), clock.now_ms());
  }
  void peer_found(std::string, std::int32_t) override {}
  void connect_failed(std::string, std::string) override {}
  void woke(std::string) override {}
  void failed(error) override {}

  simulated_clock& clock;
  std::atomic<link_id> link{0};
  std::mutex guard;
  std::vector<std::pair<int, std::uint64_t>> heard;
};

/// Of `count` messages that a PNE sends one second apart: those that the gateway received, with the time since the
/// first one was sent.
std::vector<std::pair<int, std::uint64_t>> heard(const params& weather, int count) {
  static auto& clock = *new simulated_clock;  // never freed, because plugins may keep using it
  auto p = weather;
  p["network"] = fresh_network();
  diary gateway_hears{clock}, pne_hears{clock};
  const auto open = [&](transport_role role, diary& d) {
    auto t = load_transport({"loopback", role, p, {}, &clock}, d);
    EXPECT_TRUE(t) << t.error().detail;
    return std::move(*t);
  };
  const auto gateway = open(transport_role::central, gateway_hears);
  const auto pne = open(transport_role::peripheral, pne_hears);
  EXPECT_TRUE(gateway->scan(true));
  EXPECT_TRUE(pne->add_endpoint(1, "pne"));
  EXPECT_TRUE(clock.run_for(1));
  EXPECT_NE(pne_hears.link, 0u);
  const auto begun = clock.now_ms();
  for (int i = 0; i < count; ++i) {
    EXPECT_TRUE(pne->send(pne_hears.link, bytes{static_cast<std::uint8_t>(i)}));
    EXPECT_TRUE(clock.run_for(1000));
  }
  EXPECT_TRUE(clock.run_for(hour_ms));
  pne->close();
  EXPECT_TRUE(clock.run_for(1));
  EXPECT_EQ(gateway_hears.link, 0u);
  gateway->close();
  EXPECT_TRUE(clock.run_for(1));
  for (auto& [what, when] : gateway_hears.heard) when -= begun;
  return gateway_hears.heard;
}

TEST(loopback_time, delivers_a_frame_without_delay_before_time_advances) {
  EXPECT_EQ(heard({}, 2), (std::vector<std::pair<int, std::uint64_t>>{{0, 0}, {1, 1000}}));
}

TEST(loopback_time, keeps_a_delay_to_the_millisecond) {
  EXPECT_EQ(heard({{"delay_ms", "60000"}}, 3),
            (std::vector<std::pair<int, std::uint64_t>>{{0, 60'000}, {1, 61'000}, {2, 62'000}}));
}

TEST(loopback_time, repeats_losses_and_times_when_the_seed_is_the_same) {
  const params weather{{"loss", "200"},     {"duplicate", "200"},  {"reorder", "200"},
                       {"delay_ms", "700"}, {"jitter_ms", "5000"}, {"seed", "11"}};
  const auto first = heard(weather, 200);
  EXPECT_GT(first.size(), 150u);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  EXPECT_EQ(first, heard(weather, 200));
  auto other = weather;
  other["seed"] = "12";
  EXPECT_NE(first, heard(other, 200));
}

TEST(loopback_time, makes_a_link_again_that_the_gateway_closed_and_waits_longer_each_time) {
  static auto& clock = *new simulated_clock;
  diary gateway_hears{clock}, pne_hears{clock};
  const params p{{"network", fresh_network()}, {"retry_ms", "1000"}};
  const auto gateway = load_transport({"loopback", transport_role::central, p, {}, &clock}, gateway_hears);
  const auto pne = load_transport({"loopback", transport_role::peripheral, p, {}, &clock}, pne_hears);
  ASSERT_TRUE(gateway && pne);
  EXPECT_TRUE((*gateway)->scan(true));
  EXPECT_TRUE((*pne)->add_endpoint(1, "pne"));
  EXPECT_TRUE(clock.run_for(1));
  for (std::uint64_t longest = 1000; longest <= 64'000; longest *= 2) {
    ASSERT_NE(gateway_hears.link, 0u) << longest;
    (*gateway)->disconnect(gateway_hears.link);
    EXPECT_TRUE(clock.run_for(longest / 2 - 1));
    EXPECT_EQ(gateway_hears.link, 0u) << longest;
    EXPECT_TRUE(clock.run_for(longest / 2 + 2));
    EXPECT_NE(pne_hears.link, 0u) << longest;
  }
  (*gateway)->disconnect(gateway_hears.link);
  (*pne)->remove_endpoint(1);
  EXPECT_TRUE(clock.run_for(hour_ms));
  EXPECT_EQ(gateway_hears.link, 0u) << "the PNE is gone";
  EXPECT_TRUE((*pne)->add_endpoint(1, "pne"));
  EXPECT_TRUE(clock.run_for(1));
  EXPECT_NE(gateway_hears.link, 0u);
  (*pne)->close();
  (*gateway)->close();
}

TEST(loopback_time, drops_frames_in_flight_when_the_receiver_closes) {
  static auto& clock = *new simulated_clock;
  diary gateway_hears{clock}, pne_hears{clock};
  const params p{{"network", fresh_network()}, {"delay_ms", "60000"}};
  const auto gateway = load_transport({"loopback", transport_role::central, p, {}, &clock}, gateway_hears);
  const auto pne = load_transport({"loopback", transport_role::peripheral, p, {}, &clock}, pne_hears);
  ASSERT_TRUE(gateway && pne);
  EXPECT_TRUE((*gateway)->scan(true));
  EXPECT_TRUE((*pne)->add_endpoint(1, "pne"));
  EXPECT_TRUE(clock.run_for(1));
  EXPECT_TRUE((*pne)->send(pne_hears.link, bytes{1}));
  (*gateway)->close();
  EXPECT_TRUE(clock.run_for(hour_ms));
  EXPECT_TRUE(gateway_hears.heard.empty());
}

}  // namespace
}  // namespace cpns::plugins
