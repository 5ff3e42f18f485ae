#include "audit/server_states.hpp"

#include <boost/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "crypto/psk_key.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/import_records.hpp"

namespace cpns::audit {
namespace {

constexpr std::size_t password_id_bytes = 4;

boost::json::value text_or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return boost::json::value(text);
}
boost::json::value owner_of(const std::optional<user_id>& owner) {
  return text_or_null(owner ? owner->text() : std::string{});
}

template <class Record>
result<boost::json::value> state_in(const storage::sealed_store& store, storage::table t,
                                    const std::string& row, result<Record> (*decode)(byte_view)) {
  if (row.empty() || row.size() > storage::max_sealed_row_size) return boost::json::value(nullptr);
  CPNS_TRY(const auto found, store.get(t, as_bytes(row)));
  if (!found) return boost::json::value(nullptr);
  CPNS_TRY(const auto record, decode(found->expose()));
  return state_of(record);
}

/// `now` is one of the two states, or the outcome is not known.
outcome judge(const result<boost::json::value>& now, const boost::json::value& before,
              const boost::json::value& after) {
  if (!now) return {verdict::unknown, "the store cannot be read: " + now.error().message()};
  if (before == after)
    return {verdict::unknown, "the states before and after the change do not differ", *now};
  if (*now == after) return {verdict::done, {}, *now};
  if (*now == before) return {verdict::not_done, "the store has the state from before the change", *now};
  return {verdict::unknown, "the store has another state", *now};
}

/// The member of the state, null if it has none.
boost::json::value member(const boost::json::value& state, const char* name) {
  const auto* o = state.if_object();
  const auto* found = o == nullptr ? nullptr : o->if_contains(name);
  return found == nullptr ? boost::json::value(nullptr) : *found;
}

/// A command knows the row that it writes. The API knows the name alone: a password gets its salt, and so its
/// password_id, after the intent.
outcome judge_user(const result<boost::json::value>& now, const unfinished& u) {
  constexpr const char* id = "password_id";
  if (!now || !member(u.after, id).is_null()) return judge(now, u.before, u.after);
  if (*now == u.before) return {verdict::not_done, "the store has the state from before the change", *now};
  const bool expected = u.action == user_add ? u.before.is_null() : !u.before.is_null() && !now->is_null();
  if (expected && member(*now, id) != member(u.before, id)) return {verdict::done, {}, *now};
  return {verdict::unknown, "the store has another state", *now};
}

/// An interrupted request of the API releases a part of the entities, and does not know how many there are.
outcome judge_release(const result<boost::json::value>& now, const unfinished& u) {
  if (!now || !member(u.after, "held").is_null()) return judge(now, u.before, u.after);
  if (*now == release_state(0)) return {verdict::done, {}, *now};
  return {verdict::unknown, "a part of the devices may be released; repeat the request for the others", *now};
}

/// An import is decided by one write of its record; from then on each start of the server goes on with it.
outcome judge_import(const storage::sealed_store& store, const unfinished& u) {
  const auto* after = u.after.if_object();
  const auto* name = after == nullptr ? nullptr : after->if_contains("import");
  if (name == nullptr || !name->is_string()) return {verdict::unknown, "the line does not name the import"};
  const std::string text{name->get_string().data(), name->get_string().size()};
  const auto found = store.get(storage::table::imports, as_bytes(protocol::import_row(text)));
  if (!found) return {verdict::unknown, "the store cannot be read: " + found.error().message()};
  if (!*found) return {verdict::unknown, "the store has nothing of the import any more"};
  const auto r = protocol::decode_import_record((*found)->expose());
  if (!r) return {verdict::unknown, r.error().message()};
  const boost::json::object now{{"imported", r->imported}, {"left_out", r->bad}};
  switch (r->state) {
  case protocol::import_state::importing: return {verdict::done, "the server goes on with the import", now};
  case protocol::import_state::done: return {verdict::done, {}, now};
  case protocol::import_state::refused:
    return {verdict::refused, std::to_string(r->bad) + " rows cannot be used", now};
  default: return {verdict::not_done, "the import was not decided", now};
  }
}

/// nullopt if it is neither the URI of a certificate nor a gw_id in hexadecimal.
std::optional<gateway_id> gateway_in(const std::string& name) {
  if (name.find(':') != std::string::npos)
    return crypto::derive_gateway_id(crypto::openssl_suite(), crypto::kind_of_gateway(name), name);
  const auto raw = from_hex(name);
  if (!raw || raw->size() != gateway_id::size) return std::nullopt;
  return gateway_id{first<gateway_id::size>(*raw)};
}

/// The number of entities that the gateway holds now.
result<boost::json::value> held_by(const storage::sealed_store& store, const std::string& gateway) {
  const auto gw = gateway_in(gateway);
  if (!gw) return fail(errc::config_usage, "the name of the gateway is not known");
  std::size_t held = 0;
  status damaged;
  CPNS_CHECK(store.scan(storage::table::entities, {}, [&](byte_view, const secret_bytes& value) {
    const auto r = protocol::decode_entity_record(value.expose());
    if (!r)
      damaged = fail(r.error());
    else if (r->holder == gw)
      ++held;
    return damaged.has_value();
  }));
  CPNS_CHECK(std::move(damaged));
  return release_state(held);
}

}  // namespace

boost::json::value state_of(const protocol::user_record& r) {
  const auto digest = crypto::openssl_suite().sha256(r.salt);
  return boost::json::object{{"created", rfc3339_text(time_point(seconds(r.created)))},
                             {"iterations", static_cast<std::int64_t>(r.iterations)},
                             {"password_id", to_hex(byte_view(digest).first(password_id_bytes))}};
}

boost::json::value state_of(const protocol::device_secret_record& r) {
  if (r.blocked) return boost::json::object{{"blocked", true}};
  return boost::json::object{{"strength", r.stretched ? "stretch" : "128bit"},
                             {"owner", owner_of(r.owner)},
                             {"presence", r.require_presence},
                             {"batch", text_or_null(r.batch)}};
}

boost::json::value state_of(const protocol::batch_record& r) {
  boost::json::array ids;
  for (const auto& id : r.ids) ids.emplace_back(id.text());
  return boost::json::object{{"entities", std::move(ids)}};
}

boost::json::value state_of(const protocol::entity_record& r) {
  std::string holder;
  if (r.holder) holder = r.holder_uri.empty() ? r.holder->hex() : r.holder_uri;
  return boost::json::object{{"owner", owner_of(r.owner)}, {"holder", text_or_null(holder)}};
}

boost::json::value state_of(const protocol::gateway_record& r) {
  return boost::json::object{{"blocked", r.blocked_since != 0}};
}

result<boost::json::value> gateway_state(const storage::sealed_store& store, const std::string& gateway) {
  const auto gw = gateway_in(gateway);
  if (!gw) return fail(errc::config_usage, "the name of the gateway is not known");
  return state_in(store, storage::table::gateways, std::string{as_text(gw->value)},
                  protocol::decode_gateway_record);
}

result<boost::json::value> user_state(const storage::sealed_store& store, const std::string& user) {
  return state_in(store, storage::table::users, user, protocol::decode_user_record);
}
result<boost::json::value> device_state(const storage::sealed_store& store, const std::string& entity) {
  return state_in(store, storage::table::devices, entity, protocol::decode_device_secret_record);
}
result<boost::json::value> batch_state(const storage::sealed_store& store, const std::string& batch) {
  return state_in(store, storage::table::batches, batch, protocol::decode_batch_record);
}
result<boost::json::value> entity_state(const storage::sealed_store& store, const std::string& entity) {
  return state_in(store, storage::table::entities, entity, protocol::decode_entity_record);
}

boost::json::value gateway_key_state(bool has_key) { return boost::json::object{{"key", has_key}}; }

result<boost::json::value> gateway_key_state(const storage::sealed_store& store, const std::string& gateway) {
  const auto gw = gateway_in(gateway);
  if (!gw) return fail(errc::config_usage, "the name of the gateway is not known");
  CPNS_TRY(const auto found, store.get(storage::table::gateways, gw->value));
  if (!found) return gateway_key_state(false);
  CPNS_TRY(const auto record, protocol::decode_gateway_record(found->expose()));
  return gateway_key_state(record.psk.has_value());
}

boost::json::value release_state(std::size_t held) {
  return boost::json::object{{"held", static_cast<std::int64_t>(held)}};
}

resolver resolve_in_store(const storage::sealed_store& store) {
  return [&store](const unfinished& u) -> outcome {
    const auto& a = u.action;
    if (a == user_add || a == user_password) return judge_user(user_state(store, u.object), u);
    // The body of the request, which has no members, may be there.
    if (a == user_remove) return judge(user_state(store, u.object), u.before, nullptr);
    if (a == device_add || a == device_block) return judge(device_state(store, u.object), u.before, u.after);
    if (a == device_remove) return judge(device_state(store, u.object), u.before, nullptr);
    if (a == batch_add) return judge(batch_state(store, u.object), u.before, u.after);
    if (a == batch_remove) return judge(batch_state(store, u.object), u.before, nullptr);
    if (a == batch_export) return {verdict::unknown, "the Temporary Keys may have been read"};
    if (a == device_import) return judge_import(store, u);
    if (a == entity_release) return judge(entity_state(store, u.object), u.before, u.after);
    if (a == gateway_block || a == gateway_unblock)
      return judge(gateway_state(store, u.object), u.before, u.after);
    if (a == gateway_key_add || a == gateway_key_remove)
      return judge(gateway_key_state(store, u.object), u.before, u.after);
    if (a == gateway_release) return judge_release(held_by(store, u.object), u);
    return {verdict::unknown, "the store does not tell what became of this change"};
  };
}

}  // namespace cpns::audit
