// Rules that every transport must keep, tested through the host, with each transport.

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "pair.hpp"

namespace cpns::plugins {
namespace {

class citizen : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(transport, citizen, testing::Values("loopback", "tcp", "tcp_isolated"),
                         [](const auto& p) { return std::string{p.param}; });

bytes numbered(std::uint32_t n, std::size_t size) {
  bytes out(size, static_cast<std::uint8_t>(n));
  for (std::size_t i = 0; i < 4 && i < size; ++i) out[i] = static_cast<std::uint8_t>(n >> (8 * i));
  return out;
}

/// Sends, and repeats while the queue is full. False if the link is gone, or after twenty seconds.
bool send_until_taken(transport& t, link_id l, const bytes& message) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto sent = t.send(l, message);
    if (sent) return true;
    if (sent.error().code != errc::state_overloaded) return false;
    std::this_thread::yield();
  }
  return false;
}

TEST_P(citizen, brings_a_link_up_on_both_sides_and_down_on_both) {
  pair p{GetParam()};
  p.add(1, 1);
  const auto l = p.link(1);
  ASSERT_TRUE(l);
  p.gateway_hears.wait([&](const auto& links) {
    EXPECT_EQ(links.at(l->gateway).endpoint, 0u);
    EXPECT_EQ(links.at(l->gateway).address.rfind(plugin_of(GetParam()) + ":", 0), 0u);
    return true;
  });
  ASSERT_TRUE(p.pne->remove_endpoint(1));
  EXPECT_TRUE(p.gateway_hears.wait_for_links(0));
  EXPECT_TRUE(p.pne_hears.wait_for_links(0));
  EXPECT_NE(p.gateway_hears.reason(l->gateway), "");
  EXPECT_EQ(p.gateway->send(l->gateway, bytes(1)).error().code, errc::plugin_link);
}

TEST_P(citizen, carries_messages_of_every_size_in_both_directions) {
  for (const char* mtu : {"23", "64", "1026"}) {
    pair p{GetParam(), {{"mtu", mtu}}};
    p.add(1, 1);
    const auto l = p.link(1);
    ASSERT_TRUE(l);
    EXPECT_EQ(std::to_string(p.gateway->info().mtu), mtu);
    const std::size_t room = p.gateway->info().mtu - 2;
    std::vector<bytes> sent;
    for (const std::size_t size : {std::size_t{1}, room - 1, room, room + 1, 2 * room, 2 * room + 1,
                                   std::size_t{1023}, std::size_t{1024}})
      if (size <= 1024) sent.push_back(numbered(static_cast<std::uint32_t>(sent.size() + 1), size));
    for (const auto& m : sent) {
      ASSERT_TRUE(send_until_taken(*p.gateway, l->gateway, m));
      ASSERT_TRUE(send_until_taken(*p.pne, l->pne, m));
    }
    EXPECT_TRUE(p.pne_hears.wait([&](const auto& links) { return links.at(l->pne).messages == sent; }))
        << mtu;
    EXPECT_TRUE(p.gateway_hears.wait([&](const auto& links) {
      const auto& got = links.at(l->gateway).messages;  // the first one is the mark of pair::link
      return got.size() == sent.size() + 1 && std::equal(sent.begin(), sent.end(), got.begin() + 1);
    })) << mtu;
  }
}

TEST_P(citizen, keeps_two_hundred_links_apart) {
  constexpr std::size_t count = 200;
  pair p{GetParam()};
  p.add(1, count);
  ASSERT_TRUE(p.gateway_hears.wait_for_links(count));
  ASSERT_TRUE(p.pne_hears.wait_for_links(count));
  for (endpoint_id e = 1; e <= count; ++e) {
    const auto l = p.link(e);
    ASSERT_TRUE(l) << e;
    ASSERT_TRUE(p.gateway->send(l->gateway, numbered(static_cast<std::uint32_t>(e), 8)));
  }
  EXPECT_TRUE(p.pne_hears.wait([&](const auto& links) {
    for (const auto& [id, l] : links)
      if (l.messages != std::vector<bytes>{numbered(static_cast<std::uint32_t>(l.endpoint), 8)}) return false;
    return links.size() == count;
  }));
}

TEST_P(citizen, slows_a_flood_down_and_keeps_its_order) {
  constexpr std::uint32_t count = 5000;
  pair p{GetParam()};
  ASSERT_TRUE(p.gateway->info().reliable && p.gateway->info().ordered);
  p.add(1, 1);
  const auto l = p.link(1);
  ASSERT_TRUE(l);
  for (std::uint32_t i = 0; i < count; ++i)
    ASSERT_TRUE(send_until_taken(*p.gateway, l->gateway, numbered(i, 300))) << i;
  ASSERT_TRUE(p.pne_hears.wait([&](const auto& links) { return links.at(l->pne).messages.size() == count; }));
  const auto got = p.pne_hears.messages(l->pne);
  for (std::uint32_t i = 0; i < count; ++i) ASSERT_EQ(got[i], numbered(i, 300)) << i;
}

TEST_P(citizen, loses_no_message_when_several_threads_send) {
  constexpr std::uint32_t each = 500;
  pair p{GetParam()};
  p.add(1, 2);
  const auto one = p.link(1), two = p.link(2);
  ASSERT_TRUE(one && two);
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 2; ++t)
    threads.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < each; ++i) {
        if (!send_until_taken(*p.pne, one->pne, numbered(t * each + i, 600))) ++refused;
        if (!send_until_taken(*p.gateway, two->gateway, numbered(t * each + i, 600))) ++refused;
      }
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(refused, 0);
  EXPECT_TRUE(p.gateway_hears.wait(
      [&](const auto& links) { return links.at(one->gateway).messages.size() == 2 * each + 1; }));
  EXPECT_TRUE(
      p.pne_hears.wait([&](const auto& links) { return links.at(two->pne).messages.size() == 2 * each; }));
}

TEST_P(citizen, reports_a_disconnected_link_to_both_sides) {
  pair p{GetParam()};
  p.add(1, 2);
  const auto one = p.link(1), two = p.link(2);
  ASSERT_TRUE(one && two);
  p.gateway->disconnect(one->gateway);
  p.gateway->disconnect(one->gateway);
  p.gateway->disconnect(987'654);
  EXPECT_TRUE(p.gateway_hears.wait([&](const auto& links) { return !links.at(one->gateway).up; }));
  EXPECT_TRUE(p.pne_hears.wait([&](const auto& links) { return !links.at(one->pne).up; }));
  ASSERT_TRUE(p.gateway->send(two->gateway, bytes{42}));
  EXPECT_TRUE(p.pne_hears.wait([&](const auto& links) { return links.at(two->pne).messages.size() == 1; }));
}

TEST_P(citizen, finds_a_gateway_that_starts_later_or_restarts) {
  const auto m = meeting_of(GetParam());
  listener first_hears, second_hears, pne_hears;
  auto pne = open(GetParam(), transport_role::peripheral, m.peripheral, pne_hears);
  ASSERT_TRUE(pne && pne->add_endpoint(1, "early"));
  auto first = open(GetParam(), transport_role::central, m.central, first_hears);
  ASSERT_TRUE(first && first->scan(true));
  EXPECT_TRUE(pne_hears.wait_for_links(1));
  first->close();
  EXPECT_TRUE(pne_hears.wait_for_links(0));
  auto second = open(GetParam(), transport_role::central, m.central, second_hears);
  ASSERT_TRUE(second && second->scan(true));
  EXPECT_TRUE(second_hears.wait_for_links(1));
  pne->close();
  EXPECT_TRUE(second_hears.wait_for_links(0));
  second->close();
  EXPECT_EQ(first_hears.broken() + second_hears.broken() + pne_hears.broken(), "");
}

TEST_P(citizen, separates_networks) {
  pair p{GetParam()};
  listener stranger_hears;
  auto stranger =
      open(GetParam(), transport_role::peripheral, meeting_of(GetParam()).peripheral, stranger_hears);
  ASSERT_TRUE(stranger && stranger->add_endpoint(1, "stranger"));
  p.add(1, 1);
  ASSERT_TRUE(p.link(1));
  EXPECT_EQ(stranger_hears.up().size(), 0u);
  EXPECT_EQ(p.gateway_hears.up().size(), 1u);
  stranger->close();
}

TEST_P(citizen, refuses_calls_of_the_other_role) {
  pair p{GetParam()};
  EXPECT_FALSE(p.pne->scan(true));
  EXPECT_FALSE(p.gateway->add_endpoint(1, "x"));
  EXPECT_EQ(p.gateway->send(1, bytes(1)).error().code, errc::plugin_link);
}

TEST_P(citizen, ends_all_callbacks_when_it_is_closed_during_traffic) {
  for (int round = 0; round < 5; ++round) {
    pair p{GetParam()};
    p.add(1, 10);
    ASSERT_TRUE(p.gateway_hears.wait_for_links(10));
    ASSERT_TRUE(p.pne_hears.wait_for_links(10));
    std::atomic<bool> on{true};
    std::atomic<int> sent{0};
    std::thread gateway_sends{[&] {
      while (on)
        for (const auto l : p.gateway_hears.up()) sent += p.gateway->send(l, bytes(900)) ? 1 : 0;
    }};
    std::thread pne_sends{[&] {
      while (on)
        for (const auto l : p.pne_hears.up()) sent += p.pne->send(l, bytes(900)) ? 1 : 0;
    }};
    while (sent < 200) std::this_thread::yield();
    auto& closing = round % 2 == 0 ? p.gateway : p.pne;
    auto& hears = round % 2 == 0 ? p.gateway_hears : p.pne_hears;
    auto& other_hears = round % 2 == 0 ? p.pne_hears : p.gateway_hears;
    closing->close();
    const auto calls = hears.calls();
    EXPECT_TRUE(other_hears.wait_for_links(0)) << "the links go down at the other side";
    EXPECT_EQ(hears.calls(), calls) << "a callback after close";
    EXPECT_EQ(closing->send(1, bytes(1)).error().code, errc::state_stopping);
    on = false;
    gateway_sends.join();
    pne_sends.join();
  }
}

TEST_P(citizen, adds_and_removes_endpoints_while_others_send) {
  pair p{GetParam()};
  p.add(1, 1);
  const auto l = p.link(1);
  ASSERT_TRUE(l);
  for (endpoint_id e = 2; e < 40; ++e) {
    p.add(e, 1);
    if (e > 4) {
      ASSERT_TRUE(p.pne->remove_endpoint(e - 3));
    }
    ASSERT_TRUE(send_until_taken(*p.gateway, l->gateway, numbered(static_cast<std::uint32_t>(e), 100)));
  }
  EXPECT_TRUE(p.pne_hears.wait([&](const auto& links) { return links.at(l->pne).messages.size() == 38; }));
  EXPECT_TRUE(p.gateway_hears.wait_for_links(4));
  EXPECT_TRUE(p.pne_hears.wait_for_links(4));
}

}  // namespace
}  // namespace cpns::plugins
