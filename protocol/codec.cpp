#include "protocol/codec.hpp"

#include <array>
#include <string>

#include "protocol/fields.hpp"

namespace cpns::protocol {
namespace {

enum radio_type : std::uint8_t {
  type_dreq = 1,
  type_drsp,
  type_kdel,
  type_kcnf,
  type_kret,
  type_note,
  type_fail
};

/// {1: 3}: the algorithm is AES-256-GCM (RFC 9053 section 4.1).
constexpr std::array<std::uint8_t, 3> cose_protected{0xa1, 0x01, 0x03};
constexpr std::size_t sealed_min = 16, sealed_max = 512;
constexpr std::size_t suites_max = 4;

using cbor::reader;
using cbor::writer;

result<std::uint64_t> between(reader& r, std::string_view at, std::uint64_t min, std::uint64_t max) {
  CPNS_TRY(const auto v, r.uint(at, max));
  if (v < min) return fail(errc::wire_range, std::string{at} + ": must be at least " + std::to_string(min));
  return v;
}

/// The elements of a DRSP without `possession` and `presence`.
void write_first_eight(writer& w, const discovery_response& m) {
  w.uint(type_drsp).bstr(m.gw_nonce_echo).tstr(m.entity.text()).bstr(m.pne_nonce).uint(m.suite);
  write_or_null(w, m.pne_share);
  write_or_null(w, m.highest);
  w.uint(m.resets);
}

result<discovery_request> read_discovery_request(reader& r) {
  discovery_request m;
  CPNS_TRY(const auto v, between(r, "DREQ.version", 1, 255));
  m.version = static_cast<std::uint8_t>(v);
  CPNS_TRY(m.gw.value, r.bstr_of<16>("DREQ.gw_id"));
  CPNS_TRY(m.gw_nonce, r.bstr_of<16>("DREQ.gw_nonce"));
  CPNS_TRY(m.issuer_nonce, r.bstr_or_null<16>("DREQ.issuer_nonce"));
  CPNS_TRY(const auto n, r.array("DREQ.suites", 1, suites_max));
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(const auto s, between(r, "DREQ.suites", 1, 255));
    if (s <= before)
      return fail(errc::wire_order,
                  "DREQ.suites: " + std::to_string(s) + " follows " + std::to_string(before));
    before = s;
    m.suites.push_back(static_cast<std::uint8_t>(s));
  }
  return m;
}

result<discovery_response> read_discovery_response(reader& r) {
  discovery_response m;
  CPNS_TRY(m.gw_nonce_echo, r.bstr_of<4>("DRSP.gw_nonce"));
  CPNS_TRY(m.entity, read_entity(r, "DRSP.entity_id"));
  CPNS_TRY(m.pne_nonce, r.bstr_of<16>("DRSP.pne_nonce"));
  CPNS_TRY(const auto s, between(r, "DRSP.suite", suite_symmetric, suite_x25519));
  m.suite = static_cast<std::uint8_t>(s);
  CPNS_TRY(m.pne_share, r.bstr_or_null<32>("DRSP.pne_share"));
  if (m.pne_share.has_value() != (m.suite == suite_x25519))
    return fail(errc::wire_type, "DRSP.pne_share: must be present exactly with suite 2, the suite is " +
                                     std::to_string(m.suite));
  CPNS_TRY(m.highest, read_epoch_or_null(r, "DRSP.epoch"));
  CPNS_TRY(m.resets, r.uint("DRSP.resets"));
  CPNS_TRY(m.possession, read_id_or_null<tag16>(r, "DRSP.possession"));
  if (m.possession.has_value() != m.highest.has_value())
    return fail(errc::wire_type, "DRSP.possession: must be present exactly with an epoch");
  CPNS_TRY(m.presence, read_id_or_null<tag16>(r, "DRSP.presence"));
  return m;
}

result<key_delivery> read_key_delivery(reader& r) {
  key_delivery m;
  CPNS_TRY(m.which, read_epoch(r, "KDEL.epoch"));
  CPNS_TRY(m.chained, r.boolean("KDEL.chained"));
  CPNS_TRY(m.gw_share, r.bstr_of<32>("KDEL.gw_share"));
  CPNS_CHECK(r.array_of("KDEL.COSE_Encrypt0", 3));
  CPNS_TRY(const auto header, r.bstr_of<3>("KDEL.COSE_Encrypt0.protected"));
  if (header != cose_protected)
    return fail(errc::wire_range,
                "KDEL.COSE_Encrypt0.protected: must be h'a10103', is h'" + to_hex(header) + "'");
  CPNS_CHECK(r.empty_map("KDEL.COSE_Encrypt0.unprotected"));
  CPNS_TRY(const auto sealed, r.bstr("KDEL.COSE_Encrypt0.ciphertext", sealed_min, sealed_max));
  m.sealed = to_bytes(sealed);
  return m;
}

result<key_confirmation> read_key_confirmation(reader& r) {
  key_confirmation m;
  CPNS_TRY(m.which, read_epoch(r, "KCNF.epoch"));
  CPNS_TRY(m.confirm, read_id<tag16>(r, "KCNF.confirm"));
  return m;
}

result<key_retire> read_key_retire(reader& r) {
  key_retire m;
  CPNS_TRY(m.which, read_epoch(r, "KRET.epoch"));
  CPNS_TRY(m.retire, read_id<tag16>(r, "KRET.retire"));
  return m;
}

result<pne_notice> read_pne_notice(reader& r) {
  CPNS_TRY(const auto kind, between(r, "NOTE.kind", 1, 2));
  return pne_notice{static_cast<pne_notice::kind_t>(kind)};
}

result<failure> read_failure(reader& r) {
  CPNS_TRY(const auto reason, between(r, "FAIL.reason", 1, 7));
  return failure{static_cast<failure::reason_t>(reason)};
}

struct radio_shape {
  std::string_view name;
  std::size_t elements;
};

/// Elements of each message, type included; index: type - 1.
constexpr std::array<radio_shape, 7> radio_shapes{
    {{"DREQ", 6}, {"DRSP", 10}, {"KDEL", 5}, {"KCNF", 3}, {"KRET", 3}, {"NOTE", 2}, {"FAIL", 2}}};

result<radio_message> read_body(reader& r, std::uint64_t type) {
  switch (type) {
  case type_dreq: return read_discovery_request(r);
  case type_drsp: return read_discovery_response(r);
  case type_kdel: return read_key_delivery(r);
  case type_kcnf: return read_key_confirmation(r);
  case type_kret: return read_key_retire(r);
  case type_note: return read_pne_notice(r);
  default: return read_failure(r);
  }
}

}  // namespace

bytes encode(const discovery_request& m) {
  writer w;
  w.array(6).uint(type_dreq).uint(m.version).bstr(m.gw.value).bstr(m.gw_nonce);
  write_or_null(w, m.issuer_nonce);
  w.array(m.suites.size());
  for (const auto s : m.suites) w.uint(s);
  return w.take();
}

bytes encode(const discovery_response& m) {
  writer w;
  w.array(10);
  write_first_eight(w, m);
  write_or_null(w, m.possession);
  write_or_null(w, m.presence);
  return w.take();
}

bytes encode_first_eight(const discovery_response& m) {
  writer w;
  w.array(8);
  write_first_eight(w, m);
  return w.take();
}

bytes encode(const key_delivery& m) {
  writer w;
  w.array(5).uint(type_kdel).uint(m.which.value()).boolean(m.chained).bstr(m.gw_share);
  w.array(3).bstr(cose_protected).empty_map().bstr(m.sealed);
  return w.take();
}

bytes encode(const key_confirmation& m) {
  return writer{}.array(3).uint(type_kcnf).uint(m.which.value()).bstr(m.confirm.value).take();
}

bytes encode(const key_retire& m) {
  return writer{}.array(3).uint(type_kret).uint(m.which.value()).bstr(m.retire.value).take();
}

bytes encode(const pne_notice& m) {
  return writer{}.array(2).uint(type_note).uint(static_cast<std::uint64_t>(m.kind)).take();
}

bytes encode(const failure& m) {
  return writer{}.array(2).uint(type_fail).uint(static_cast<std::uint64_t>(m.reason)).take();
}

result<radio_message> decode_radio(byte_view in) {
  if (in.size() > radio_message_max)
    return fail(errc::wire_oversized, std::to_string(in.size()) + " bytes on the radio link, at most " +
                                          std::to_string(radio_message_max));
  reader r{in};
  CPNS_TRY(const auto n, r.array("radio message", 2, 10));
  CPNS_TRY(const auto type, r.uint("radio message type"));
  if (type < 1 || type > radio_shapes.size())
    return fail(errc::wire_unknown_message,
                "radio message type " + std::to_string(type) + ", expected 1 to 7");
  const auto& wanted = radio_shapes[static_cast<std::size_t>(type) - 1];
  if (n != wanted.elements)
    return fail(errc::wire_length, std::string{wanted.name} + " has " + std::to_string(n) +
                                       " elements, expected " + std::to_string(wanted.elements));
  CPNS_TRY(auto m, read_body(r, type));
  CPNS_CHECK(r.end(wanted.name));
  return m;
}

secret_bytes encode(const delivery_content& c) {
  writer w{64};
  w.array(3).bstr(c.eukey.expose()).bstr(c.owner.value).uint(c.rekey_seconds);
  return secret_bytes{w.take()};
}

result<delivery_content> decode_delivery_content(byte_view in) {
  reader r{in};
  delivery_content c;
  CPNS_CHECK(r.array_of("delivery", 3));
  CPNS_TRY(c.eukey, read_secret(r, "delivery.eukey"));
  CPNS_TRY(c.owner.value, r.bstr_of<16>("delivery.owner_tag"));
  CPNS_TRY(c.rekey_seconds, read_u32(r, "delivery.rekey_seconds"));
  CPNS_CHECK(r.end("delivery"));
  return c;
}

bytes delivery_aad(const byte_array<32>& th2) {
  return writer{}.array(3).tstr("Encrypt0").bstr(cose_protected).bstr(th2).take();
}

}  // namespace cpns::protocol
