#include "crypto/key_schedule.hpp"

#include "crypto_test.hpp"

namespace cpns::crypto {
namespace {

// One exchange from end to end; Python's hashlib and hmac computed the expected values from docs/protocol.md.
struct key_schedule : testing::Test {
  entity_id entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  bytes tk = hex("000102030405060708090a0b0c0d0e0f");
  gateway_id gw = derive_gateway_id(s, gateway_kind::x509, "urn:cpns:gw:hall");
  secret32 tk_prime = derive_temporary_key(s, entity, tk);
  secret32 k_pres = derive_presence_key(s, tk_prime);
  secret32 tkg = derive_gateway_temporary_key(s, tk_prime, gw, 70000);
  secret32 eukey = filled(0x42);
  digest th1 = transcript1(s, hex("010203"), bytes(30, 4));
  tag16 possession = possession_tag(s, eukey, th1);
  tag16 presence = presence_tag(s, k_pres, th1, possession);
  byte_array<32> gw_share = hex_array<32>(std::string(64, '3'));
  digest th2 = transcript2(s, th1, possession, presence, epoch{70000, 5}, true, gw_share);
  secret32 chain = derive_chain(s, eukey, gw, 70000);
};

TEST_F(key_schedule, gives_gateway_ids_of_each_kind) {
  EXPECT_EQ(gw.hex(), "19ee575de34f8f91668c9b2fd8511057");
  EXPECT_EQ(derive_gateway_id(s, gateway_kind::psk, "urn:cpns:gw:hall").hex(),
            "229959aac1789355e4914fbf02b45d08");
  EXPECT_EQ(derive_gateway_id(s, gateway_kind::gba, "urn:cpns:gw:hall").hex(),
            "a084071ff157e00af190a814f3b3f7ed");
}

TEST_F(key_schedule, gives_an_issuer_nonce_per_slot) {
  EXPECT_EQ(to_hex(derive_issuer_nonce(s, filled(0x21), gw, 29'000'000)), "1bb3257cf67c115f65caf469a61a0957");
  EXPECT_NE(derive_issuer_nonce(s, filled(0x21), gw, 29'000'001),
            derive_issuer_nonce(s, filled(0x21), gw, 29'000'000));
}

TEST_F(key_schedule, gives_the_forms_of_a_temporary_key) {
  EXPECT_EQ(shown(tk_prime), "3b512401d1526c75bbc67657340b01f7bb05f3be06ddc21085383c71b2d6ec37");
  EXPECT_EQ(shown(stretch_temporary_key(s, entity, tk)),
            "b6654cd7c0480763f216191406ab783864b540ac72961da185c945884f4569af");
  EXPECT_EQ(shown(k_pres), "0b474b4b18d958200d8e09911f1d6c17acf98a2851b06f0b7f5cec82b4518d67");
  EXPECT_EQ(shown(tkg), "3f7af686554bac74724332c2f477c76601a731d23c5c9c036400c0f0d72b56e9");
}

TEST_F(key_schedule, gives_transcripts_and_tags) {
  EXPECT_EQ(to_hex(th1), "6d8fff1556a344e672455d9c8548e4f3b4928596f346887797e8a0bd0d044a01");
  EXPECT_EQ(possession.hex(), "ea95eea9c47684d74e14d37dc4b6b987");
  EXPECT_EQ(presence.hex(), "188397f9a7ae6e5dd14c208b4f91b423");
  EXPECT_EQ(to_hex(th2), "8b499b951d11ba340e3754832e1471576b67e10521303b28c76fd3e9c7549d9f");
  EXPECT_EQ(confirm_tag(s, eukey, th2).hex(), "3ed192e186964cd0459c04d6c386d05e");
  EXPECT_EQ(retire_tag(s, eukey, th1).hex(), "2ac75e437903326fb2d81110e250e6f0");
}

TEST_F(key_schedule, encodes_absent_tags_as_null) {
  EXPECT_EQ(presence_tag(s, k_pres, th1, std::nullopt).hex(), "4e29a47e13acd952d8cf92c723e07c04");
  EXPECT_EQ(to_hex(transcript2(s, th1, std::nullopt, std::nullopt, epoch{1, 0}, false, gw_share)),
            "cbe73bcfc7c035de983a53f5242e349d2230b6b6d67e96f87b3f7148ffa3c1e4");
}

TEST_F(key_schedule, gives_a_delivery_key) {
  EXPECT_EQ(shown(chain), "bc023f17152604097a7a34985fafb55ffda8ebfe8440563a83a2192ac2ee72a3");
  const auto d = derive_delivery_key(s, th2, tkg, filled(0x77), chain);
  EXPECT_EQ(shown(d.key), "199b1d14ed28af69e6c183e7f2924b4e533f051f352c34752da64b2b1b47ea4e");
  EXPECT_EQ(to_hex(d.nonce), "02feb8dac96f765d045b6a4d");
}

TEST_F(key_schedule, needs_every_secret_for_a_delivery_key) {
  const auto d = derive_delivery_key(s, th2, tkg, filled(0x77), chain);
  EXPECT_NE(derive_delivery_key(s, th1, tkg, filled(0x77), chain).key, d.key);
  EXPECT_NE(derive_delivery_key(s, th2, tk_prime, filled(0x77), chain).key, d.key);
  EXPECT_NE(derive_delivery_key(s, th2, tkg, filled(0), chain).key, d.key);
  EXPECT_NE(derive_delivery_key(s, th2, tkg, filled(0x77), filled(0)).key, d.key);
  EXPECT_NE(derive_delivery_key(s, th2, filled(0x77), tkg, chain).key, d.key) << "the order matters";
}

TEST_F(key_schedule, gives_another_key_to_another_gateway_or_generation) {
  const auto other = derive_gateway_id(s, gateway_kind::x509, "urn:cpns:gw:attic");
  EXPECT_NE(derive_gateway_temporary_key(s, tk_prime, other, 70000), tkg);
  EXPECT_NE(derive_gateway_temporary_key(s, tk_prime, gw, 70001), tkg);
  EXPECT_NE(derive_chain(s, eukey, other, 70000), chain);
  EXPECT_NE(derive_chain(s, eukey, gw, 70001), chain);
}

TEST_F(key_schedule, covers_every_element_by_the_second_transcript) {
  EXPECT_NE(transcript2(s, th2, possession, presence, epoch{70000, 5}, true, gw_share), th2);
  EXPECT_NE(transcript2(s, th1, std::nullopt, presence, epoch{70000, 5}, true, gw_share), th2);
  EXPECT_NE(transcript2(s, th1, possession, std::nullopt, epoch{70000, 5}, true, gw_share), th2);
  EXPECT_NE(transcript2(s, th1, presence, possession, epoch{70000, 5}, true, gw_share), th2);
  EXPECT_NE(transcript2(s, th1, possession, presence, epoch{70000, 6}, true, gw_share), th2);
  EXPECT_NE(transcript2(s, th1, possession, presence, epoch{70000, 5}, false, gw_share), th2);
  EXPECT_NE(transcript2(s, th1, possession, presence, epoch{70000, 5}, true, {}), th2);
}

TEST_F(key_schedule, gives_different_tags_for_different_uses_of_one_key) {
  EXPECT_NE(possession_tag(s, eukey, th1), retire_tag(s, eukey, th1));
  EXPECT_NE(confirm_tag(s, eukey, th1), retire_tag(s, eukey, th1));
  EXPECT_NE(possession_tag(s, eukey, th1), confirm_tag(s, eukey, th1));
}

}  // namespace
}  // namespace cpns::crypto
