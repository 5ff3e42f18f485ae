// The key schedule and the proof of the user's password against key_schedule.json.

#include <gtest/gtest.h>

#include "crypto/key_schedule.hpp"
#include "crypto/scram.hpp"
#include "protocol/application_identity.hpp"
#include "protocol/codec.hpp"
#include "tests/vectors/vector_file.hpp"

namespace cpns::vectors {
namespace {

using namespace crypto;

const suite& s() { return openssl_suite(); }
std::string hex(const secret32& k) { return to_hex(k.expose()); }

gateway_kind kind_of(const std::string& name) {
  return name == "x509" ? gateway_kind::x509 : name == "psk" ? gateway_kind::psk : gateway_kind::gba;
}
std::uint32_t u32(const test_case& t, std::string_view key) {
  return static_cast<std::uint32_t>(t.number(key));
}
epoch epoch_of(const test_case& t, std::string_view key) { return epoch::from_value(t.number(key)); }
gateway_id gateway_of(const test_case& t) { return gateway_id{t.array<16>("gw_id")}; }

std::size_t each(std::string_view type, const std::function<void(const test_case&)>& check) {
  return for_each_case("key_schedule.json", type, check);
}

TEST(key_schedule_vectors, agree_on_gateway_ids_and_issuer_nonces) {
  EXPECT_EQ(each("GatewayId",
                 [](const test_case& t) {
                   EXPECT_EQ(derive_gateway_id(s(), kind_of(t.text("kind")), t.text("name")).hex(),
                             t.text("gw_id"));
                 }),
            4u);
  EXPECT_EQ(each("IssuerNonce",
                 [](const test_case& t) {
                   EXPECT_EQ(
                       to_hex(derive_issuer_nonce(s(), t.key("k_iss"), gateway_of(t), t.number("slot"))),
                       t.text("issuer_nonce"));
                 }),
            3u);
}

TEST(key_schedule_vectors, agree_on_temporary_keys) {
  EXPECT_EQ(each("TemporaryKey",
                 [](const test_case& t) {
                   const auto id = entity_id::parse(t.text("entity_id"));
                   ASSERT_TRUE(id.has_value());
                   const auto key = t.flag("stretch") ? stretch_temporary_key(s(), *id, t.hex("tk"))
                                                      : derive_temporary_key(s(), *id, t.hex("tk"));
                   EXPECT_EQ(hex(key), t.text("tk_prime"));
                 }),
            4u);
  EXPECT_EQ(each("PresenceKey",
                 [](const test_case& t) {
                   EXPECT_EQ(hex(derive_presence_key(s(), t.key("tk_prime"))), t.text("k_pres"));
                 }),
            1u);
  EXPECT_EQ(each("GatewayTemporaryKey",
                 [](const test_case& t) {
                   EXPECT_EQ(hex(derive_gateway_temporary_key(s(), t.key("tk_prime"), gateway_of(t),
                                                              u32(t, "generation"))),
                             t.text("tkg"));
                 }),
            4u);
  EXPECT_EQ(each("Chain",
                 [](const test_case& t) {
                   EXPECT_EQ(hex(derive_chain(s(), t.key("eukey"), gateway_of(t), u32(t, "generation"))),
                             t.text("c"));
                 }),
            3u);
}

TEST(key_schedule_vectors, agree_on_the_temporary_keys_of_a_batch) {
  EXPECT_EQ(each("BatchTemporaryKey",
                 [](const test_case& t) {
                   const auto id = entity_id::parse(t.text("entity_id"));
                   ASSERT_TRUE(id.has_value());
                   const auto tk = derive_batch_temporary_key(s(), t.key("bmk"), t.text("batch_id"), *id);
                   EXPECT_EQ(to_hex(tk.expose()), t.text("tk"));
                   EXPECT_EQ(hex(derive_temporary_key(s(), *id, tk.expose())), t.text("tk_prime"));
                 }),
            5u);
}

TEST(key_schedule_vectors, agree_on_the_keys_of_applications) {
  EXPECT_EQ(each("ApplicationKey",
                 [](const test_case& t) {
                   const auto id = entity_id::parse(t.text("entity_id"));
                   ASSERT_TRUE(id.has_value());
                   const auto purpose = t.text("purpose");
                   const auto at = epoch_of(t, "epoch");
                   const application_name name{purpose, *id, at};
                   const auto eukey = t.key("eukey");
                   const auto n = t.number("n");
                   EXPECT_EQ(to_hex(derive_application_key(s(), eukey, name, n).expose()), t.text("key"));
                   EXPECT_EQ(derive_opaque_identity(s(), eukey, name), t.text("opaque_identity"));
                   EXPECT_EQ(to_hex(derive_application_fingerprint(s(), eukey, name, n)),
                             t.text("fingerprint"));
                   const auto readable = t.text("readable_identity");
                   EXPECT_EQ(protocol::readable_identity({*id, at, purpose}), readable);
                   const auto back = protocol::read_readable_identity(readable);
                   ASSERT_TRUE(back.has_value());
                   EXPECT_EQ(back->entity, *id);
                   EXPECT_EQ(back->which, at);
                   EXPECT_EQ(back->purpose, purpose);
                 }),
            9u);
}

TEST(key_schedule_vectors, agree_on_transcripts_and_delivery_keys) {
  EXPECT_EQ(each("Transcript2",
                 [](const test_case& t) {
                   EXPECT_EQ(
                       to_hex(transcript2(s(), t.array<32>("th1"), t.tag("possession"), t.tag("presence"),
                                          epoch_of(t, "epoch"), t.flag("chained"), t.array<32>("gw_share"))),
                       t.text("th2"));
                 }),
            8u);
  EXPECT_EQ(each("DeliveryKey",
                 [](const test_case& t) {
                   const auto k =
                       derive_delivery_key(s(), t.array<32>("th2"), t.key("tkg"), t.key("z"), t.key("c"));
                   EXPECT_EQ(hex(k.key), t.text("key"));
                   EXPECT_EQ(to_hex(k.nonce), t.text("nonce"));
                 }),
            2u);
}

TEST(key_schedule_vectors, agree_on_the_proof_of_the_password) {
  EXPECT_EQ(each("ScramProof",
                 [](const test_case& t) {
                   const auto key =
                       scram_client_key(s(), t.hex("password"), t.hex("salt"), u32(t, "iterations"));
                   EXPECT_EQ(hex(key), t.text("client_key"));
                   const auto stored = scram_stored_key(s(), key);
                   EXPECT_EQ(to_hex(stored), t.text("stored_key"));
                   const auto message = scram_auth_message(t.key("exporter"), t.array<32>("request_hash"));
                   EXPECT_EQ(to_hex(message), t.text("auth_message"));
                   EXPECT_EQ(to_hex(scram_proof(s(), key, message)), t.text("proof"));
                   EXPECT_TRUE(scram_verify(s(), stored, message, t.array<32>("proof")));
                   auto wrong = t.array<32>("proof");
                   wrong[31] ^= 1;
                   EXPECT_FALSE(scram_verify(s(), stored, message, wrong));
                 }),
            2u);
}

/// Steps 1 and 2: the messages up to th1 and the two tags of the PNE.
void check_discovery(const test_case& in, const test_case& out, protocol::discovery_response& drsp) {
  const auto gw = derive_gateway_id(s(), kind_of(in.text("gw_kind")), in.text("gw_name"));
  EXPECT_EQ(gw.hex(), out.text("gw_id"));
  protocol::discovery_request dreq;
  dreq.gw = gw;
  dreq.gw_nonce = in.array<16>("gw_nonce");
  if (in.flag("with_presence"))
    dreq.issuer_nonce = derive_issuer_nonce(s(), in.key("k_iss"), gw, in.number("issuer_slot"));
  for (const auto& n : in.json().at("suites").as_array())
    dreq.suites.push_back(static_cast<std::uint8_t>(n.as_int64()));
  const auto dreq_bytes = protocol::encode(dreq);
  EXPECT_EQ(to_hex(dreq_bytes), out.text("dreq"));

  const auto id = entity_id::parse(in.text("entity_id"));
  ASSERT_TRUE(id.has_value());
  const auto tk_prime = derive_temporary_key(s(), *id, in.hex("tk"));
  EXPECT_EQ(hex(tk_prime), out.text("tk_prime"));
  drsp.gw_nonce_echo = first<4>(dreq.gw_nonce);
  drsp.entity = *id;
  drsp.pne_nonce = in.array<16>("pne_nonce");
  drsp.suite = static_cast<std::uint8_t>(in.number("suite"));
  if (drsp.suite == protocol::suite_x25519) drsp.pne_share = s().x25519_public(in.key("pne_private"));
  if (in.has("old_epoch")) drsp.highest = epoch_of(in, "old_epoch");
  drsp.resets = in.number("resets");
  const auto first_eight = protocol::encode_first_eight(drsp);
  EXPECT_EQ(to_hex(first_eight), out.text("drsp_first_eight"));
  const auto th1 = transcript1(s(), dreq_bytes, first_eight);
  EXPECT_EQ(to_hex(th1), out.text("th1"));
  if (drsp.highest) drsp.possession = possession_tag(s(), in.key("old_eukey"), th1);
  if (in.flag("with_presence"))
    drsp.presence = presence_tag(s(), derive_presence_key(s(), tk_prime), th1, drsp.possession);
  EXPECT_EQ(drsp.possession, out.tag("possession"));
  EXPECT_EQ(drsp.presence, out.tag("presence"));
  EXPECT_EQ(to_hex(protocol::encode(drsp)), out.text("drsp"));
}

/// Steps 9 and 10: the gateway's KDEL, the PNE's KCNF and the gateway's KRET.
void check_delivery(const test_case& in, const test_case& out, const protocol::discovery_response& drsp) {
  const auto gw = gateway_of(out);
  const auto th1 = out.array<32>("th1");
  const bool x25519 = drsp.suite == protocol::suite_x25519;
  protocol::key_delivery kdel;
  kdel.which = epoch_of(in, "new_epoch");
  kdel.chained = in.flag("chained");
  kdel.gw_share = x25519 ? s().x25519_public(in.key("gw_private")) : in.array<32>("gw_random");
  EXPECT_EQ(to_hex(kdel.gw_share), out.text("gw_share"));
  const auto tkg = derive_gateway_temporary_key(s(), out.key("tk_prime"), gw, kdel.which.generation());
  EXPECT_EQ(hex(tkg), out.text("tkg"));
  const auto th2 =
      transcript2(s(), th1, drsp.possession, drsp.presence, kdel.which, kdel.chained, kdel.gw_share);
  EXPECT_EQ(to_hex(th2), out.text("th2"));
  secret32 z;
  if (x25519) {
    const auto of_gw = s().x25519(in.key("gw_private"), *drsp.pne_share);
    const auto of_pne = s().x25519(in.key("pne_private"), kdel.gw_share);
    ASSERT_TRUE(of_gw.has_value() && of_pne.has_value());
    EXPECT_TRUE(*of_gw == *of_pne);
    z = *of_gw;
  }
  EXPECT_EQ(hex(z), out.text("z"));
  const auto c =
      kdel.chained ? derive_chain(s(), in.key("old_eukey"), gw, kdel.which.generation()) : secret32{};
  EXPECT_EQ(hex(c), out.text("c"));
  const auto k = derive_delivery_key(s(), th2, tkg, z, c);
  EXPECT_EQ(hex(k.key), out.text("key"));
  EXPECT_EQ(to_hex(k.nonce), out.text("nonce"));

  const auto aad = protocol::delivery_aad(th2);
  EXPECT_EQ(to_hex(aad), out.text("aad"));
  const protocol::delivery_content content{in.key("new_eukey"), owner_tag{in.array<16>("owner_tag")},
                                           u32(in, "rekey_seconds")};
  const auto plain = protocol::encode(content);
  EXPECT_EQ(to_hex(plain.expose()), out.text("plaintext"));
  kdel.sealed = s().gcm_seal(k.key, k.nonce, aad, plain.expose());
  EXPECT_EQ(to_hex(protocol::encode(kdel)), out.text("kdel"));
  const auto opened = s().gcm_open(k.key, k.nonce, aad, kdel.sealed);
  ASSERT_TRUE(opened.has_value());
  const auto read = protocol::decode_delivery_content(opened->expose());
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->eukey == content.eukey);
  EXPECT_EQ(read->owner, content.owner);
  EXPECT_EQ(read->rekey_seconds, content.rekey_seconds);

  EXPECT_EQ(
      to_hex(protocol::encode(protocol::key_confirmation{kdel.which, confirm_tag(s(), content.eukey, th2)})),
      out.text("kcnf"));
  EXPECT_EQ(to_hex(protocol::encode(protocol::key_retire{kdel.which, retire_tag(s(), content.eukey, th1)})),
            out.text("kret"));
}

TEST(key_schedule_vectors, agree_on_whole_exchanges) {
  EXPECT_EQ(each("Exchange",
                 [](const test_case& t) {
                   protocol::discovery_response drsp;
                   ASSERT_NO_FATAL_FAILURE(check_discovery(t.part("in"), t.part("out"), drsp));
                   check_delivery(t.part("in"), t.part("out"), drsp);
                 }),
            14u);
}

TEST(key_schedule_vectors, agree_on_deliveries_that_can_and_cannot_be_decrypted) {
  EXPECT_GT(each("Open",
                 [](const test_case& t) {
                   const auto share = t.array<32>("gw_share");
                   const auto th2 =
                       transcript2(s(), t.array<32>("th1"), t.tag("possession"), t.tag("presence"),
                                   epoch_of(t, "epoch"), t.flag("chained"), share);
                   const auto z = s().x25519(t.key("pne_private"), share);
                   if (!z) {
                     EXPECT_FALSE(t.valid());
                     EXPECT_EQ(z.error().code, errc::crypto_weak);
                     return;
                   }
                   const auto k = derive_delivery_key(s(), th2, t.key("tkg"), *z, t.key("c"));
                   const auto plain =
                       s().gcm_open(k.key, k.nonce, protocol::delivery_aad(th2), t.hex("sealed"));
                   EXPECT_EQ(plain.has_value(), t.valid());
                   if (plain) {
                     EXPECT_EQ(to_hex(plain->expose()), t.text("plaintext"));
                   } else {
                     EXPECT_EQ(plain.error().code, errc::crypto_open_failed);
                   }
                 }),
            20u);
}

}  // namespace
}  // namespace cpns::vectors
