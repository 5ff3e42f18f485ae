#include "protocol/pne/context.hpp"

#include <algorithm>

namespace cpns::protocol {
namespace {

const stored_key* find(const pne_record& r, epoch e) {
  if (r.pending && r.pending->which == e) return &*r.pending;
  if (r.current && r.current->which == e) return &*r.current;
  return nullptr;
}

/// C = chained: X(EUKey(DRSP epoch), ["cpns/1 chain", gw_id, generation]);  else 32 zero bytes
result<secret32> chain_of(const pne_secrets& with, const pne_context& c, const key_delivery& m) {
  if (!m.chained) return secret32{};
  const auto* key = c.named ? find(with.record, *c.named) : nullptr;
  if (key == nullptr) return fail(errc::peer_stale, "KDEL is chained to a key that is not stored");
  return crypto::derive_chain(with.s, key->eukey, c.gw, m.which.generation());
}

}  // namespace

std::optional<std::uint8_t> choose_suite(const discovery_request& m, std::uint8_t lowest) {
  std::optional<std::uint8_t> best;
  for (const auto offered : m.suites)
    if ((offered == suite_symmetric || offered == suite_x25519) && offered >= lowest) best = offered;
  return best;
}

pne_context open(const pne_secrets& with, const discovery_request& m, byte_view dreq, std::uint8_t suite,
                 entropy& random, time_point now) {
  discovery_response r;
  r.gw_nonce_echo = first<4>(m.gw_nonce);
  r.entity = with.entity;
  r.pne_nonce = random.draw<16>();
  r.suite = suite;
  open_context secrets;
  if (suite == suite_x25519) {
    auto pair = with.s.x25519_generate(random);
    r.pne_share = pair.public_key;
    secrets.private_share = std::move(pair.private_key);
  }
  const auto* key = with.record.highest();
  if (key != nullptr) r.highest = key->which;
  r.resets = with.record.resets;

  pne_context c;
  c.th1 = crypto::transcript1(with.s, dreq, encode_first_eight(r));
  if (key != nullptr) r.possession = crypto::possession_tag(with.s, key->eukey, c.th1);
  if (m.issuer_nonce) {
    const auto k_pres = crypto::derive_presence_key(with.s, with.temporary_key);
    r.presence = crypto::presence_tag(with.s, k_pres, c.th1, r.possession);
  }
  c.dreq = to_bytes(dreq);
  c.drsp = encode(r);
  c.gw = m.gw;
  c.named = r.highest;
  c.possession = r.possession;
  c.presence = r.presence;
  c.suite = suite;
  c.expires = now + context_lifetime;
  c.use = std::move(secrets);
  return c;
}

result<opened_delivery> open_delivery(const pne_secrets& with, const pne_context& c, const key_delivery& m) {
  const auto* secrets = std::get_if<open_context>(&c.use);
  if (secrets == nullptr) return fail(errc::peer_stale, "the context was used");
  const auto& s = with.s;
  const auto th2 = crypto::transcript2(s, c.th1, c.possession, c.presence, m.which, m.chained, m.gw_share);
  // Z = suite 2: X25519 output, all zero aborts;  suite 1: 32 zero bytes
  secret32 z;
  if (secrets->private_share) {
    CPNS_TRY(z, s.x25519(*secrets->private_share, m.gw_share));
  }
  CPNS_TRY(const auto chain, chain_of(with, c, m));
  const auto tkg = crypto::derive_gateway_temporary_key(s, with.temporary_key, c.gw, m.which.generation());
  const auto sealing = crypto::derive_delivery_key(s, th2, tkg, z, chain);
  CPNS_TRY(const auto plain, s.gcm_open(sealing.key, sealing.nonce, delivery_aad(th2), m.sealed));
  CPNS_TRY(auto content, decode_delivery_content(plain.expose()));
  opened_delivery out{std::move(content), {}};
  out.kcnf = encode(key_confirmation{m.which, crypto::confirm_tag(s, out.content.eukey, th2)});
  return out;
}

}  // namespace cpns::protocol
