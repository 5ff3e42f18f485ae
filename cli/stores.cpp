#include "cli/stores.hpp"

#include "api/unix_socket.hpp"

#include <charconv>

#include "actors/key_source.hpp"
#include "base/text.hpp"
#include "cli/terminal.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "server/unfinished_import.hpp"
#include "storage/memory_store.hpp"
#include "storage/postgres/postgres_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/store_folder.hpp"

namespace cpns::cli {
namespace {

/// The name of the file ends with the port.
storage::postgres_host host_of_socket(const std::filesystem::path& socket) {
  const auto name = socket.filename().string();
  std::uint16_t port = 0;
  std::from_chars(name.data() + name.rfind('.') + 1, name.data() + name.size(), port);
  return {socket.parent_path().string(), port};
}

storage::postgres_tls tls_of(config::database_tls tls) {
  switch (tls) {
  case config::database_tls::disable: return storage::postgres_tls::disable;
  case config::database_tls::require: return storage::postgres_tls::require;
  case config::database_tls::verify_ca: return storage::postgres_tls::verify_ca;
  case config::database_tls::verify_full: break;
  }
  return storage::postgres_tls::verify_full;
}

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

result<std::unique_ptr<storage::store>> open_raw_store(const config::store_config& c, config::role_kind role,
                                                       const config::store_memory& memory) {
  switch (c.kind) {
  case config::store_kind::rocksdb: {
    auto s = role == config::role_kind::server ? storage::busy_store : storage::rocksdb_settings{};
    s.timeout = c.give_up_after;
    s.cache = memory.cache;
    if (memory.write_buffer != 0) s.write_buffer = memory.write_buffer;
    return storage::open_rocksdb_store(c.path, s);
  }
  case config::store_kind::postgresql: {
    CPNS_TRY(auto node, storage::claim_node_folder(c.path, crypto::system_entropy()));
    return storage::open_postgres_store(database_of(c), std::move(node));
  }
  case config::store_kind::memory: break;
  }
  return std::unique_ptr<storage::store>(std::make_unique<storage::memory_store>());
}

result<std::unique_ptr<storage::store>> open_store_for_reading(const config::store_config& c) {
  if (c.kind == config::store_kind::postgresql) return storage::open_postgres_store(database_of(c));
  return storage::open_rocksdb_store_for_reading(c.path);
}

storage::postgres_settings database_of(const config::store_config& c) {
  const auto& from = *c.postgresql;
  storage::postgres_settings out;
  for (const auto& h : from.hosts) out.hosts.push_back({h.host, h.port});
  if (!from.socket.empty()) out.hosts.push_back(host_of_socket(from.socket));
  out.database = from.database;
  out.user = from.user;
  out.password_file = from.password_file;
  out.root_certificate = from.ca;
  // A Unix socket has no TLS, which the default asks for.
  out.tls = from.socket.empty() ? tls_of(from.tls) : storage::postgres_tls::disable;
  out.statements = from.statements == config::database_statements::portable
                       ? storage::postgres_statements::portable
                       : storage::postgres_statements::batch;
  return out;
}

std::string place_of_store(const config::store_config& c) {
  return c.kind == config::store_kind::postgresql ? "the database" : c.path.string();
}

result<opened_store> opened_store::open(const config::store_config& store,
                                        const config::protector_config& protector, config::role_kind role,
                                        const config::store_memory& memory) {
  opened_store out;
  CPNS_TRY(const auto key, open_protector(protector));
  CPNS_TRY(out.under_, open_raw_store(store, role, memory));
  auto sealed = storage::sealed_store::open(*out.under_, *key, crypto::system_entropy());
  if (!sealed) return fail(with_rewrap_hint(std::move(sealed).error(), *out.under_, protector));
  out.sealed_ = std::move(*sealed);
  std::vector<storage::key_place> places;
  if (store.kind != config::store_kind::memory)
    places.push_back(out.sealed_->data_key(place_of_store(store)));
  out.keys_ = std::make_unique<storage::key_changer>(actors::key_source_of(protector), std::move(places),
                                                     store.path.string(), std::string{config::word_of(role)});
  return out;
}

bool has_no_room_for_socket(const config::api_config& c) {
  return c.socket && c.socket_is_default && c.socket->string().size() > api::socket_path_max;
}

/// Of a role that runs, although it cannot be asked.
static std::string why_no_api(const config::api_config& c) {
  if (!c.socket) return " without an API ('api.socket: none')";
  if (!has_no_room_for_socket(c)) return {};
  return " without an API, because the default path of its socket has " +
         std::to_string(c.socket->string().size()) + " bytes, and " + std::to_string(api::socket_path_max) +
         " are the most: set 'api.socket' to a shorter one";
}

result<opened_store> open_server_store(const config::server_config& c) {
  if (c.store.kind == config::store_kind::memory)
    return fail(
        errc::config_usage,
        "this server keeps its store in memory, which only the running server sees; set store.kind to "
        "rocksdb");
  auto opened = opened_store::open(c.store, c.protector);
  if (!opened && opened.error().code == errc::store_locked)
    return fail(errc::store_locked, c.store.path.string() + ": the server is running" + why_no_api(c.api) +
                                        "; stop it, repeat the command, start it again");
  if (opened) CPNS_CHECK(server::check_import_finished(opened->sealed()));
  return opened;
}

result<opened_store> open_server_store(const std::filesystem::path& config_file) {
  const auto c = config::load_server(config_file);
  if (!c) return fail(c.error().as_error());
  return open_server_store(*c);
}

}  // namespace cpns::cli
