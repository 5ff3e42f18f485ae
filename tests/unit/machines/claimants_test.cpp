// Refused claimants: growing waits, a bound, and one request to the server per second and entity.
#include <algorithm>

#include <gtest/gtest.h>

#include "protocol/pn_gw/claimants.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;

struct refused_claimants : testing::Test {
  claimants book;
  seeded_entropy random{1};
  entity_id entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  entity_id other = *entity_id::parse("urn:dev:mac:0024befffe804ff2");
  time_point now{milliseconds{1'790'000'000'000}};
};

TEST_F(refused_claimants, a_wait_doubles_up_to_the_longest_and_is_forgotten_when_the_claim_is_accepted) {
  milliseconds last{0};
  for (int i = 0; i < 12; ++i) {
    book.refused(now, entity, "0 a", {2s, 300s, 0s}, random);
    const auto wait = book.not_before(entity, "0 a") - now;
    EXPECT_GE(wait, std::min<milliseconds>(150s, 1s * (1 << i))) << i;
    EXPECT_LE(wait, 300s);
    last = wait;
    now += wait;
  }
  EXPECT_GE(last, 150s);
  EXPECT_EQ(book.refusals(entity, "0 a"), 12u);
  EXPECT_EQ(book.refusals(entity, "0 b"), 0u) << "another claimant of the same entity does not wait";
  EXPECT_EQ(book.refusals(other, "0 a"), 0u);
  book.accepted(entity, "0 a");
  EXPECT_LE(book.not_before(entity, "0 a"), now);
  EXPECT_EQ(book.size(), 0u);
}

TEST_F(refused_claimants, a_wait_is_at_least_that_of_the_server) {
  book.refused(now, entity, "0 a", {2s, 300s, 1000s}, random);
  EXPECT_EQ(book.not_before(entity, "0 a"), now + 1000s);
}

TEST_F(refused_claimants, the_table_is_bounded_and_forgets_claimants_whose_wait_is_over) {
  claimants small{10};
  for (int i = 0; i < 1000; ++i)
    small.refused(now + milliseconds{i}, entity, "0 " + std::to_string(i), {2s, 300s, 0s}, random);
  EXPECT_EQ(small.size(), 10u);
  small.refused(now + 1h, entity, "0 x", {2s, 300s, 0s}, random);
  EXPECT_EQ(small.size(), 1u);
}

TEST_F(refused_claimants, one_request_per_second_and_entity_is_granted) {
  EXPECT_TRUE(book.take_request(now, entity));
  EXPECT_FALSE(book.take_request(now + 999ms, entity));
  EXPECT_EQ(book.next_request(now + 999ms, entity), now + 1s);
  EXPECT_TRUE(book.take_request(now + 999ms, other));
  EXPECT_TRUE(book.take_request(now + 1s, entity));
}

TEST_F(refused_claimants, an_address_loses_its_port_and_nothing_else) {
  EXPECT_EQ(without_port("10.0.0.7:4711"), "10.0.0.7");
  EXPECT_EQ(without_port("tcp:10.0.0.7:4711"), "tcp:10.0.0.7");
  EXPECT_EQ(without_port("tcp:[fe80::1]:4711"), "tcp:[fe80::1]");
  EXPECT_EQ(without_port("ble:AA:BB:CC:DD:EE:11"), "ble:AA:BB:CC:DD:EE:11");
  EXPECT_EQ(without_port("loopback:3/1"), "loopback:3/1");
  EXPECT_EQ(without_port("[fe80::1%eth0]:4711"), "[fe80::1%eth0]");
  EXPECT_EQ(without_port("AA:BB:CC:DD:EE:11"), "AA:BB:CC:DD:EE:11");
  EXPECT_EQ(without_port("fe80::1"), "fe80::1");
  EXPECT_EQ(without_port("headset"), "headset");
  EXPECT_EQ(without_port(""), "");
  EXPECT_NE(claimant_of(0, "a"), claimant_of(1, "a"));
}

}  // namespace
}  // namespace cpns::test
