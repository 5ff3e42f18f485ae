#include "crypto/scram.hpp"

#include "crypto_test.hpp"

namespace cpns::crypto {
namespace {

// The example of RFC 7677 section 3: user "user", password "pencil".
constexpr std::string_view rfc_auth_message =
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

secret32 rfc_client_key() {
  return scram_client_key(s, as_bytes("pencil"), *from_base64("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
}

TEST(scram, agrees_with_the_example_of_rfc_7677) {
  const auto proof = scram_proof(s, rfc_client_key(), as_bytes(rfc_auth_message));
  EXPECT_EQ(to_base64(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_TRUE(scram_verify(s, scram_stored_key(s, rfc_client_key()), as_bytes(rfc_auth_message), proof));
}

TEST(scram, a_proof_holds_for_one_message_and_one_key_and_with_every_bit) {
  const auto stored = scram_stored_key(s, rfc_client_key());
  const auto message = as_bytes(rfc_auth_message);
  const auto proof = scram_proof(s, rfc_client_key(), message);
  for (std::size_t i = 0; i < proof.size(); ++i) {
    auto changed = proof;
    changed[i] ^= 1;
    EXPECT_FALSE(scram_verify(s, stored, message, changed)) << i;
  }
  EXPECT_FALSE(scram_verify(s, stored, message.first(message.size() - 1), proof));
  EXPECT_FALSE(scram_verify(s, s.sha256({}), message, proof));
  // StoredKey alone, as in a stolen database, cannot make a proof.
  EXPECT_FALSE(scram_verify(s, stored, message, scram_proof(s, secret32{stored}, message)));
}

TEST(scram, the_client_key_depends_on_password_salt_and_count) {
  const auto key = scram_client_key(s, as_bytes("pencil"), as_bytes("salt of sixteen."), 10);
  EXPECT_NE(scram_client_key(s, as_bytes("Pencil"), as_bytes("salt of sixteen."), 10), key);
  EXPECT_NE(scram_client_key(s, as_bytes("pencil"), as_bytes("salt of sixteen!"), 10), key);
  EXPECT_NE(scram_client_key(s, as_bytes("pencil"), as_bytes("salt of sixteen."), 11), key);
}

TEST(scram, the_message_binds_connection_and_request) {
  const auto hash = s.sha256(as_bytes("request"));
  const auto message = scram_auth_message(filled(0x11), hash);
  EXPECT_EQ(to_hex(message),
            "836c63706e732f312070726f6f665820" + std::string(64, '1') + "5820" + to_hex(hash));
  EXPECT_NE(scram_auth_message(filled(0x12), hash), message);
}

TEST(scram, a_fake_salt_is_stable_and_differs_by_name_and_key) {
  const auto ada = *user_id::parse("ada@example.org"), bob = *user_id::parse("bob@example.org");
  EXPECT_EQ(scram_fake_salt(s, filled(1), ada), scram_fake_salt(s, filled(1), ada));
  EXPECT_NE(scram_fake_salt(s, filled(1), ada), scram_fake_salt(s, filled(1), bob));
  EXPECT_NE(scram_fake_salt(s, filled(1), ada), scram_fake_salt(s, filled(2), ada));
}

}  // namespace
}  // namespace cpns::crypto
