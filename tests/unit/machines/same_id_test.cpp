// Two links that answer with one Entity ID: one device or two?
#include "protocol/pn_gw/same_id.hpp"

#include <gtest/gtest.h>

namespace cpns::test {
namespace {

using namespace protocol;

struct same_id : testing::Test {
  time_point now{seconds{1'790'000'000}};
  const entity_id entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  const gw_link one{1, 1}, two{1, 2}, other_radio{2, 3};
  same_id_watch watch;

  /// The answer of device `d` to DREQ number `exchange`.
  std::optional<gw_link> answer(gw_link link, std::uint8_t exchange, std::uint8_t d) {
    discovery_response r;
    r.entity = entity;
    r.gw_nonce_echo = {exchange};
    r.pne_nonce = {exchange, d};
    return watch.observe(now, link, entity, r);
  }
};

TEST_F(same_id, a_device_that_moves_or_repeats_itself_is_not_reported) {
  EXPECT_FALSE(answer(one, 1, 1));
  EXPECT_FALSE(answer(one, 1, 1));
  EXPECT_FALSE(answer(two, 1, 1)) << "the same bytes on its old and its new link";
  EXPECT_FALSE(answer(two, 2, 1));
  EXPECT_FALSE(answer(one, 3, 1));
}

TEST_F(same_id, two_answers_to_one_dreq_on_two_links_are_reported_once_per_hour) {
  EXPECT_FALSE(answer(one, 1, 1));
  EXPECT_EQ(answer(two, 1, 2), one);
  for (std::uint8_t i = 2; i < 60; ++i) {
    now += std::chrono::minutes{1};
    EXPECT_FALSE(answer(one, i, 1));
    EXPECT_FALSE(answer(two, i, 2));
  }
  now += std::chrono::minutes{2};
  EXPECT_FALSE(answer(two, 99, 2));
  EXPECT_EQ(answer(one, 99, 1), two);
}

TEST_F(same_id, a_device_with_two_radios_is_not_reported) {
  EXPECT_FALSE(answer(one, 1, 1));
  EXPECT_FALSE(answer(other_radio, 1, 2));
}

}  // namespace
}  // namespace cpns::test
