// State of a radio that is kept across its processes, and refused reports of a process.

#include "plugins/isolation/link_book.hpp"

#include <gtest/gtest.h>

#include "plugins/isolation/backoff.hpp"

namespace cpns::plugins::isolation {
namespace {

using namespace std::chrono_literals;

link_book opened(transport_role role = transport_role::central, std::uint32_t max_links = 100) {
  link_book b{role};
  b.opened(max_links, 0ms);
  return b;
}

TEST(book, continues_its_ids_across_processes) {
  auto b = opened();
  EXPECT_EQ(b.up({1, 0, "a"}, 0ms).value(), 1u);
  EXPECT_EQ(b.up({5, 0, "b"}, 0ms).value(), 2u);
  EXPECT_EQ(b.child_id(2), 5u);
  EXPECT_EQ(b.ended().links, (std::vector<link_id>{1, 2}));
  EXPECT_EQ(b.child_id(2), 0u);
  EXPECT_EQ(b.reserve(2).error().code, errc::plugin_link);
  b.opened(100, 0ms);
  EXPECT_EQ(b.up({1, 0, "a"}, 0ms).value(), 3u) << "the new process counts from 1, the role does not";
  EXPECT_EQ(b.message(1, 5).value(), 3u);
  EXPECT_EQ(b.down(1).value(), 3u);
  EXPECT_TRUE(b.ended().links.empty());
}

TEST(book, refuses_reports_that_break_a_rule) {
  auto b = opened(transport_role::central, 2);
  EXPECT_FALSE(b.up({0, 0, ""}, 0ms));
  EXPECT_FALSE(b.up({1, 1, ""}, 0ms)) << "a central has no endpoints";
  ASSERT_TRUE(b.up({3, 0, ""}, 0ms));
  EXPECT_FALSE(b.up({3, 0, ""}, 0ms));
  EXPECT_FALSE(b.up({2, 0, ""}, 0ms));
  ASSERT_TRUE(b.up({4, 0, ""}, 0ms));
  EXPECT_FALSE(b.up({5, 0, ""}, 0ms)) << "over max_links";
  EXPECT_FALSE(b.down(9));
  EXPECT_FALSE(b.down(0));
  EXPECT_FALSE(b.message(9, 1));
  EXPECT_FALSE(b.message(3, 0));
  EXPECT_FALSE(b.message(3, 1025));
  EXPECT_FALSE(b.taken({9, 1}));
  EXPECT_FALSE(b.taken({3, 1}));
  ASSERT_TRUE(b.reserve(1));
  EXPECT_FALSE(b.taken({3, 0})) << "an empty report must not count as a sign of life";
  for (const auto& wrong : {b.down(9).error(), b.message(9, 1).error()})
    EXPECT_EQ(wrong.code, errc::plugin_misbehaved);
}

TEST(book, ignores_late_reports_of_a_closed_link) {
  auto b = opened();
  ASSERT_TRUE(b.up({3, 0, ""}, 0ms));
  ASSERT_TRUE(b.reserve(1));
  ASSERT_TRUE(b.down(3).value());
  EXPECT_EQ(b.down(3).value(), std::nullopt);
  EXPECT_EQ(b.message(3, 1).value(), std::nullopt);
  EXPECT_TRUE(b.taken({3, 1}));
}

TEST(book, does_not_report_a_link_of_a_removed_endpoint) {
  auto b = opened(transport_role::peripheral);
  ASSERT_TRUE(b.add_endpoint(1, "one", 2, "radio"));
  EXPECT_EQ(b.add_endpoint(1, "one", 2, "radio").error().code, errc::state_exists);
  ASSERT_TRUE(b.add_endpoint(2, "two", 2, "radio"));
  EXPECT_EQ(b.add_endpoint(3, "three", 2, "radio").error().code, errc::state_exhausted);
  b.remove_endpoint(2);
  EXPECT_EQ(b.up({1, 2, ""}, 0ms).value(), std::nullopt);
  EXPECT_EQ(b.message(1, 1).value(), std::nullopt);
  EXPECT_EQ(b.down(1).value(), std::nullopt);
  EXPECT_EQ(b.up({2, 1, ""}, 0ms).value(), 1u);
}

TEST(book, replays_lasting_settings_to_the_next_process) {
  link_book gateway{transport_role::central};
  EXPECT_TRUE(gateway.replay().empty());
  gateway.set_scan(true);
  ASSERT_EQ(gateway.replay().size(), 1u);
  EXPECT_TRUE(std::get<scan_command>(gateway.replay()[0]).on);
  gateway.set_scan(false);
  EXPECT_TRUE(gateway.replay().empty());
  link_book pne{transport_role::peripheral};
  ASSERT_TRUE(pne.add_endpoint(7, "seven", 9, "radio") && pne.add_endpoint(3, "three", 9, "radio"));
  pne.remove_endpoint(3);
  ASSERT_EQ(pne.replay().size(), 1u);
  EXPECT_EQ(std::get<add_command>(pne.replay()[0]).endpoint, 7u);
  EXPECT_EQ(std::get<add_command>(pne.replay()[0]).name, "seven");
}

TEST(book, tracks_each_connect_until_its_end) {
  auto b = opened();
  for (const auto* address : {"a", "b", "c", "a"}) b.connecting(address);
  ASSERT_TRUE(b.up({1, 0, "b"}, 0ms));
  EXPECT_EQ(b.ended().connects, (std::vector<std::string>{"a", "c"}));
  EXPECT_TRUE(b.ended().connects.empty());
  b.connecting("a");
  b.connect_failed("a");
  b.connect_failed("nobody");
  EXPECT_TRUE(b.ended().connects.empty());
  for (std::size_t i = 0; i <= link_book::connects_max; ++i) b.connecting(std::to_string(i));
  const auto under_way = b.ended().connects;
  EXPECT_EQ(under_way.size(), link_book::connects_max);
  EXPECT_EQ(under_way.front(), "1") << "the oldest is forgotten";
}

TEST(book, limits_pending_messages_to_the_window) {
  auto b = opened(transport_role::central, 1000);
  ASSERT_TRUE(b.up({1, 0, ""}, 0ms));
  for (std::uint32_t i = 0; i < link_book::window; ++i) ASSERT_TRUE(b.reserve(1));
  EXPECT_EQ(b.reserve(1).error().code, errc::state_overloaded);
  ASSERT_TRUE(b.taken({1, 2}));
  ASSERT_TRUE(b.reserve(1) && b.reserve(1));
  EXPECT_FALSE(b.reserve(1));
  // All links together have a bound, too; a link that goes down frees its share.
  link_id child = 1;
  std::uint32_t held = link_book::window;
  while (held < link_book::window_of_all) {
    const auto own = b.up({++child, 0, ""}, 0ms).value().value();
    for (std::uint32_t i = 0; i < link_book::window; ++i, ++held) ASSERT_TRUE(b.reserve(own));
  }
  const auto own = b.up({++child, 0, ""}, 0ms).value().value();
  EXPECT_EQ(b.reserve(own).error().code, errc::state_overloaded);
  ASSERT_TRUE(b.down(1));
  EXPECT_TRUE(b.reserve(own));
}

TEST(book, limits_the_rate_of_new_links) {
  auto b = opened();
  link_id child = 0;
  const auto one = [&](milliseconds now) { return b.up({++child, 0, ""}, now) && b.down(child); };
  for (std::uint32_t i = 0; i < link_book::ups_burst; ++i) ASSERT_TRUE(one(0ms)) << i;
  EXPECT_FALSE(one(0ms));
  for (std::uint32_t i = 0; i < link_book::ups_per_second; ++i) ASSERT_TRUE(one(1000ms)) << i;
  EXPECT_FALSE(one(1000ms));
}

TEST(backoff, doubles_to_its_bound_and_begins_again_after_a_healthy_process) {
  std::vector<std::uint64_t> bounds;
  backoff b{{100ms, 1000ms, 2000ms}, [&](std::uint64_t n) {
              bounds.push_back(n);
              return n - 1;  // the longest
            }};
  for (const auto expected : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) EXPECT_EQ(b.after(0ms), expected);
  EXPECT_EQ(b.after(1999ms), 1000ms);
  EXPECT_EQ(b.after(2000ms), 100ms);
  EXPECT_EQ(bounds.front(), 51u);
  backoff shortest{{100ms, 1000ms, 2000ms}, [](std::uint64_t) { return std::uint64_t{0}; }};
  EXPECT_EQ(shortest.after(0ms), 50ms);
  EXPECT_EQ(shortest.after(0ms), 100ms);
}

}  // namespace
}  // namespace cpns::plugins::isolation
