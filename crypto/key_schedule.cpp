#include "crypto/key_schedule.hpp"

#include <algorithm>
#include <utility>

#include "base/cbor.hpp"

namespace cpns::crypto {
namespace {

using cbor::writer;

std::string_view text_of(gateway_kind kind) {
  switch (kind) {
  case gateway_kind::x509: return "x509";
  case gateway_kind::psk: return "psk";
  case gateway_kind::gba: return "gba";
  }
  return "";
}

/// E([label, ...]): the caller writes the `more` elements after the label.
writer labelled(std::string_view label, std::size_t more = 0) {
  writer w;
  w.array(1 + more).tstr(label);
  return w;
}

/// X(k, info, 32) = HKDF-Expand with PRK k and info E(info)
secret32 expand32(const suite& s, const secret32& k, const writer& info) {
  secret32 out;
  s.expand(k, info.view(), out.expose_mutable());
  return out;
}

/// M(k, m)[..16]
tag16 mac16(const suite& s, const secret32& k, byte_view m) {
  return {first<16>(s.hmac(k.expose(), m).expose())};
}

void put(writer& w, const std::optional<tag16>& tag) {
  if (tag)
    w.bstr(tag->view());
  else
    w.null();
}

/// E([label, purpose, entity_id, epoch, ...])
writer application_info(std::string_view label, const application_name& of, std::size_t more = 0) {
  writer w = labelled(label, 3 + more);
  w.tstr(of.purpose).tstr(of.entity.text()).uint(of.which.value());
  return w;
}

/// S = E(["cpns/1 temporary key", entity_id])
bytes temporary_key_salt(const entity_id& entity) {
  return labelled("cpns/1 temporary key", 1).tstr(entity.text()).take();
}

}  // namespace

gateway_id derive_gateway_id(const suite& s, gateway_kind kind, std::string_view name) {
  // gw_id = H(E(["cpns/1 gw", kind, name]))[..16]
  return {first<16>(s.sha256(labelled("cpns/1 gw", 2).tstr(text_of(kind)).tstr(name).view()))};
}

byte_array<16> derive_issuer_nonce(const suite& s, const secret32& k_iss, const gateway_id& gw,
                                   std::uint64_t slot) {
  // issuer_nonce = M(K_iss, E(["cpns/1 issuer", gw_id, floor(unix time / 60)]))[..16]
  return mac16(s, k_iss, labelled("cpns/1 issuer", 2).bstr(gw.view()).uint(slot).view()).value;
}

secret16 derive_batch_temporary_key(const suite& s, const secret32& batch_master_key,
                                    std::string_view batch_id, const entity_id& entity) {
  // TK = X(BMK, ["cpns/1 batch", batch_id, entity_id], 16)
  secret16 out;
  s.expand(batch_master_key, labelled("cpns/1 batch", 2).tstr(batch_id).tstr(entity.text()).view(),
           out.expose_mutable());
  return out;
}

secret32 derive_temporary_key(const suite& s, const entity_id& entity, byte_view tk) {
  // TK' = Extract(S, TK)
  return s.extract(temporary_key_salt(entity), tk);
}

secret32 stretch_temporary_key(const suite& s, const entity_id& entity, byte_view tk) {
  const auto salt = temporary_key_salt(entity);
  // stretch: TK' = Extract(S, PBKDF2-HMAC-SHA256(TK, S, 600000, 32))
  return s.extract(salt, s.pbkdf2(tk, salt, stretch_iterations).expose());
}

secret32 derive_presence_key(const suite& s, const secret32& tk_prime) {
  // K_pres = X(TK', ["cpns/1 presence"])
  return expand32(s, tk_prime, labelled("cpns/1 presence"));
}

secret32 derive_gateway_temporary_key(const suite& s, const secret32& tk_prime, const gateway_id& gw,
                                      std::uint32_t generation) {
  // TKg = X(TK', ["cpns/1 gateway", gw_id, generation])
  return expand32(s, tk_prime, labelled("cpns/1 gateway", 2).bstr(gw.view()).uint(generation));
}

digest transcript1(const suite& s, byte_view dreq, byte_view drsp_first_eight) {
  // th1 = H(E(["cpns/1 th1", DREQ as sent (bstr), E(first eight elements of DRSP) (bstr)]))
  return s.sha256(labelled("cpns/1 th1", 2).bstr(dreq).bstr(drsp_first_eight).view());
}

tag16 possession_tag(const suite& s, const secret32& eukey, const digest& th1) {
  // possession = M(X(EUKey(epoch), ["cpns/1 possession"]), th1)[..16]
  return mac16(s, expand32(s, eukey, labelled("cpns/1 possession")), th1);
}

tag16 presence_tag(const suite& s, const secret32& k_pres, const digest& th1,
                   const std::optional<tag16>& possession) {
  // presence = M(K_pres, E([th1, possession]))[..16]
  writer w;
  w.array(2).bstr(th1);
  put(w, possession);
  return mac16(s, k_pres, w.view());
}

digest transcript2(const suite& s, const digest& th1, const std::optional<tag16>& possession,
                   const std::optional<tag16>& presence, epoch kdel_epoch, bool chained,
                   const byte_array<32>& gw_share) {
  // th2 = H(E(["cpns/1 th2", th1, possession, presence, KDEL epoch, chained, gw_share]))
  writer w = labelled("cpns/1 th2", 6);
  w.bstr(th1);
  put(w, possession);
  put(w, presence);
  w.uint(kdel_epoch.value()).boolean(chained).bstr(gw_share);
  return s.sha256(w.view());
}

secret32 derive_chain(const suite& s, const secret32& eukey, const gateway_id& gw, std::uint32_t generation) {
  // C = X(EUKey(DRSP epoch), ["cpns/1 chain", gw_id, generation])
  return expand32(s, eukey, labelled("cpns/1 chain", 2).bstr(gw.view()).uint(generation));
}

delivery_key derive_delivery_key(const suite& s, const digest& th2, const secret32& tkg, const secret32& z,
                                 const secret32& c) {
  // PRK = Extract(th2, TKg || Z || C)
  secret<96> ikm;
  auto at = ikm.expose_mutable().begin();
  for (const auto* part : {&tkg, &z, &c}) at = std::copy_n(part->expose().begin(), 32, at);
  const auto prk = s.extract(th2, ikm.expose());
  // key(32) || nonce(12) = X(PRK, ["cpns/1 delivery"], 44)
  secret<44> okm;
  s.expand(prk, labelled("cpns/1 delivery").view(), okm.expose_mutable());
  return {secret32{okm.expose().first<32>()}, first<12>(okm.expose().subspan<32>())};
}

tag16 confirm_tag(const suite& s, const secret32& eukey, const digest& th2) {
  // confirm = M(X(new EUKey, ["cpns/1 confirm"]), th2)[..16]
  return mac16(s, expand32(s, eukey, labelled("cpns/1 confirm")), th2);
}

tag16 retire_tag(const suite& s, const secret32& eukey, const digest& th1) {
  // retire = M(X(EUKey(KRET epoch), ["cpns/1 retire"]), th1 of the latest exchange)[..16]
  return mac16(s, expand32(s, eukey, labelled("cpns/1 retire")), th1);
}

secret_bytes derive_application_key(const suite& s, const secret32& eukey, const application_name& of,
                                    std::size_t n) {
  // application key = X(EUKey(epoch), ["cpns/1 application", purpose, entity_id, epoch, n], n)
  bytes out(n);
  s.expand(eukey, application_info("cpns/1 application", of, 1).uint(n).view(), out);
  return secret_bytes{std::move(out)};
}

std::string derive_opaque_identity(const suite& s, const secret32& eukey, const application_name& of) {
  // opaque identity = base64url(X(EUKey(epoch), ["cpns/1 application identity", purpose, entity_id, epoch], 16))
  byte_array<16> raw{};
  s.expand(eukey, application_info("cpns/1 application identity", of).view(), raw);
  auto text = to_base64(raw);
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  text.erase(text.find('='));
  return text;
}

byte_array<8> derive_application_fingerprint(const suite& s, const secret32& eukey,
                                             const application_name& of, std::size_t n) {
  // fingerprint = X(EUKey(epoch), ["cpns/1 application fingerprint", purpose, entity_id, epoch, n], 8)
  byte_array<8> out{};
  s.expand(eukey, application_info("cpns/1 application fingerprint", of, 1).uint(n).view(), out);
  return out;
}

}  // namespace cpns::crypto
