// Simulated bad radio conditions of the loopback radio, and the host under them.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "pair.hpp"

namespace cpns::plugins {
namespace {

constexpr std::uint32_t count = 400;

bytes numbered(std::uint32_t n, std::size_t size) {
  bytes out(size, 0x55);
  out[0] = static_cast<std::uint8_t>(n);
  out[1] = static_cast<std::uint8_t>(n >> 8);
  return out;
}

/// The messages that the gateway receives of `count` messages of one PNE, in order. Waits for `enough` of them.
std::vector<std::uint32_t> heard(const params& weather, std::size_t size, std::size_t enough) {
  pair p{"loopback", weather};
  p.add(1, 1);
  const auto own = p.pne_hears.link_of(1);
  if (!own || !p.gateway_hears.wait_for_links(1)) return {};
  for (std::uint32_t i = 0; i < count;) {
    const auto sent = p.pne->send(*own, numbered(i, size));
    if (sent)
      ++i;
    else if (sent.error().code != errc::state_overloaded)
      return {};
  }
  const auto link = p.gateway_hears.up().front();
  EXPECT_TRUE(
      p.gateway_hears.wait([&](const auto& links) { return links.at(link).messages.size() >= enough; }));
  std::vector<std::uint32_t> out;
  for (const auto& m : p.gateway_hears.messages(link)) {
    EXPECT_EQ(m.size(), size);
    out.push_back(m[0] | std::uint32_t{m[1]} << 8);
    EXPECT_EQ(m, numbered(out.back(), size));
  }
  return out;
}

/// Those of `count` messages that arrive. Sends a mark at the end, until it arrives.
std::set<std::uint32_t> survivors(const params& weather) {
  pair p{"loopback", weather};
  EXPECT_FALSE(p.gateway->info().reliable);
  p.add(1, 1);
  const auto own = p.pne_hears.link_of(1);
  if (!own || !p.gateway_hears.wait_for_links(1)) return {};
  const auto link = p.gateway_hears.up().front();
  const auto mark = numbered(0xffff, 10);
  bool over = false;
  for (std::uint32_t i = 0; !over;) {
    if (p.pne->send(*own, i < count ? numbered(i, 10) : mark)) ++i;
    const auto got = p.gateway_hears.messages(link);
    over = !got.empty() && got.back() == mark;
  }
  std::set<std::uint32_t> out;
  for (const auto& m : p.gateway_hears.messages(link))
    if (m != mark) out.insert(m[0] | std::uint32_t{m[1]} << 8);
  return out;
}

TEST(weather, loses_the_configured_share_and_repeats_when_the_seed_is_the_same) {
  const auto first = survivors({{"loss", "300"}, {"seed", "5"}});
  EXPECT_GT(first.size(), count * 6 / 10);
  EXPECT_LT(first.size(), count * 8 / 10);
  EXPECT_EQ(first, survivors({{"loss", "300"}, {"seed", "5"}}));
  EXPECT_NE(first, survivors({{"loss", "300"}, {"seed", "6"}}));
}

TEST(weather, delivers_duplicates_twice) {
  const auto got = heard({{"duplicate", "1000"}}, 10, 2 * count);
  ASSERT_EQ(got.size(), 2 * count);
  for (std::uint32_t i = 0; i < 2 * count; ++i) EXPECT_EQ(got[i], i / 2);
}

TEST(weather, delivers_a_message_once_when_its_fragments_are_duplicated) {
  const auto got = heard({{"duplicate", "1000"}, {"mtu", "64"}}, 300, count);
  EXPECT_EQ(std::set<std::uint32_t>(got.begin(), got.end()).size(), count);
}

TEST(weather, delivers_all_reordered_frames) {
  const auto got = heard({{"reorder", "300"}}, 10, count);
  ASSERT_EQ(got.size(), count);
  EXPECT_EQ(std::set<std::uint32_t>(got.begin(), got.end()).size(), count);
  EXPECT_FALSE(std::is_sorted(got.begin(), got.end()));
}

TEST(weather, forgets_the_frames_of_a_station_that_closes_and_carries_on_for_the_others) {
  const params slow{{"delay_ms", "100"}, {"jitter_ms", "50"}, {"reorder", "300"}};
  const auto where = meeting_of("loopback", slow);
  listener gateway_hears, stays_hears;
  const auto gateway = open("loopback", transport_role::central, where.central, gateway_hears);
  const auto stays = open("loopback", transport_role::peripheral, where.peripheral, stays_hears);
  ASSERT_TRUE(gateway && stays);
  ASSERT_TRUE(gateway->scan(true));
  ASSERT_TRUE(stays->add_endpoint(1, "1"));
  ASSERT_TRUE(gateway_hears.wait_for_links(1));
  for (std::uint32_t round = 0; round < 5; ++round) {
    {
      listener leaves_hears;
      const auto leaves = open("loopback", transport_role::peripheral, where.peripheral, leaves_hears);
      ASSERT_TRUE(leaves && leaves->add_endpoint(2, "2"));
      const auto link = leaves_hears.link_of(2);
      ASSERT_TRUE(link && gateway_hears.wait_for_links(2));
      for (std::uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(leaves->send(*link, numbered(i, 10)));
      leaves->close();
    }
    ASSERT_TRUE(gateway_hears.wait_for_links(1));
    for (std::uint32_t i = 0; i < 20; ++i) ASSERT_TRUE(stays->send(*stays_hears.link_of(1), numbered(i, 10)));
    EXPECT_TRUE(gateway_hears.wait([&](const auto& links) {
      return std::any_of(links.begin(), links.end(), [&](const auto& l) {
        return l.second.up && l.second.messages.size() == 20 * (round + 1);
      });
    }));
  }
  stays->close();
  gateway->close();
  EXPECT_EQ(gateway_hears.broken(), "");
}

TEST(weather, delays_frames) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(heard({{"delay_ms", "150"}}, 10, count).size(), count);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(150));
}

}  // namespace
}  // namespace cpns::plugins
