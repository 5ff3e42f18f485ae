#include "cli/migrate.hpp"

#include <boost/json.hpp>
#include <iostream>
#include <variant>

#include "cli/audited.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "server/heartbeat.hpp"
#include "server/older_nodes.hpp"
#include "storage/data_key.hpp"
#include "storage/postgres/postgres_store.hpp"

namespace cpns::cli {
namespace {

constexpr std::size_t rows_at_once = 256;

result<migrated_rows> migrate_rows(storage::sealed_store& store,
                                   const std::function<void(std::size_t)>& progress) {
  migrated_rows out;
  std::size_t looked_at = 0;
  const auto damaged = [&out](const error& e) {
    ++out.unreadable;
    std::cerr << "cpns: warning: " << e.message() << "\n";
  };
  for (const auto t : storage::all_tables) {
    storage::page_end after{std::string{}};
    while (after) {
      CPNS_TRY(after, store.migrate(t, *after, rows_at_once, out.rows, damaged));
      looked_at += rows_at_once;
      if (after) progress(looked_at);
    }
  }
  out.complete = out.unreadable == 0;
  if (out.complete && !store.refuses_schema_1()) CPNS_CHECK(store.refuse_schema_1());
  return out;
}

template <class Config>
result<migrated_rows> migrate_role(const Config& c, config::role_kind role,
                                   const std::function<void(std::size_t)>& progress) {
  if (c.store.kind == config::store_kind::memory)
    return fail(errc::config_usage,
                "the " + std::string(config::word_of(role)) + " keeps its store in memory");
  // Opening would create a store.
  std::error_code ec;
  if (!std::filesystem::exists(c.store.path, ec))
    return fail(errc::state_unknown, "a store of this role: there is nothing at " + c.store.path.string());
  auto store = opened_store::open(c.store, c.protector, role);
  if (!store && store.error() == errc::store_locked)
    return fail(errc::store_locked, c.store.path.string() + ": the " + std::string(config::word_of(role)) +
                                        " is running; stop it, repeat the command, start it again");
  if (!store) return fail(std::move(store).error());
  CPNS_TRY(const auto trail, open_trail(c, store->sealed()));
  const auto ended = [](const result<migrated_rows>& done) {
    if (done->complete) return audit::outcome{};
    return audit::outcome{audit::verdict::failed,
                          std::to_string(done->unreadable) + " rows cannot be decrypted"};
  };
  return with_audit(
      *trail, change_by_command(store_migrate, {}, {}, {}),
      [&] { return migrate_rows(store->sealed(), progress); }, ended);
}

status check_no_older_server(const config::server_config& c, const storage::postgres_settings& s,
                             std::uint64_t oldest) {
  CPNS_TRY(const auto under, storage::open_postgres_store_in_migration(s));
  CPNS_TRY(const auto wrapped, storage::data_key_of(*under, place_of_store(c.store)).read());
  if (!wrapped) return {};  // no server has started yet
  CPNS_TRY(const auto key, open_protector(c.protector));
  CPNS_TRY(const auto sealed, storage::sealed_store::open(*under, *key, crypto::system_entropy()));
  return server::check_no_older_node(*sealed, oldest, server::heartbeat_times{}.silent);
}

}  // namespace

result<storage::schema_change> migrate_database(const config::server_config& c, const database_owner& owner,
                                                bool contract) {
  if (owner.user.empty() && !owner.password_file.empty())
    return fail(errc::config_usage, "--password-file needs --user, the role that has this password");
  auto s = database_of(c.store);
  if (!owner.user.empty()) {
    s.user = owner.user;
    s.password_file = owner.password_file;
  }
  return storage::migrate_postgres_schema(
      s, owner.node_role,
      {.newest = contract,
       .nobody_older = [&](std::uint64_t oldest) { return check_no_older_server(c, s, oldest); },
       .notice = server::heartbeat_times{}.fresh});
}

result<migrated_rows> migrate_store(const std::filesystem::path& config_file,
                                    const std::function<void(std::size_t)>& progress) {
  const auto checked = config::check_file(config_file);
  if (!checked) return fail(checked.error().as_error());
  return std::visit(
      [&](const auto& c) -> result<migrated_rows> {
        if constexpr (requires { c.store; })
          return migrate_role(c, checked->role, progress);
        else
          return fail(errc::config_usage, "a PNE has key files and no store: there is nothing to migrate");
      },
      checked->config);
}

}  // namespace cpns::cli
