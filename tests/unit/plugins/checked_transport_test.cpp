// Faults of a plugin cost at most the link that they happen on.

#include "plugins/host/checked_transport.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "scripted_radio.hpp"

namespace cpns::plugins {
namespace {

using lines = std::vector<std::string>;

class checked : public testing::Test {
 protected:
  void open(transport_role as = transport_role::central) {
    auto opened = radio.open(heard, as);
    ASSERT_TRUE(opened) << opened.error().message();
    host = std::move(*opened);
  }
  std::uint64_t counter(std::string_view name) {
    for (const auto& c : host->counters())
      if (c.name == name) return c.value;
    ADD_FAILURE() << name;
    return 0;
  }
  std::uint64_t misbehaviour() { return counter("misbehaviour"); }

  recorder heard;
  scripted_radio radio;
  std::unique_ptr<transport> host;
};

TEST_F(checked, passes_on_parameters_role_and_limits) {
  auto opened = radio.open(heard, transport_role::peripheral, {{"a", "1"}, {"b", "2"}}, true);
  ASSERT_TRUE(opened);
  EXPECT_EQ(radio.params, (std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}}));
  EXPECT_TRUE(radio.probed);
  const auto& info = (*opened)->info();
  EXPECT_EQ(info.name, "scripted");
  EXPECT_EQ(info.mtu, 25u);
  EXPECT_EQ(info.max_links, 4u);
  EXPECT_EQ(info.max_endpoints, 3u);
  EXPECT_TRUE(info.reliable);
  EXPECT_FALSE(info.ordered);
}

TEST_F(checked, sends_messages_in_frames_of_the_mtu) {
  open();
  radio.link_up(7);
  ASSERT_TRUE(host->send(7, bytes(100, 0xaa)));
  EXPECT_EQ(radio.sent.size(), 5u);  // 23 bytes each
  for (const auto& f : radio.sent) radio.frame(7, f);
  EXPECT_EQ(heard.heard(), (lines{"up 7 0 somewhere", "message 7 " + to_hex(bytes(100, 0xaa))}));
  EXPECT_EQ(host->send(7, bytes(1025)).error().code, errc::wire_oversized);
  EXPECT_EQ(host->send(8, bytes(1)).error().code, errc::plugin_link);
  EXPECT_EQ(misbehaviour(), 0u);
}

TEST_F(checked, reports_the_end_of_a_link_once) {
  open();
  radio.link_up(1);
  radio.link_down(1);
  radio.link_down(1);
  EXPECT_EQ(heard.heard(), (lines{"up 1 0 somewhere", "down 1 lost: out of range"}));
  EXPECT_EQ(host->send(1, bytes(1)).error().code, errc::plugin_link);
}

TEST_F(checked, closes_a_link_when_a_frame_breaks_the_mtu) {
  open();
  for (std::uint64_t link = 1; link <= 2; ++link) {
    radio.link_up(link);
    radio.frame(link, bytes(link == 1 ? 26 : 0));
    const auto events = heard.heard();
    ASSERT_EQ(events.size(), 2u);
    EXPECT_EQ(events[1].rfind("down " + std::to_string(link) + " the plugin misbehaved", 0), 0u) << events[1];
    EXPECT_EQ(radio.calls.back(), "disconnect " + std::to_string(link));
    EXPECT_EQ(misbehaviour(), link);
    radio.link_down(link);  // its answer to the disconnect
    EXPECT_TRUE(heard.heard().empty());
  }
}

TEST_F(checked, refuses_link_ids_that_are_zero_or_reused) {
  open();
  radio.link_up(5);
  heard.heard();
  radio.link_up(0);
  radio.link_up(4);
  EXPECT_TRUE(heard.heard().empty());
  EXPECT_EQ(misbehaviour(), 2u);
  radio.link_up(5);
  EXPECT_EQ(heard.heard().size(), 1u) << "up twice: the peer is ambiguous, so the link goes down";
  EXPECT_EQ(misbehaviour(), 3u);
  EXPECT_EQ(host->send(5, bytes(1)).error().code, errc::plugin_link);
}

TEST_F(checked, refuses_more_links_than_declared) {
  open();
  for (std::uint64_t link = 1; link <= 5; ++link) radio.link_up(link);
  EXPECT_EQ(heard.heard().size(), 4u);
  EXPECT_EQ(radio.calls, lines{"disconnect 5"});
  EXPECT_EQ(misbehaviour(), 1u);
}

TEST_F(checked, counts_and_drops_frames_of_unknown_links) {
  open();
  radio.frame(3, {0, 0x80, 1});
  radio.writable(3);
  EXPECT_TRUE(heard.heard().empty());
  EXPECT_EQ(misbehaviour(), 1u);
}

TEST_F(checked, does_not_blame_the_plugin_for_bad_fragments_of_a_peer) {
  open();
  radio.link_up(1);
  radio.frame(1, {0, 0xc0, 1});
  radio.frame(1, {0});
  EXPECT_EQ(heard.heard().size(), 1u);
  EXPECT_EQ(counter("bad_frames"), 2u);
  EXPECT_EQ(misbehaviour(), 0u);
  radio.frame(1, {0, 0x80, 1});
  EXPECT_EQ(heard.heard(), lines{"message 1 01"});
}

TEST_F(checked, counts_unfinished_messages) {
  open();
  radio.link_up(1);
  for (std::uint8_t number = 0; number < 6; ++number) radio.frame(1, {number, 0, 1});
  EXPECT_EQ(counter("messages_dropped"), 2u);
}

TEST_F(checked, accepts_only_endpoints_of_the_role_and_within_the_limit) {
  open(transport_role::peripheral);
  EXPECT_TRUE(host->add_endpoint(1, "one"));
  EXPECT_EQ(host->add_endpoint(1, "again").error().code, errc::state_exists);
  EXPECT_TRUE(host->add_endpoint(2, "two"));
  EXPECT_TRUE(host->add_endpoint(3, "three"));
  EXPECT_EQ(host->add_endpoint(4, "four").error().code, errc::state_exhausted);
  EXPECT_EQ(radio.calls, (lines{"add 1 one", "add 2 two", "add 3 three"}));
  EXPECT_TRUE(host->remove_endpoint(1));
  EXPECT_TRUE(host->add_endpoint(4, "four"));
  radio.link_up(1, 4);
  radio.link_up(2, 1);
  EXPECT_EQ(heard.heard(), lines{"up 1 4 somewhere"});
  EXPECT_EQ(radio.calls.back(), "disconnect 2");
  EXPECT_EQ(misbehaviour(), 0u) << "the link may have come up at the moment of the removal";
}

TEST_F(checked, frees_an_endpoint_that_the_plugin_refuses) {
  open(transport_role::peripheral);
  radio.answer = CPNS_UNAVAILABLE;
  EXPECT_EQ(host->add_endpoint(1, "one").error().code, errc::plugin_failed);
  radio.answer = CPNS_OK;
  EXPECT_TRUE(host->add_endpoint(1, "one"));
}

TEST_F(checked, refuses_endpoints_of_a_central) {
  open();
  EXPECT_EQ(host->add_endpoint(1, "one").error().code, errc::state_exhausted);
  radio.link_up(1, 9);
  EXPECT_TRUE(heard.heard().empty());
  EXPECT_EQ(misbehaviour(), 1u);
}

TEST_F(checked, queues_a_bounded_number_of_frames_when_send_would_block) {
  open();
  radio.link_up(1);
  radio.frames_taken_at_most = 3;
  int taken = 0;
  while (host->send(1, bytes{static_cast<std::uint8_t>(taken)})) ASSERT_LT(++taken, 10'000);
  EXPECT_EQ(host->send(1, bytes(1)).error().code, errc::state_overloaded);
  EXPECT_EQ(radio.sent.size(), 3u);
  radio.frames_taken_at_most = 1'000'000;
  radio.writable(1);
  ASSERT_EQ(radio.sent.size(), static_cast<std::size_t>(taken));
  for (int i = 0; i < taken; ++i) EXPECT_EQ(radio.sent[static_cast<std::size_t>(i)].back(), i & 0xff);
}

TEST_F(checked, does_not_lose_writable_during_send) {
  open();
  radio.link_up(1);
  radio.frames_taken_at_most = 0;
  radio.writable_during_send = true;
  ASSERT_TRUE(host->send(1, bytes{1}));
  EXPECT_EQ(radio.sent.size(), 1u);
}

TEST_F(checked, closes_all_links_when_the_radio_fails) {
  open();
  radio.link_up(1);
  radio.link_up(2);
  heard.heard();
  radio.host->failed(radio.host->context, "the antenna fell off");
  auto events = heard.heard();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events.back(), "failed scripted: the antenna fell off");
  std::sort(events.begin(), events.end() - 1);
  EXPECT_EQ(events[0], "down 1 the radio failed");
  EXPECT_EQ(events[1], "down 2 the radio failed");
}

TEST_F(checked, reports_an_unknown_signal_strength_as_zero) {
  open();
  radio.host->peer_found(radio.host->context, "near", -40);
  radio.host->peer_found(radio.host->context, "far", 127);
  EXPECT_EQ(heard.heard(), (lines{"found near -40", "found far 0"}));
}

TEST_F(checked, translates_statuses_of_the_plugin_to_errors) {
  open();
  const std::pair<cpns_status, errc> answers[] = {
      {CPNS_ERROR, errc::plugin_failed},          {CPNS_BAD_PARAMETER, errc::config_range},
      {CPNS_WOULD_BLOCK, errc::state_overloaded}, {CPNS_NO_LINK, errc::plugin_link},
      {CPNS_LIMIT, errc::plugin_failed},          {CPNS_UNSUPPORTED, errc::plugin_failed},
      {CPNS_UNAVAILABLE, errc::plugin_failed},    {static_cast<cpns_status>(99), errc::plugin_failed}};
  for (const auto& [status, expected] : answers) {
    radio.answer = status;
    EXPECT_EQ(host->scan(true).error().code, expected) << status;
    EXPECT_EQ(host->connect("x").error().code, expected) << status;
  }
}

TEST_F(checked, ignores_callbacks_and_calls_after_close) {
  open();
  radio.link_up(1);
  heard.heard();
  host->close();
  EXPECT_TRUE(radio.closed);
  const auto calls = radio.calls.size();
  radio.link_up(2);
  radio.frame(1, {0, 0x80, 1});
  radio.writable(1);
  radio.host->failed(radio.host->context, "too late");
  radio.host->peer_found(radio.host->context, "too late", -1);
  radio.link_down(1);
  EXPECT_TRUE(heard.heard().empty());
  EXPECT_EQ(misbehaviour(), 5u);
  EXPECT_EQ(host->send(1, bytes(1)).error().code, errc::state_stopping);
  EXPECT_EQ(host->scan(true).error().code, errc::state_stopping);
  EXPECT_EQ(host->connect("x").error().code, errc::state_stopping);
  host->disconnect(1);
  host->close();
  EXPECT_EQ(radio.calls.size(), calls);
}

TEST_F(checked, reports_failed_connects_and_cancels_them) {
  open();
  ASSERT_TRUE(host->connect("far"));
  host->cancel("far");
  EXPECT_EQ(radio.calls, (std::vector<std::string>{"connect far", "cancel far"}));
  radio.host->connect_failed(radio.host->context, "far", "nobody there");
  radio.host->connect_failed(radio.host->context, nullptr, nullptr);
  EXPECT_EQ(heard.heard(), (std::vector<std::string>{"not connected far nobody there", "not connected  "}));
  host->close();
  host->cancel("far");
  EXPECT_EQ(radio.calls.size(), 2u);
}

TEST_F(checked, ends_timers_with_the_instance) {
  open();
  const auto* timer =
      static_cast<const cpns_ext_timer*>(radio.host->get_extension(radio.host->context, CPNS_EXT_TIMER));
  static std::atomic<int> due{0};
  due = 0;
  ASSERT_NE(timer->start(
                radio.host->context, 0, [](void*) { ++due, due.notify_all(); }, nullptr),
            0u);
  due.wait(0);
  ASSERT_NE(timer->start(
                radio.host->context, 20, [](void*) { ++due; }, nullptr),
            0u);
  host->close();
  EXPECT_EQ(timer->start(
                radio.host->context, 0, [](void*) { ++due; }, nullptr),
            0u);
  EXPECT_EQ(due, 1);
}

TEST_F(checked, has_a_clock_and_no_unknown_extension) {
  open();
  const auto* timer =
      static_cast<const cpns_ext_timer*>(radio.host->get_extension(radio.host->context, CPNS_EXT_TIMER));
  ASSERT_NE(timer, nullptr);
  const auto before = timer->now_ms(radio.host->context);
  EXPECT_LE(before, timer->now_ms(radio.host->context));
  EXPECT_EQ(radio.host->get_extension(radio.host->context, "cpns.timer/2"), nullptr);
  EXPECT_EQ(radio.host->get_extension(radio.host->context, nullptr), nullptr);
}

TEST_F(checked, waits_in_close_for_callbacks_of_other_threads) {
  open();
  radio.link_up(1);
  std::atomic<bool> on{true};
  std::atomic<int> rounds{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (on) {
        radio.frame(1, {0, 0x80, 1});
        rounds.fetch_add(1);
      }
    });
  while (rounds < 1000) std::this_thread::yield();
  host->close();
  heard.heard();
  const int at = rounds;
  while (rounds < at + 1000) std::this_thread::yield();
  EXPECT_TRUE(heard.heard().empty());
  on = false;
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace cpns::plugins
