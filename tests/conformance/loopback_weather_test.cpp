// Bad weather on the loopback radio does what it says, and the host copes.

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

/// What the gateway hears of `count` messages of one PNE, in order; `enough` says when all is there.
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

/// Which of `count` messages come through; ends with a mark that is said until it is heard.
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

TEST(weather, loss_takes_its_share_and_repeats_with_its_seed) {
  const auto first = survivors({{"loss", "300"}, {"seed", "5"}});
  EXPECT_GT(first.size(), count * 6 / 10);
  EXPECT_LT(first.size(), count * 8 / 10);
  EXPECT_EQ(first, survivors({{"loss", "300"}, {"seed", "5"}}));
  EXPECT_NE(first, survivors({{"loss", "300"}, {"seed", "6"}}));
}

TEST(weather, what_is_sent_twice_comes_twice) {
  const auto got = heard({{"duplicate", "1000"}}, 10, 2 * count);
  ASSERT_EQ(got.size(), 2 * count);
  for (std::uint32_t i = 0; i < 2 * count; ++i) EXPECT_EQ(got[i], i / 2);
}

TEST(weather, fragments_come_twice_and_their_message_once) {
  const auto got = heard({{"duplicate", "1000"}, {"mtu", "64"}}, 300, count);
  EXPECT_EQ(std::set<std::uint32_t>(got.begin(), got.end()).size(), count);
}

TEST(weather, reordered_frames_arrive_all) {
  const auto got = heard({{"reorder", "300"}}, 10, count);
  ASSERT_EQ(got.size(), count);
  EXPECT_EQ(std::set<std::uint32_t>(got.begin(), got.end()).size(), count);
  EXPECT_FALSE(std::is_sorted(got.begin(), got.end()));
}

TEST(weather, delay_is_kept) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(heard({{"delay_ms", "150"}}, 10, count).size(), count);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(150));
}

}  // namespace
}  // namespace cpns::plugins
