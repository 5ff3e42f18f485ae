#include "protocol/pn_gw/device_record.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "protocol/fields.hpp"

namespace cpns::protocol {
namespace {

// Without a key that lacks proof and without `sessions_from`: earlier versions read these rows, too.
constexpr std::uint64_t device_record_schema_1 = 1;
constexpr std::uint64_t device_record_schema = 2;
constexpr std::size_t fields_1 = 24, fields = 25;
constexpr std::size_t held_keys_max = 4096, text_max = 1024;
constexpr std::size_t fixed_size = 1024, key_size = 64;

using cbor::reader;
using cbor::writer;

std::string_view bounded(const std::string& t) {
  return t.size() <= text_max ? std::string_view{t} : std::string_view{};
}

void write_key(writer& w, const held_key& k) {
  w.array(4)
      .uint(k.which.value())
      .bstr(k.set.value)
      .bstr(k.eukey.expose())
      .uint(static_cast<std::uint64_t>(k.use));
}

void write_chain(writer& w, const std::optional<held_chain>& c) {
  if (c)
    w.array(3).uint(c->made_for.value()).uint(c->generation).bstr(c->value.expose());
  else
    w.null();
}

/// A held_key without a copy of the EUKey.
struct key_view {
  epoch which;
  set_id set;
  std::span<const std::uint8_t, 32> eukey;
  key_use use;
};

result<key_view> read_key(reader& r, key_use last) {
  constexpr std::string_view at = "device record.keys";
  CPNS_CHECK(r.array_of(at, 4));
  CPNS_TRY(const auto which, read_epoch(r, at));
  CPNS_TRY(const auto set, read_id<set_id>(r, at));
  CPNS_TRY(const auto eukey, r.bstr(at, 32, 32));
  CPNS_TRY(const auto use, r.uint(at, static_cast<std::uint64_t>(last)));
  return key_view{which, set, eukey.first<32>(), static_cast<key_use>(use)};
}

/// Calls `begin` with the number of keys, then `each` for each of them.
template <class Begin, class Each>
status read_keys(reader& r, key_use last_use, Begin begin, Each each) {
  CPNS_TRY(const auto n, r.array("device record.keys", 0, held_keys_max));
  begin(n);
  std::size_t own = 0;
  std::optional<epoch> last;
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(const auto k, read_key(r, last_use));
    if (last && k.which <= *last)
      return fail(errc::store_damaged, "device record.keys: not in ascending order");
    last = k.which;
    own += k.use == key_use::own ? 1 : 0;
    each(k);
  }
  if (own > 1) return fail(errc::store_damaged, "device record.keys: more than one own key");
  return {};
}

result<std::optional<held_chain>> read_chain(reader& r) {
  constexpr std::string_view at = "device record.chain";
  CPNS_TRY(const bool none, r.null_next(at));
  if (none) return std::optional<held_chain>{};
  held_chain c;
  CPNS_CHECK(r.array_of(at, 3));
  CPNS_TRY(c.made_for, read_epoch(r, at));
  CPNS_TRY(c.generation, read_u32(r, at));
  CPNS_TRY(c.value, read_secret(r, at));
  return std::optional<held_chain>{std::move(c)};
}

/// Whether the record has schema 1.
result<bool> read_names(reader& r, entity_id& entity, user_id& user) {
  CPNS_TRY(const auto length, r.array("device record", fields_1, fields));
  const bool first = length == fields_1;
  CPNS_CHECK(read_schema(r, "device record", first ? device_record_schema_1 : device_record_schema));
  CPNS_TRY(entity, read_entity(r, "device record.entity"));
  CPNS_TRY(user, read_user(r, "device record.user"));
  return first;
}

status read_standing(reader& r, device_record& out) {
  CPNS_TRY(out.approved, r.boolean("device record.approved"));
  CPNS_TRY(const auto s,
           r.uint("device record.standing", static_cast<std::uint64_t>(device_standing::revoked)));
  out.standing = static_cast<device_standing>(s);
  CPNS_TRY(const auto why, r.tstr("device record.standing_reason", 0, text_max));
  out.standing_reason = std::string{why};
  return {};
}

status read_set_of_device(reader& r, device_record& out) {
  CPNS_TRY(out.generation, read_u32(r, "device record.generation"));
  CPNS_TRY(out.set.value, r.bstr_of<8>("device record.set"));
  CPNS_TRY(out.gateway_temporary_key, read_secret_or_null(r, "device record.gateway_temporary_key"));
  CPNS_TRY(out.owner.value, r.bstr_of<16>("device record.owner"));
  CPNS_TRY(out.rekey_seconds, read_u32(r, "device record.rekey_seconds"));
  CPNS_TRY(out.not_after, read_time(r, "device record.not_after"));
  CPNS_TRY(out.incarnation, r.uint("device record.incarnation"));
  return {};
}

status read_history(reader& r, device_record& out) {
  CPNS_TRY(out.chain, read_chain(r));
  CPNS_TRY(out.resets, r.uint("device record.resets"));
  CPNS_TRY(out.to_report, read_epoch_or_null(r, "device record.to_report"));
  CPNS_TRY(out.keyed_since, read_time(r, "device record.keyed_since"));
  CPNS_TRY(out.budget_day, read_time(r, "device record.budget_day"));
  CPNS_TRY(out.unchained_built, read_u32(r, "device record.unchained_built"));
  CPNS_TRY(out.request, read_id_or_null<request_id>(r, "device record.request"));
  CPNS_TRY(out.request_is_refill, r.boolean("device record.request_is_refill"));
  CPNS_TRY(const auto transport, r.tstr("device record.last_transport", 0, text_max));
  out.last_transport = std::string{transport};
  CPNS_TRY(const auto address, r.tstr("device record.last_address", 0, text_max));
  out.last_address = std::string{address};
  return {};
}

/// All but the keys; `keys` reads those, up to the given use.
template <class Keys>
status read_record(reader& r, device_record& out, Keys keys) {
  CPNS_TRY(const bool first, read_names(r, out.entity, out.user));
  CPNS_CHECK(read_standing(r, out));
  CPNS_CHECK(read_set_of_device(r, out));
  CPNS_CHECK(keys(r, first ? key_use::own : key_use::lapsed));
  CPNS_CHECK(read_history(r, out));
  if (!first) {
    CPNS_TRY(out.sessions_from, read_epoch_or_null(r, "device record.sessions_from"));
  }
  CPNS_CHECK(r.end("device record"));
  return {};
}

}  // namespace

const held_key* device_record::own() const {
  const auto it =
      std::find_if(keys.begin(), keys.end(), [](const held_key& k) { return k.use == key_use::own; });
  return it == keys.end() ? nullptr : &*it;
}

bool device_record::own_is_withdrawn() const {
  const auto* key = own();
  return key != nullptr && sessions_from && key->which < *sessions_from;
}

const held_key* device_record::find(epoch e) const {
  const auto it = std::find_if(keys.begin(), keys.end(), [e](const held_key& k) { return k.which == e; });
  return it == keys.end() ? nullptr : &*it;
}

bool device_record::has_unproven() const {
  return std::any_of(keys.begin(), keys.end(), [](const held_key& k) { return k.use == key_use::unproven; });
}

std::size_t device_record::unused_count() const {
  return static_cast<std::size_t>(std::count_if(keys.begin(), keys.end(), [this](const held_key& k) {
    return k.use == key_use::unused && k.which.generation() == generation && k.set == set;
  }));
}

secret_bytes encode(const device_record& r) {
  const auto texts = r.standing_reason.size() + r.last_transport.size() + r.last_address.size();
  writer w{fixed_size + texts + key_size * r.keys.size()};
  const bool first = !r.sessions_from && std::none_of(r.keys.begin(), r.keys.end(),
                                                      [](const held_key& k) { return lacks_proof(k.use); });
  w.array(first ? fields_1 : fields).uint(first ? device_record_schema_1 : device_record_schema);
  w.tstr(r.entity.text()).tstr(r.user.text());
  w.boolean(r.approved).uint(static_cast<std::uint64_t>(r.standing)).tstr(bounded(r.standing_reason));
  w.uint(r.generation).bstr(r.set.value);
  write_or_null(w, r.gateway_temporary_key);
  w.bstr(r.owner.value).uint(r.rekey_seconds).uint(time_field(r.not_after)).uint(r.incarnation);
  w.array(r.keys.size());
  for (const auto& k : r.keys) write_key(w, k);
  write_chain(w, r.chain);
  w.uint(r.resets);
  write_or_null(w, r.to_report);
  w.uint(time_field(r.keyed_since)).uint(time_field(r.budget_day)).uint(r.unchained_built);
  write_or_null(w, r.request);
  w.boolean(r.request_is_refill).tstr(bounded(r.last_transport)).tstr(bounded(r.last_address));
  if (!first) write_or_null(w, r.sessions_from);
  return secret_bytes{w.take()};
}

result<device_record> decode_device_record(byte_view in) {
  reader r{in};
  device_record out;
  CPNS_CHECK(read_record(r, out, [&out](reader& from, key_use last) {
    return read_keys(
        from, last, [&out](std::size_t n) { out.keys.reserve(n); },
        [&out](const key_view& k) {
          out.keys.push_back({k.which, k.set, secret32{k.eukey}, k.use});
        });
  }));
  return out;
}

result<device_summary> decode_device_summary(byte_view in) {
  reader r{in};
  device_record rest;  // without its keys
  device_summary out;
  CPNS_CHECK(read_record(r, rest, [&](reader& from, key_use last) {
    return read_keys(
        from, last, [](std::size_t) {},
        [&](const key_view& k) {
          out.keyed = out.keyed || k.use == key_use::own;
          out.unproven = out.unproven || k.use == key_use::unproven;
          if (k.use == key_use::unused && k.which.generation() == rest.generation && k.set == rest.set)
            ++out.unused_keys;
        });
  }));
  out.entity = std::move(rest.entity);
  out.standing = rest.standing;
  out.rekey_seconds = rest.rekey_seconds;
  out.not_after = rest.not_after;
  out.keyed_since = rest.keyed_since;
  out.incarnation = rest.incarnation;
  out.to_report = rest.to_report;
  out.refills = rest.request && rest.request_is_refill;
  return out;
}

}  // namespace cpns::protocol
