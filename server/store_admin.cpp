#include "server/store_admin.hpp"

#include <algorithm>
#include <iterator>
#include <thread>

#include "base/text.hpp"
#include "crypto/psk_key.hpp"
#include "crypto/scram.hpp"
#include "server/admin_pages.hpp"
#include "server/awaited_write.hpp"
#include "server/index_rows.hpp"
#include "server/shared_changes.hpp"

namespace cpns::server {
namespace {

using storage::sealed_op;
using storage::table;

bytes row_of(const user_id& user) { return to_bytes(as_bytes(user.text())); }
bytes row_of(const entity_id& entity) { return to_bytes(as_bytes(entity.text())); }

constexpr std::size_t held_at_once = 256;

template <class Record>
result<std::vector<Record>> read_all(const storage::sealed_store& store, table t,
                                     result<Record> (*decode)(byte_view)) {
  std::vector<Record> out;
  status damaged;
  CPNS_CHECK(store.scan(t, {}, [&](byte_view, const secret_bytes& value) {
    auto record = decode(value.expose());
    if (!record) {
      damaged = fail(std::move(record).error());
      return false;
    }
    out.push_back(std::move(*record));
    return true;
  }));
  CPNS_CHECK(std::move(damaged));
  return out;
}

/// Of a row_decision.
using next_value = result<std::optional<secret_bytes>>;
bool comes_before(const protocol::entity_record& a, const protocol::entity_record& b) {
  return a.entity < b.entity;
}

result<std::vector<protocol::entity_record>> held_by(const storage::sealed_store& store,
                                                     const gateway_id& holder) {
  std::vector<protocol::entity_record> out;
  storage::page_end after{std::string{}};
  while (after) {
    CPNS_TRY(auto page, held_entities_page(store, {held_at_once, *after}, holder));
    std::move(page.held.begin(), page.held.end(), std::back_inserter(out));
    after = std::move(page.next);
  }
  std::sort(out.begin(), out.end(), comes_before);
  return out;
}

/// The rows of entities are large: a release writes them in parts.
constexpr std::size_t release_rows_max = 256;

}  // namespace

durable_write write_to(storage::sealed_store& store) {
  return [&store](const storage::sealed_batch& batch) { return store.write(batch); };
}

durable_write write_beside_others(std::function<void(storage::sealed_batch, storage::commit_done)> commit) {
  return [commit = std::move(commit)](const storage::sealed_batch& batch) -> status {
    constexpr milliseconds pause{50};
    constexpr int pauses_max = 40;
    for (int n = 0;; ++n) {
      awaited_write done;
      commit(batch, done.callback());
      auto outcome = done.wait();
      if (outcome || !(outcome.error() == errc::state_overloaded) || n == pauses_max) return outcome;
      std::this_thread::sleep_for(pause);
    }
  };
}

protocol::user_record make_user(const crypto::suite& s, entropy& random, const user_id& user,
                                const secret_bytes& password, time_point now) {
  protocol::user_record r;
  r.user = user;
  r.salt = random.draw<16>();
  r.iterations = crypto::scram_iterations_default;
  r.stored_key =
      crypto::scram_stored_key(s, crypto::scram_client_key(s, password.expose(), r.salt, r.iterations));
  r.created = unix_seconds(now);
  return r;
}

status until_not_lost(const std::function<status()>& change) {
  for (int tries = 0; tries < lost_races_max; ++tries) {
    auto done = change();
    if (done || !(done.error() == errc::store_conflict)) return done;
  }
  return fail(errc::state_conflict, "other servers changed the same object at the same time; try again");
}

status change_row(const storage::sealed_store& store, const durable_write& write,
                  const storage::row_name& name, const row_decision& decide) {
  return until_not_lost([&]() -> status {
    CPNS_TRY(const auto found, store.read_one(name.table, name.row));
    CPNS_TRY(auto next, decide(found.value));
    sealed_op op{name.table, name.row, std::move(next), found.version};
    op.announce = name.table == table::users;
    return write({std::move(op)});
  });
}

status add_user(const storage::sealed_store& store, const durable_write& write,
                const protocol::user_record& user) {
  return change_row(store, write, {table::users, row_of(user.user)}, [&](const auto& now) -> next_value {
    if (now)
      return fail(errc::state_exists, "the user " + user.user.text() + "; its password can be changed");
    return protocol::encode(user);
  });
}

status change_user(const storage::sealed_store& store, const durable_write& write,
                   protocol::user_record user) {
  return change_row(store, write, {table::users, row_of(user.user)}, [&](const auto& now) -> next_value {
    if (!now) return fail(errc::state_unknown, "the user " + user.user.text());
    CPNS_TRY(const auto before, protocol::decode_user_record(now->expose()));
    user.created = before.created;
    return protocol::encode(user);
  });
}

status remove_user(const storage::sealed_store& store, const durable_write& write, const user_id& user) {
  return change_row(store, write, {table::users, row_of(user)}, [&](const auto& now) -> next_value {
    if (!now) return fail(errc::state_unknown, "the user " + user.text());
    return std::nullopt;
  });
}

result<std::optional<protocol::user_record>> find_user(const storage::sealed_store& store,
                                                       const user_id& user) {
  CPNS_TRY(const auto row, store.get(table::users, row_of(user)));
  if (!row) return std::optional<protocol::user_record>{};
  CPNS_TRY(auto record, protocol::decode_user_record(row->expose()));
  return std::optional{std::move(record)};
}

result<std::vector<protocol::user_record>> list_users(const storage::sealed_store& store) {
  CPNS_TRY(auto all, read_all(store, table::users, protocol::decode_user_record));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.user < b.user; });
  return all;
}

status add_device(const storage::sealed_store& store, const durable_write& write,
                  const protocol::device_secret_record& device) {
  return until_not_lost([&]() -> status {
    CPNS_TRY(const auto found, store.read_one(table::devices, row_of(device.entity)));
    if (found.value)
      return fail(errc::state_exists,
                  "the device " + device.entity.text() + "; remove it first to give it another key");
    storage::sealed_batch batch;
    batch.push_back({table::devices, row_of(device.entity), protocol::encode(device), found.version});
    add_index_rows(batch, device);
    return write(std::move(batch));
  });
}

status remove_device(const storage::sealed_store& store, const durable_write& write,
                     const entity_id& entity) {
  return change_row(store, write, {table::devices, row_of(entity)}, [&](const auto& now) -> next_value {
    if (!now) return fail(errc::state_unknown, "the device " + entity.text());
    return std::nullopt;
  });
}

status block_device(const storage::sealed_store& store, const durable_write& write, const entity_id& entity) {
  protocol::device_secret_record row;
  row.entity = entity;
  row.blocked = true;
  return change_row(store, write, {table::devices, row_of(entity)},
                    [&](const auto&) -> next_value { return protocol::encode(row); });
}

result<std::optional<protocol::device_secret_record>> find_device(const storage::sealed_store& store,
                                                                  const entity_id& entity) {
  CPNS_TRY(const auto found, store.get(table::devices, row_of(entity)));
  if (!found) return std::optional<protocol::device_secret_record>{};
  CPNS_TRY(auto record, protocol::decode_device_secret_record(found->expose()));
  return std::optional{std::move(record)};
}

result<std::vector<protocol::device_secret_record>> list_devices(const storage::sealed_store& store) {
  CPNS_TRY(auto all, read_all(store, table::devices, protocol::decode_device_secret_record));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.entity < b.entity; });
  return all;
}

result<std::optional<protocol::entity_record>> find_entity(const storage::sealed_store& store,
                                                           const entity_id& entity) {
  CPNS_TRY(const auto row, store.get(storage::table::entities, as_bytes(entity.text())));
  if (!row) return std::optional<protocol::entity_record>{};
  CPNS_TRY(auto record, protocol::decode_entity_record(row->expose()));
  return std::optional{std::move(record)};
}

result<std::vector<protocol::entity_record>> held_entities(const storage::sealed_store& store,
                                                           const std::optional<gateway_id>& holder) {
  std::vector<protocol::entity_record> out;
  CPNS_TRY(const bool listed, index_complete(store));
  if (holder && listed) return held_by(store, *holder);
  status damaged;
  CPNS_CHECK(store.scan(storage::table::entities, {}, [&](byte_view, const secret_bytes& value) {
    auto record = protocol::decode_entity_record(value.expose());
    if (!record) {
      damaged = fail(std::move(record).error());
      return false;
    }
    if (record->holder && (!holder || record->holder == holder)) out.push_back(std::move(*record));
    return true;
  }));
  CPNS_CHECK(std::move(damaged));
  std::sort(out.begin(), out.end(), comes_before);
  return out;
}

namespace {

status release_part(storage::sealed_store& store, std::span<const protocol::entity_record> entities) {
  std::vector<storage::row_name> names;
  for (const auto& e : entities) names.push_back({table::entities, row_of(e.entity)});
  auto rows = store.read(names);
  storage::sealed_batch batch;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CPNS_TRY(const auto row, std::move(rows[i]));
    const auto& e = entities[i];
    if (!row.value) return fail(errc::state_unknown, "the device " + e.entity.text());
    CPNS_TRY(auto now, protocol::decode_entity_record(row.value->expose()));
    if (now.holder != e.holder)
      return fail(errc::state_conflict, "the device " + e.entity.text() +
                                            " has another holder by now; list the devices and try again");
    protocol::release_holder(now);
    batch.push_back({table::entities, names[i].row, protocol::encode(now), row.version});
  }
  return store.write(batch);
}

}  // namespace

status release_entities(storage::sealed_store& store, std::vector<protocol::entity_record> entities) {
  std::span<const protocol::entity_record> rest{entities};
  while (!rest.empty()) {
    const auto part = rest.first(std::min(rest.size(), release_rows_max));
    CPNS_CHECK(until_not_lost([&] { return release_part(store, part); }));
    rest = rest.subspan(part.size());
  }
  return {};
}

result<std::string> parse_psk_identity(std::string_view text) {
  if (is_psk_identity(text)) return std::string{text};
  return fail(errc::config_usage, shown(text) + " is not the identity of a gateway with a pre-shared key: " +
                                      std::string{psk_identity_prefix} +
                                      " and 1 to 64 of the characters A-Z a-z 0-9 . _ -");
}

/// No certificate with another URI is accepted.
constexpr std::size_t gateway_uri_max = 255;

result<gateway_id> parse_gateway(std::string_view text) {
  const bool is_uri = text.size() <= gateway_uri_max && text.find(':') != std::string_view::npos &&
                      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (is_uri && text.starts_with(psk_identity_prefix)) CPNS_CHECK(parse_psk_identity(text));
  if (is_uri) return crypto::derive_gateway_id(crypto::openssl_suite(), crypto::kind_of_gateway(text), text);
  if (const auto bytes = from_hex(text); bytes && bytes->size() == gateway_id::size) {
    gateway_id gw;
    std::copy(bytes->begin(), bytes->end(), gw.value.begin());
    return gw;
  }
  return fail(errc::config_usage, shown(text) + " is neither the URI of a gateway's certificate, such as "
                                                "urn:cpns:gw:gw1, nor the 32 digits of its gw in the log");
}

bytes gateway_row(const gateway_id& gw) { return to_bytes(gw.value); }

result<std::optional<protocol::gateway_record>> find_gateway(const storage::sealed_store& store,
                                                             const gateway_id& gw) {
  CPNS_TRY(const auto row, store.get(table::gateways, gateway_row(gw)));
  if (!row) return std::optional<protocol::gateway_record>{};
  CPNS_TRY(auto record, protocol::decode_gateway_record(row->expose()));
  return std::optional{std::move(record)};
}

status block_gateway(storage::sealed_store& store, const gateway_id& gw, const std::string& uri,
                     std::int64_t since) {
  return until_not_lost([&]() -> status {
    CPNS_TRY(const auto found, store.read_one(table::gateways, gateway_row(gw)));
    protocol::gateway_record r;
    if (found.value) {
      CPNS_TRY(r, protocol::decode_gateway_record(found.value->expose()));
    }
    r.gw = gw;
    if (r.uri.empty()) r.uri = uri;
    r.blocked_since = since;
    storage::sealed_batch batch{{table::gateways, gateway_row(gw), protocol::encode(r), found.version}};
    tell_change(store, batch, changes_of::gateways);
    return store.write(batch);
  });
}

}  // namespace cpns::server
