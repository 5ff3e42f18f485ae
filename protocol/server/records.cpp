#include "protocol/server/records.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "protocol/fields.hpp"

namespace cpns::protocol {
namespace {

constexpr std::uint64_t user_schema = 1;
constexpr std::uint64_t device_schema = 1;
// Of a device that is blocked: its name alone.
constexpr std::uint64_t blocked_device_schema = 2;
constexpr std::size_t device_fields = 7, blocked_device_fields = 2;
constexpr std::uint64_t entity_schema = 2;
constexpr std::uint64_t gateway_schema_1 = 1;  ///< without a key: older servers read these rows, too
constexpr std::uint64_t gateway_schema = 2;
constexpr std::size_t gateway_fields_1 = 7, gateway_fields = 9;
constexpr std::size_t psk_max = 64;
// Schema 1 is read, too: it lacks the holder's name and since when it is the holder.
constexpr std::size_t entity_fields = 15, entity_fields_1 = 13;

// Bounds for reading, far above all that the machine writes.
constexpr std::size_t sets_max = 64;
constexpr std::size_t set_keys_max = 8192;
constexpr std::size_t answered_max = 256;
constexpr std::size_t used_max = 1024;
constexpr std::size_t batch_name_max = 255;
constexpr std::size_t uri_max = 255;
constexpr std::size_t address_max = 255;
constexpr std::size_t shown_name_max = 64;

void write(cbor::writer& w, const eukey_set& s) {
  w.array(8).uint(s.generation).bstr(s.set.value).uint(s.incarnation).bstr(s.issued_to.value);
  w.uint(s.next_index).uint(time_field(s.not_after)).uint(s.first_index).array(s.eukeys.size());
  for (const auto& k : s.eukeys) w.bstr(k.expose());
}

result<eukey_set> read_set(cbor::reader& r) {
  eukey_set s;
  CPNS_CHECK(r.array_of("set", 8));
  CPNS_TRY(s.generation, read_u32(r, "set generation"));
  CPNS_TRY(s.set, read_id<set_id>(r, "set_id"));
  CPNS_TRY(s.incarnation, r.uint("set incarnation"));
  CPNS_TRY(s.issued_to, read_id<gateway_id>(r, "set issued_to"));
  CPNS_TRY(const auto next, r.uint("set next_index", 65'536));
  s.next_index = static_cast<std::uint32_t>(next);
  CPNS_TRY(s.not_after, read_time(r, "set not_after"));
  CPNS_TRY(const auto first, r.uint("set first_index", next));
  s.first_index = static_cast<std::uint32_t>(first);
  CPNS_TRY(const auto n, r.array("set eukeys", 0, set_keys_max));
  if (n != next - first)
    return fail(errc::store_damaged, "the number of keys in a set does not match its indexes");
  s.eukeys.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(auto k, read_secret(r, "eukey"));
    s.eukeys.push_back(std::move(k));
  }
  return s;
}

void write(cbor::writer& w, const answered_request& a) {
  w.array(6)
      .bstr(a.id.value)
      .bstr(a.gw.value)
      .bstr(a.content_hash)
      .uint(a.generation)
      .uint(a.first_index)
      .uint(a.count);
}

result<answered_request> read_answered(cbor::reader& r) {
  answered_request a;
  CPNS_CHECK(r.array_of("answered request", 6));
  CPNS_TRY(a.id, read_id<request_id>(r, "request_id"));
  CPNS_TRY(a.gw, read_id<gateway_id>(r, "gw_id"));
  CPNS_TRY(a.content_hash, r.bstr_of<32>("content hash"));
  CPNS_TRY(a.generation, read_u32(r, "generation"));
  CPNS_TRY(const auto first, r.uint("first_index", 65'535));
  CPNS_TRY(const auto n, r.uint("count", set_keys_max));
  a.first_index = static_cast<std::uint32_t>(first);
  a.count = static_cast<std::uint32_t>(n);
  return a;
}

status read_holder(cbor::reader& r, entity_record& e) {
  CPNS_TRY(e.holder, read_id_or_null<gateway_id>(r, "holder"));
  CPNS_TRY(e.holder_seen, read_time(r, "holder_seen"));
  return {};
}

status read_holder_name(cbor::reader& r, entity_record& e) {
  CPNS_TRY(e.holder_uri, read_text(r, "holder_uri", uri_max));
  CPNS_TRY(e.holder_since, read_time(r, "holder_since"));
  return {};
}

status read_lists(cbor::reader& r, entity_record& e) {
  CPNS_TRY(const auto sets, r.array("sets", 0, sets_max));
  for (std::size_t i = 0; i < sets; ++i) {
    CPNS_TRY(auto s, read_set(r));
    e.sets.push_back(std::move(s));
  }
  CPNS_TRY(e.last_report, read_epoch_or_null(r, "last_report"));
  CPNS_TRY(e.last_report_slot, r.uint("last_report_slot"));
  CPNS_TRY(const auto answers, r.array("answered", 0, answered_max));
  for (std::size_t i = 0; i < answers; ++i) {
    CPNS_TRY(auto a, read_answered(r));
    e.answered.push_back(a);
  }
  CPNS_TRY(const auto used, r.array("used", 0, used_max));
  for (std::size_t i = 0; i < used; ++i) {
    used_transcript u;
    CPNS_CHECK(r.array_of("used transcript", 2));
    CPNS_TRY(u.th1, r.bstr_of<32>("th1"));
    CPNS_TRY(u.slot, r.uint("slot"));
    e.used.push_back(u);
  }
  return {};
}

std::size_t expected_size(const entity_record& e) {
  std::size_t n = 512 + e.holder_uri.size() + e.answered.size() * 96 + e.used.size() * 48;
  for (const auto& s : e.sets) n += 96 + s.eukeys.size() * 34;
  return n;
}

}  // namespace

void release_holder(entity_record& r) {
  r.holder.reset();
  r.holder_uri.clear();
  r.holder_since = r.holder_seen = 0;
}

std::string holder_text(const entity_record& r, std::int64_t now) {
  std::string name = r.holder_uri.empty() ? r.holder->hex() : r.holder_uri;
  if (name.size() > shown_name_max) name = name.substr(0, shown_name_max - 3) + "...";
  return "gateway " + name + " holds the device" +
         (r.holder_since != 0 ? " since " + utc_text(r.holder_since) : std::string{}) + ", last seen " +
         std::to_string(std::max<std::int64_t>(0, now - r.holder_seen)) + " s ago";
}

secret_bytes encode(const user_record& u) {
  cbor::writer w{256};
  w.array(6)
      .uint(user_schema)
      .tstr(u.user.text())
      .bstr(u.salt)
      .uint(u.iterations)
      .bstr(u.stored_key)
      .uint(time_field(u.created));
  return secret_bytes{w.take()};
}

result<user_record> decode_user_record(byte_view in) {
  cbor::reader r{in};
  user_record u;
  CPNS_CHECK(r.array_of("user record", 6));
  CPNS_CHECK(read_schema(r, "user record", user_schema));
  CPNS_TRY(u.user, read_user(r, "user"));
  CPNS_TRY(u.salt, r.bstr_of<16>("salt"));
  CPNS_TRY(u.iterations, read_u32(r, "iterations"));
  CPNS_TRY(u.stored_key, r.bstr_of<32>("stored_key"));
  CPNS_TRY(u.created, read_time(r, "created"));
  CPNS_CHECK(r.end("user record"));
  return u;
}

secret_bytes encode(const device_secret_record& d) {
  cbor::writer w{512};
  if (d.blocked) {
    w.array(blocked_device_fields).uint(blocked_device_schema).tstr(d.entity.text());
    return secret_bytes{w.take()};
  }
  w.array(device_fields)
      .uint(device_schema)
      .tstr(d.entity.text())
      .bstr(d.temporary_key.expose())
      .boolean(d.stretched)
      .boolean(d.require_presence);
  write_or_null(w, d.owner);
  w.tstr(cut_text(d.batch, batch_name_max));
  return secret_bytes{w.take()};
}

result<device_secret_record> decode_device_secret_record(byte_view in) {
  cbor::reader r{in};
  device_secret_record d;
  CPNS_TRY(const auto length, r.array("device record", blocked_device_fields, device_fields));
  d.blocked = length == blocked_device_fields;
  CPNS_CHECK(read_schema(r, "device record", d.blocked ? blocked_device_schema : device_schema));
  CPNS_TRY(d.entity, read_entity(r, "entity"));
  if (d.blocked) {
    CPNS_CHECK(r.end("device record"));
    return d;
  }
  if (length != device_fields)
    return fail(errc::wire_length,
                "device record has " + std::to_string(length) + " fields, expected 2 or 7");
  CPNS_TRY(d.temporary_key, read_secret(r, "temporary key"));
  CPNS_TRY(d.stretched, r.boolean("stretched"));
  CPNS_TRY(d.require_presence, r.boolean("require_presence"));
  CPNS_TRY(d.owner, read_user_or_null(r, "owner"));
  CPNS_TRY(d.batch, read_text(r, "batch", batch_name_max));
  CPNS_CHECK(r.end("device record"));
  return d;
}

secret_bytes encode(const entity_record& e) {
  cbor::writer w{expected_size(e)};
  w.array(entity_fields).uint(entity_schema).tstr(e.entity.text());
  write_or_null(w, e.owner);
  w.bstr(e.tag.value).uint(time_field(e.claimed));
  write_or_null(w, e.holder);
  w.uint(time_field(e.holder_seen));
  w.tstr(cut_text(e.holder_uri, uri_max)).uint(time_field(e.holder_since));
  w.uint(e.resets).array(e.sets.size());
  for (const auto& s : e.sets) write(w, s);
  write_or_null(w, e.last_report);
  w.uint(e.last_report_slot).array(e.answered.size());
  for (const auto& a : e.answered) write(w, a);
  w.array(e.used.size());
  for (const auto& u : e.used) w.array(2).bstr(u.th1).uint(u.slot);
  return secret_bytes{w.take()};
}

result<entity_record> decode_entity_record(byte_view in) {
  cbor::reader r{in};
  entity_record e;
  CPNS_TRY(const auto length, r.array("entity record", entity_fields_1, entity_fields));
  const bool first = length == entity_fields_1;
  CPNS_CHECK(read_schema(r, "entity record", first ? 1 : entity_schema));
  if (!first && length != entity_fields)
    return fail(errc::wire_length,
                "entity record has " + std::to_string(length) + " fields, expected 13 or 15");
  CPNS_TRY(e.entity, read_entity(r, "entity"));
  CPNS_TRY(e.owner, read_user_or_null(r, "owner"));
  CPNS_TRY(e.tag, read_id<owner_tag>(r, "owner_tag"));
  CPNS_TRY(e.claimed, read_time(r, "claimed"));
  CPNS_CHECK(read_holder(r, e));
  if (!first) CPNS_CHECK(read_holder_name(r, e));
  CPNS_TRY(e.resets, r.uint("resets"));
  CPNS_CHECK(read_lists(r, e));
  CPNS_CHECK(r.end("entity record"));
  return e;
}

secret_bytes encode(const gateway_record& g) {
  cbor::writer w{640};
  w.array(g.psk ? gateway_fields : gateway_fields_1)
      .uint(g.psk ? gateway_schema : gateway_schema_1)
      .bstr(g.gw.value)
      .tstr(cut_text(g.uri, uri_max))
      .tstr(cut_text(g.address, address_max))
      .uint(time_field(g.first_connected))
      .uint(time_field(g.last_connected))
      .uint(time_field(g.blocked_since));
  if (g.psk) w.bstr(g.psk->expose()).uint(time_field(g.psk_since));
  return secret_bytes{w.take()};
}

result<gateway_record> decode_gateway_record(byte_view in) {
  cbor::reader r{in};
  gateway_record g;
  CPNS_TRY(const auto length, r.array("gateway record", gateway_fields_1, gateway_fields));
  const bool first = length == gateway_fields_1;
  if (!first && length != gateway_fields)
    return fail(errc::wire_length,
                "gateway record has " + std::to_string(length) + " fields, expected 7 or 9");
  CPNS_CHECK(read_schema(r, "gateway record", first ? gateway_schema_1 : gateway_schema));
  CPNS_TRY(g.gw, read_id<gateway_id>(r, "gw_id"));
  CPNS_TRY(g.uri, read_text(r, "uri", uri_max));
  CPNS_TRY(g.address, read_text(r, "address", address_max));
  CPNS_TRY(g.first_connected, read_time(r, "first_connected"));
  CPNS_TRY(g.last_connected, read_time(r, "last_connected"));
  CPNS_TRY(g.blocked_since, read_time(r, "blocked_since"));
  if (!first) {
    CPNS_TRY(const auto key, r.bstr("psk", 1, psk_max));
    g.psk = secret_bytes{key};
    CPNS_TRY(g.psk_since, read_time(r, "psk_since"));
  }
  CPNS_CHECK(r.end("gateway record"));
  return g;
}

}  // namespace cpns::protocol
