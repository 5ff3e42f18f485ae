// The meaning of each element of the radio link, and the texts of errors.

#include <gtest/gtest.h>

#include "base/cbor.hpp"
#include "tests/unit/protocol/codec_samples.hpp"

namespace cpns::protocol {
namespace {

discovery_response keyed_answer() {
  const auto m = decode_radio(samples::radio()[2].encoded);
  return std::get<discovery_response>(*m);
}

TEST(codec_radio, values_survive_decoding) {
  const auto m = keyed_answer();
  EXPECT_EQ(m.entity.text(), "urn:dev:mac:0024befffe804ff1");
  EXPECT_EQ(m.suite, suite_x25519);
  EXPECT_EQ(m.highest, (epoch{3, 7}));
  EXPECT_EQ(m.resets, 300u);
  EXPECT_TRUE(m.pne_share && m.possession && m.presence);
  const auto dreq = std::get<discovery_request>(*decode_radio(samples::radio()[0].encoded));
  EXPECT_EQ(dreq.suites, (std::vector<std::uint8_t>{1, 2, 200}));
  EXPECT_EQ(dreq.version, 1);
}

TEST(codec_radio, first_eight_are_the_beginning_of_the_message) {
  const auto m = keyed_answer();
  const auto whole = encode(m), eight = encode_first_eight(m);
  EXPECT_EQ(eight[0], 0x88);
  EXPECT_EQ(whole[0], 0x8a);
  EXPECT_EQ(to_hex(byte_view{eight}.subspan(1)), to_hex(byte_view{whole}.subspan(1, eight.size() - 1)));
  EXPECT_EQ(whole.size() - eight.size(), 2u * 17u);
}

TEST(codec_radio, errors_name_the_element) {
  auto m = keyed_answer();
  m.pne_share.reset();
  const auto r = decode_radio(encode(m));
  ASSERT_FALSE(r.has_value());
  EXPECT_NE(r.error().detail.find("DRSP.pne_share"), std::string::npos) << r.error().detail;
  auto cut = samples::radio()[3].encoded;
  cut.resize(10);
  const auto c = decode_radio(cut);
  ASSERT_FALSE(c.has_value());
  EXPECT_NE(c.error().detail.find("KDEL.gw_share"), std::string::npos) << c.error().detail;
}

TEST(codec_radio, reports_suites_that_do_not_ascend) {
  auto out = samples::radio()[0].encoded;  // ... 01 02 18 c8
  std::swap(out[out.size() - 4], out[out.size() - 3]);
  const auto refused = decode_radio(out);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::wire_order);
  EXPECT_EQ(refused.error().message(), "the elements are not strictly ascending: DREQ.suites: 1 follows 2");
}

TEST(codec_radio, accepts_a_ciphertext_of_16_to_512_bytes) {
  for (const auto& [size, fits] : {std::pair{15, false}, {16, true}, {512, true}, {513, false}}) {
    const auto r =
        decode_radio(encode(key_delivery{epoch{1, 0}, false, {}, bytes(static_cast<std::size_t>(size))}));
    EXPECT_EQ(r.has_value(), fits) << size;
  }
}

TEST(codec_radio, the_largest_message_fits_its_bound) {
  EXPECT_LE(encode(key_delivery{epoch::from_value(epoch::max_value), true, {}, bytes(512)}).size(),
            radio_message_max);
  auto m = keyed_answer();
  m.entity = *entity_id::parse("urn:dev:os:32473-" + std::string(47, 'x'));
  m.highest = epoch::from_value(epoch::max_value);
  m.resets = UINT64_MAX;
  EXPECT_LE(encode(m).size(), 256u);
}

TEST(codec_radio, delivery_content_survives_and_damage_is_refused) {
  delivery_content c;
  for (auto& b : c.eukey.expose_mutable()) b = 7;
  c.owner.value[0] = 9;
  c.rekey_seconds = 3600;
  const auto plain = encode(c);
  const auto back = decode_delivery_content(plain.expose());
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(back->eukey == c.eukey);
  EXPECT_EQ(back->owner, c.owner);
  EXPECT_EQ(back->rekey_seconds, 3600u);
  for (std::size_t n = 0; n < plain.size(); ++n)
    EXPECT_EQ(decode_delivery_content(plain.expose().first(n)).error().code, errc::wire_truncated) << n;
  auto longer = to_bytes(plain.expose());
  longer.push_back(0);
  EXPECT_EQ(decode_delivery_content(longer).error().code, errc::wire_trailing);
  const auto large =
      cbor::writer{}.array(3).bstr(bytes(32)).bstr(bytes(16)).uint(std::uint64_t{1} << 32).take();
  EXPECT_EQ(decode_delivery_content(large).error().code, errc::wire_range);
}

}  // namespace
}  // namespace cpns::protocol
