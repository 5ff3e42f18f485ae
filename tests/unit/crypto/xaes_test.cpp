#include "crypto/xaes.hpp"

#include <openssl/evp.h>

#include <memory>

#include "crypto_test.hpp"

namespace cpns::crypto {
namespace {

byte_array<24> letters() { return first<24>(as_bytes("ABCDEFGHIJKLMNOPQRSTUVWX")); }

/// SHAKE-128 of `m`, `n` bytes long.
bytes shake128(byte_view m, std::size_t n) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> ctx{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  bytes out(n);
  EXPECT_EQ(EVP_DigestInit_ex(ctx.get(), EVP_shake128(), nullptr), 1);
  EXPECT_EQ(EVP_DigestUpdate(ctx.get(), m.data(), m.size()), 1);
  EXPECT_EQ(EVP_DigestFinalXOF(ctx.get(), out.data(), out.size()), 1);
  return out;
}

TEST(xaes, agrees_with_the_vectors_of_c2sp) {
  const auto nonce = to_hex(letters());
  EXPECT_EQ(to_hex(xaes_seal_with(filled(1), letters(), {}, as_bytes("XAES-256-GCM"))),
            nonce + "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  // The highest bit of L is set here, so the reduction applies.
  EXPECT_EQ(to_hex(xaes_seal_with(filled(3), letters(), as_bytes("c2sp.org/XAES-256-GCM"),
                                  as_bytes("XAES-256-GCM"))),
            nonce + "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

TEST(xaes, agrees_with_the_accumulated_vectors_of_c2sp) {
  const auto stream = shake128({}, std::size_t{10'000} * (32 + 24 + 2 + 255 + 255));
  ASSERT_EQ(to_hex(byte_view{stream}.first(16)), "7f9c2ba4e88f827d616045507605853e");
  byte_view rest{stream};
  const auto take = [&](std::size_t n) {
    const auto out = rest.first(n);
    rest = rest.subspan(n);
    return out;
  };
  bytes all;
  for (int i = 0; i < 10'000; ++i) {
    const secret32 key{take(32).first<32>()};
    const auto nonce = first<24>(take(24));
    const auto plain = take(take(1)[0]);
    const auto aad = take(take(1)[0]);
    const auto sealed = xaes_seal_with(key, nonce, aad, plain);
    all.insert(all.end(), sealed.begin() + 24, sealed.end());
    const auto opened = xaes_open(key, aad, sealed);
    ASSERT_TRUE(opened) << i;
    ASSERT_TRUE(equal(opened->expose(), plain)) << i;
  }
  EXPECT_EQ(to_hex(shake128(all, 32)), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

TEST(xaes, seals_and_opens_many_records_with_a_key_that_stays) {
  xaes_key kept{filled(3)};
  for (std::size_t n = 0; n < 300; ++n) {
    const auto nonce = system_entropy().draw<xaes_nonce_size>();
    const bytes plain(n, static_cast<std::uint8_t>(n)), aad(n % 7, 1);
    bytes record(nonce.begin(), nonce.end());
    record.insert(record.end(), plain.begin(), plain.end());
    record.resize(n + xaes_overhead);
    kept.seal(aad, record);
    ASSERT_EQ(record, xaes_seal_with(filled(3), nonce, aad, plain)) << n;
    bytes opened(n);
    ASSERT_TRUE(kept.open(aad, record, opened)) << n;
    ASSERT_EQ(opened, plain);
    record.back() ^= 1;
    ASSERT_FALSE(kept.open(aad, record, opened)) << n;
    ASSERT_EQ(opened, bytes(n)) << "plaintext with a wrong tag must not stay";
    if (n % 5 == 0) kept.forget_record();
  }
}

TEST(xaes, never_uses_a_nonce_twice) {
  const auto a = xaes_seal(filled(1), system_entropy(), {}, as_bytes("row"));
  const auto b = xaes_seal(filled(1), system_entropy(), {}, as_bytes("row"));
  EXPECT_EQ(a.size(), 3 + xaes_overhead);
  EXPECT_FALSE(equal(byte_view{a}.first(24), byte_view{b}.first(24)));
}

TEST(xaes, refuses_any_change) {
  const auto aad = as_bytes("table, row");
  const auto sealed = xaes_seal(filled(1), system_entropy(), aad, as_bytes("a row"));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto changed = sealed;
    changed[i] ^= 0x80;
    const auto opened = xaes_open(filled(1), aad, changed);
    ASSERT_FALSE(opened) << i;
    EXPECT_EQ(opened.error().code, errc::crypto_open_failed);
  }
  for (std::size_t n = 0; n < sealed.size(); ++n)
    EXPECT_FALSE(xaes_open(filled(1), aad, byte_view{sealed}.first(n))) << n;
  EXPECT_FALSE(xaes_open(filled(2), aad, sealed));
  EXPECT_FALSE(xaes_open(filled(1), as_bytes("another row"), sealed));
  EXPECT_TRUE(xaes_open(filled(1), aad, sealed));
}

TEST(xaes, seals_an_empty_row_as_nonce_and_tag) {
  const auto sealed = xaes_seal(filled(1), system_entropy(), {}, {});
  EXPECT_EQ(sealed.size(), xaes_overhead);
  const auto opened = xaes_open(filled(1), {}, sealed);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->empty());
}

}  // namespace
}  // namespace cpns::crypto
