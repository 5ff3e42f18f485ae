#include <gtest/gtest.h>

#include "tests/unit/machines/harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;

TEST(detector, repeats_the_same_dreq_until_all_retries_are_used) {
  seeded_entropy random{5};
  time_point now{};
  detector d{gateway_id{{1}}, suite_symmetric, 1500ms, 2, std::nullopt, random, now};
  const auto first = d.poll_send(now);
  ASSERT_TRUE(first);
  EXPECT_FALSE(d.poll_send(now));
  EXPECT_EQ(d.next_deadline(), now + 1500ms);
  for (int i = 0; i < 2; ++i) {
    now = d.next_deadline();
    EXPECT_FALSE(d.exhausted(now));
    EXPECT_EQ(d.poll_send(now), first);
  }
  EXPECT_FALSE(d.exhausted(now));
  now = d.next_deadline();
  EXPECT_TRUE(d.exhausted(now));
  EXPECT_FALSE(d.poll_send(now));
}

TEST(detector, accepts_only_an_answer_that_echoes_its_nonce) {
  seeded_entropy random{5};
  detector d{gateway_id{{1}}, suite_x25519, 1500ms, 2, nonce16{}, random, time_point{}};
  const auto request = std::get<discovery_request>(*decode_radio(*d.poll_send(time_point{})));
  EXPECT_EQ(request.suites, std::vector<std::uint8_t>{suite_x25519});
  EXPECT_TRUE(request.issuer_nonce);
  discovery_response r;
  r.entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  r.pne_share = share32{};
  std::string why;
  EXPECT_FALSE(d.handle_frame(encode(r), why));
  EXPECT_FALSE(d.handle_frame(bytes{1, 2, 3}, why));
  EXPECT_FALSE(d.handle_frame(encode(pne_notice{}), why));
  r.gw_nonce_echo = first<4>(request.gw_nonce);
  const auto found = d.handle_frame(encode(r), why);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->entity, r.entity);
  EXPECT_EQ(found->drsp, encode(r));
}

}  // namespace
}  // namespace cpns::test
