// Published vectors of every primitive, and the edge cases of the interface.

#include <thread>

#include "crypto/hmac_key.hpp"
#include "crypto_test.hpp"

namespace cpns::crypto {
namespace {

std::string expanded(const secret32& prk, std::string_view info, std::size_t n) {
  bytes out(n);
  s.expand(prk, hex(info), out);
  return to_hex(out);
}

TEST(sha256, agrees_with_the_examples_of_fips_180) {
  EXPECT_EQ(to_hex(s.sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(s.sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(s.sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(hmac, agrees_with_rfc_4231) {
  EXPECT_EQ(shown(s.hmac(bytes(20, 0x0b), as_bytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(shown(s.hmac(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(shown(s.hmac(bytes(20, 0xaa), bytes(50, 0xdd))),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(shown(s.hmac(hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), bytes(50, 0xcd))),
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  EXPECT_EQ(
      shown(s.hmac(bytes(131, 0xaa), as_bytes("Test Using Larger Than Block-Size Key - Hash Key First"))),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(hmac, does_not_take_an_empty_key_as_the_former_one) {
  const auto empty = s.hmac({}, as_bytes("message"));
  (void)s.hmac(bytes(32, 7), as_bytes("message"));
  EXPECT_EQ(s.hmac({}, as_bytes("message")), empty);
  EXPECT_NE(s.hmac(bytes(32, 7), as_bytes("message")), empty);
  EXPECT_EQ(shown(s.hmac({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(hmac, is_the_same_with_a_key_that_stays) {
  hmac_key one{filled(1)}, other{filled(2)};
  byte_array<32> tag{};
  for (std::size_t n = 0; n < 200; ++n) {
    const bytes message(n, static_cast<std::uint8_t>(n));
    one.tag(message, tag);
    ASSERT_EQ(to_hex(tag), shown(s.hmac(filled(1).expose(), message))) << n;
    other.tag(message, tag);
    ASSERT_EQ(to_hex(tag), shown(s.hmac(filled(2).expose(), message))) << n;
  }
}

TEST(hkdf, agrees_with_rfc_5869_case_1) {
  const auto prk = s.extract(hex("000102030405060708090a0b0c"), bytes(22, 0x0b));
  EXPECT_EQ(shown(prk), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  EXPECT_EQ(expanded(prk, "f0f1f2f3f4f5f6f7f8f9", 42),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST(hkdf, agrees_with_rfc_5869_case_2_of_several_blocks) {
  bytes ikm(80), salt(80), info(80);
  std::iota(ikm.begin(), ikm.end(), std::uint8_t{0x00});
  std::iota(salt.begin(), salt.end(), std::uint8_t{0x60});
  std::iota(info.begin(), info.end(), std::uint8_t{0xb0});
  const auto prk = s.extract(salt, ikm);
  EXPECT_EQ(shown(prk), "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244");
  EXPECT_EQ(expanded(prk, to_hex(info), 82),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

TEST(hkdf, agrees_with_rfc_5869_case_3_of_empty_salt_and_info) {
  const auto prk = s.extract({}, bytes(22, 0x0b));
  EXPECT_EQ(shown(prk), "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
  EXPECT_EQ(expanded(prk, "", 42),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST(hkdf, the_longest_output_begins_like_a_short_one) {
  EXPECT_EQ(expanded(filled(1), "00", 255 * 32).substr(0, 200), expanded(filled(1), "00", 100));
  EXPECT_DEATH(expanded(filled(1), "00", 255 * 32 + 1), "1 to 8160 bytes");
}

TEST(pbkdf2, agrees_with_the_first_block_of_rfc_7914_section_11) {
  EXPECT_EQ(shown(s.pbkdf2(as_bytes("passwd"), as_bytes("salt"), 1)),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
  EXPECT_EQ(shown(s.pbkdf2(as_bytes("Password"), as_bytes("NaCl"), 80000)),
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

// The GCM specification of McGrew and Viega, test cases 13 to 16.
TEST(gcm, agrees_with_the_published_cases_13_to_16) {
  const byte_array<12> zero{};
  EXPECT_EQ(to_hex(s.gcm_seal(filled(0), zero, {}, {})), "530f8afbc74536b9a963b4f1c4cb738b");
  EXPECT_EQ(to_hex(s.gcm_seal(filled(0), zero, {}, bytes(16, 0))),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
  const auto key = hex_secret("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
  const auto nonce = hex_array<12>("cafebabefacedbaddecaf888");
  const auto plain =
      hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
          "b16aedf5aa0de657ba637b391aafd255");
  const std::string cipher =
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
      "c5f61e6393ba7a0abcc9f662898015ad";
  EXPECT_EQ(to_hex(s.gcm_seal(key, nonce, {}, plain)), cipher + "b094dac5d93471bdec1a502270e3cc6c");
  const auto aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const auto sealed = s.gcm_seal(key, nonce, aad, byte_view{plain}.first(60));
  EXPECT_EQ(to_hex(sealed), cipher.substr(0, 120) + "76fc6ece0f4e1768cddf8853bb2d551b");
  const auto opened = s.gcm_open(key, nonce, aad, sealed);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(equal(opened->expose(), byte_view{plain}.first(60)));
}

TEST(gcm, refuses_any_change) {
  const auto nonce = hex_array<12>("cafebabefacedbaddecaf888");
  const auto aad = hex("0102");
  const auto sealed = s.gcm_seal(filled(5), nonce, aad, as_bytes("thirty-two bytes of some content"));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto changed = sealed;
    changed[i] ^= 1;
    EXPECT_EQ(s.gcm_open(filled(5), nonce, aad, changed).error().code, errc::crypto_open_failed) << i;
  }
  for (std::size_t n = 0; n < sealed.size(); ++n)
    EXPECT_FALSE(s.gcm_open(filled(5), nonce, aad, byte_view{sealed}.first(n))) << n;
  EXPECT_FALSE(s.gcm_open(filled(6), nonce, aad, sealed));
  EXPECT_FALSE(s.gcm_open(filled(5), byte_array<12>{}, aad, sealed));
  EXPECT_FALSE(s.gcm_open(filled(5), nonce, {}, sealed));
  EXPECT_TRUE(s.gcm_open(filled(5), nonce, aad, sealed)) << "a context must recover from a failure";
}

TEST(x25519, agrees_with_rfc_7748_section_5_2) {
  const auto out =
      s.x25519(hex_secret("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
               hex_array<32>("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"));
  ASSERT_TRUE(out);
  EXPECT_EQ(shown(*out), "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
  // The top bit of a public key is ignored.
  const auto high =
      s.x25519(hex_secret("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
               hex_array<32>("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"));
  ASSERT_TRUE(high);
  EXPECT_EQ(shown(*high), "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957");
}

TEST(x25519, agrees_with_rfc_7748_section_6_1) {
  const auto alice = hex_secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const auto bob = hex_secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  const auto alice_public = s.x25519_public(alice), bob_public = s.x25519_public(bob);
  EXPECT_EQ(to_hex(alice_public), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(bob_public), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const auto ab = s.x25519(alice, bob_public), ba = s.x25519(bob, alice_public);
  ASSERT_TRUE(ab && ba);
  EXPECT_EQ(shown(*ab), "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(*ab, *ba);
}

TEST(x25519, gives_both_ends_the_same_secret) {
  auto& random = system_entropy();
  const auto a = s.x25519_generate(random), b = s.x25519_generate(random);
  const auto ab = s.x25519(a.private_key, b.public_key), ba = s.x25519(b.private_key, a.public_key);
  ASSERT_TRUE(ab && ba);
  EXPECT_EQ(*ab, *ba);
  EXPECT_NE(*ab, secret32{});
}

// Points of small order, from https://cr.yp.to/ecdh.html#validate.
TEST(x25519, refuses_points_of_small_order) {
  for (const auto* point : {"0000000000000000000000000000000000000000000000000000000000000000",
                            "0100000000000000000000000000000000000000000000000000000000000000",
                            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    const auto out = s.x25519(filled(9), hex_array<32>(point));
    ASSERT_FALSE(out) << point;
    EXPECT_EQ(out.error().code, errc::crypto_weak);
  }
}

TEST(suite, threads_do_not_disturb_each_other) {
  const auto expected = s.hmac(bytes(32, 1), as_bytes("m"));
  std::vector<std::thread> threads;
  std::array<bool, 4> good{};
  for (std::size_t t = 0; t < good.size(); ++t)
    threads.emplace_back([&, t] {
      bool all = true;
      for (int i = 0; i < 500; ++i) {
        const auto sealed = s.gcm_seal(filled(static_cast<std::uint8_t>(t)), {}, {}, as_bytes("text"));
        all = all && s.gcm_open(filled(static_cast<std::uint8_t>(t)), {}, {}, sealed) &&
              s.hmac(bytes(32, 1), as_bytes("m")) == expected;
      }
      good[t] = all;
    });
  for (auto& t : threads) t.join();
  for (bool g : good) EXPECT_TRUE(g);
}

}  // namespace
}  // namespace cpns::crypto
