#include "cli/stores.hpp"

#include <algorithm>

#include "actors/key_source.hpp"
#include "base/text.hpp"
#include "cli/terminal.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "crypto/key_schedule.hpp"
#include "crypto/scram.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"

namespace cpns::cli {
namespace {

using storage::sealed_batch;
using storage::sealed_op;
using storage::table;

bytes row_of(const user_id& user) { return to_bytes(as_bytes(user.text())); }
bytes row_of(const entity_id& entity) { return to_bytes(as_bytes(entity.text())); }

result<bool> has_user(const storage::sealed_store& store, const user_id& user) {
  CPNS_TRY(const auto found, store.get(table::users, row_of(user)));
  return found.has_value();
}

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

/// The rows of entities are large: a release writes them in parts.
constexpr std::size_t release_rows_max = 256;

/// `e`, with the cause if `cpns store rewrap --in-place` was interrupted.
error with_rewrap_hint(error e, storage::store& under, const config::protector_config& c) {
  if (c.kind != config::protector_kind::file || e.code != errc::store_key) return e;
  const auto next = storage::next_key_file(c.file);
  const auto key = storage::open_key_file(next);
  if (key && storage::sealed_store::open(under, **key, crypto::system_entropy()))
    e.detail += "; " + storage::interrupted_rewrap(next);
  return e;
}

}  // namespace

result<std::unique_ptr<storage::key_protector>> open_protector(const config::protector_config& c) {
  return storage::open_protector(actors::key_source_of(c));
}

result<std::unique_ptr<storage::store>> open_raw_store(const config::store_config& c) {
  if (c.kind == config::store_kind::rocksdb) return storage::open_rocksdb_store(c.path, c.give_up_after);
  return std::unique_ptr<storage::store>(std::make_unique<storage::memory_store>());
}

result<opened_store> opened_store::open(const config::store_config& store,
                                        const config::protector_config& protector, config::role_kind role) {
  opened_store out;
  CPNS_TRY(const auto key, open_protector(protector));
  CPNS_TRY(out.under_, open_raw_store(store));
  auto sealed = storage::sealed_store::open(*out.under_, *key, crypto::system_entropy());
  if (!sealed) return fail(with_rewrap_hint(std::move(sealed).error(), *out.under_, protector));
  out.sealed_ = std::move(*sealed);
  std::vector<storage::key_place> places;
  if (store.kind == config::store_kind::rocksdb) places.push_back(out.sealed_->data_key(store.path.string()));
  out.keys_ = std::make_unique<storage::key_changer>(actors::key_source_of(protector), std::move(places),
                                                     store.path.string(), std::string{config::word_of(role)});
  return out;
}

result<opened_store> open_server_store(const config::server_config& c) {
  if (c.store.kind == config::store_kind::memory)
    return fail(
        errc::config_usage,
        "this server keeps its store in memory, which only the running server sees; set store.kind to "
        "rocksdb");
  auto opened = opened_store::open(c.store, c.protector);
  if (!opened && opened.error().code == errc::store_locked)
    return fail(errc::store_locked,
                c.store.path.string() +
                    ": the server is running; stop it, repeat the command, start it again");
  return opened;
}

result<opened_store> open_server_store(const std::filesystem::path& config_file) {
  const auto c = config::load_server(config_file);
  if (!c) return fail(c.error().as_error());
  return open_server_store(*c);
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

status add_user(storage::sealed_store& store, const protocol::user_record& user) {
  CPNS_TRY(const bool exists, has_user(store, user.user));
  if (exists)
    return fail(errc::state_exists,
                "the user " + user.user.text() + "; `cpns user passwd` changes the password");
  return store.write({sealed_op{table::users, row_of(user.user), protocol::encode(user)}});
}

status change_user(storage::sealed_store& store, protocol::user_record user) {
  CPNS_TRY(const auto found, store.get(table::users, row_of(user.user)));
  if (!found) return fail(errc::state_unknown, "the user " + user.user.text());
  CPNS_TRY(const auto before, protocol::decode_user_record(found->expose()));
  user.created = before.created;
  return store.write({sealed_op{table::users, row_of(user.user), protocol::encode(user)}});
}

status remove_user(storage::sealed_store& store, const user_id& user) {
  CPNS_TRY(const bool exists, has_user(store, user));
  if (!exists) return fail(errc::state_unknown, "the user " + user.text());
  return store.write({sealed_op{table::users, row_of(user), std::nullopt}});
}

result<std::vector<protocol::user_record>> list_users(const storage::sealed_store& store) {
  CPNS_TRY(auto all, read_all(store, table::users, protocol::decode_user_record));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.user < b.user; });
  return all;
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
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.entity < b.entity; });
  return out;
}

status release_entities(storage::sealed_store& store, std::vector<protocol::entity_record> entities) {
  storage::sealed_batch batch;
  for (std::size_t i = 0; i < entities.size(); ++i) {
    auto& e = entities[i];
    protocol::release_holder(e);
    batch.push_back({storage::table::entities, to_bytes(as_bytes(e.entity.text())), protocol::encode(e)});
    if (batch.size() < release_rows_max && i + 1 < entities.size()) continue;
    CPNS_CHECK(store.write(batch));
    batch.clear();
  }
  return {};
}

result<gateway_id> parse_gateway(std::string_view text) {
  if (text.find(':') != std::string_view::npos)
    return crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::x509, text);
  if (const auto bytes = from_hex(text); bytes && bytes->size() == gateway_id::size) {
    gateway_id gw;
    std::copy(bytes->begin(), bytes->end(), gw.value.begin());
    return gw;
  }
  return fail(errc::config_usage, shown(text) + " is neither the URI of a gateway's certificate, such as "
                                                "urn:cpns:gw:gw1, nor the 32 digits of its gw in the log");
}

}  // namespace cpns::cli
