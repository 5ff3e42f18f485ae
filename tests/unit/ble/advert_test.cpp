// Advertisements: encoding and decoding.

#include "transports/ble/advert.hpp"

#include <gtest/gtest.h>

namespace cpns::ble {
namespace {

using data = std::vector<std::uint8_t>;

TEST(advert, is_encoded_as_in_the_protocol_page) {
  EXPECT_EQ(encode({.channel = true, .gatt = false, .psm = 0xC5, .tag = 0x1234}),
            (data{'C', 'P', 0x11, 0xC5, 0x12, 0x34}));
  EXPECT_EQ(encode({.channel = true, .gatt = true, .psm = 0x80, .tag = 1}),
            (data{'C', 'P', 0x13, 0x80, 0, 1}));
}

TEST(advert, is_decoded_as_it_was_encoded) {
  const auto a = decode(encode({.channel = true, .gatt = true, .psm = 0xFF, .tag = 0xBEEF}));
  ASSERT_TRUE(a);
  EXPECT_TRUE(a->channel);
  EXPECT_TRUE(a->gatt);
  EXPECT_EQ(a->psm, 0xFF);
  EXPECT_EQ(a->tag, 0xBEEF);
}

TEST(advert, is_refused_when_its_data_is_invalid) {
  EXPECT_FALSE(decode({}));
  EXPECT_FALSE(decode(data{'C', 'P', 0x11, 0xC5, 0}));
  EXPECT_FALSE(decode(data{'C', 'Q', 0x11, 0xC5, 0, 0}));
  EXPECT_FALSE(decode(data{'C', 'P', 0x21, 0xC5, 0, 0})) << "another version";
  EXPECT_FALSE(decode(data{'C', 'P', 0x10, 0xC5, 0, 0})) << "no way";
  EXPECT_FALSE(decode(data{'C', 'P', 0x11, 0x7F, 0, 0})) << "no dynamic PSM";
}

TEST(advert, is_decoded_when_a_later_minor_version_sent_it) {
  EXPECT_TRUE(decode(data{'C', 'P', 0x1D, 0xC5, 0, 0, 9, 9, 9}));
  const auto only_gatt = decode(data{'C', 'P', 0x13, 0, 0, 0});
  ASSERT_TRUE(only_gatt);
  EXPECT_FALSE(only_gatt->channel);
}

}  // namespace
}  // namespace cpns::ble
