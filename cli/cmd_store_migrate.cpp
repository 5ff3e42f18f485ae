#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.hpp"
#include "cli/migrate.hpp"
#include "cli/terminal.hpp"
#include "config/loader.hpp"
#include "storage/postgres/schema.hpp"

namespace cpns::cli {
namespace {

struct migrate_options {
  std::string config;
  database_owner owner;
  bool contract = false;
  bool json = false;
};

int migrate_tables(const migrate_options& o, const config::server_config& c) {
  const auto done = migrate_database(c, o.owner, o.contract);
  if (!done) return report(done.error());
  if (o.json)
    std::cout << boost::json::serialize(boost::json::object{
                     {"schema_before", done->before}, {"schema", done->now}, {"oldest", done->oldest}})
              << "\n";
  else if (done->before == done->now && !o.contract)
    std::cout << "The database has schema " << done->now << " already; nothing was changed"
              << (o.owner.node_role ? " but the rights of " + *o.owner.node_role : std::string{}) << ".\n";
  else
    std::cout << "The database has schema " << done->now << " now, and had "
              << (done->before == 0 ? "none" : "schema " + std::to_string(done->before))
              << " before. A server must know schema " << done->oldest << " to use it.\n";
  return exit_done;
}

int migrate_rows_of(const migrate_options& o) {
  const auto done = migrate_store(o.config, [&o](std::size_t rows) {
    if (!o.json) show_status(std::to_string(rows) + " rows read");
  });
  if (!o.json) clear_status();
  if (!done) return report(done.error());
  if (o.json)
    std::cout << boost::json::serialize(boost::json::object{{"migrated", done->rows},
                                                            {"unreadable", done->unreadable},
                                                            {"complete", done->complete}})
              << "\n";
  else if (done->complete)
    std::cout << "Migrated " << done->rows << (done->rows == 1 ? " row" : " rows")
              << ". Every row has a version, and the store refuses a row without one.\n";
  else
    std::cout
        << "Migrated " << done->rows << (done->rows == 1 ? " row; " : " rows; ") << done->unreadable
        << " cannot be decrypted and stay, so the store goes on reading rows without a version. Restore a "
           "backup, or remove what they belong to.\n";
  return done->complete ? exit_done : exit_failed;
}

int run_migrate(const migrate_options& o) {
  const auto c = config::check_file(o.config);
  if (!c) return report(c.error().as_error());
  const auto* server = std::get_if<config::server_config>(&c->config);
  if (server != nullptr && server->store.kind == config::store_kind::postgresql)
    return migrate_tables(o, *server);
  if (o.owner.given() || o.contract)
    return report({errc::config_usage,
                   "--user, --password-file, --node-role and --contract are for a server whose "
                   "'store.kind' is postgresql"});
  return migrate_rows_of(o);
}

void add_migrate(CLI::App& store, int& code) {
  const auto o = std::make_shared<migrate_options>();
  auto* c = store.add_subcommand(
      "migrate", "After an upgrade: bring a store to this release; make the tables of a database");
  c->add_option("--config", o->config, "The configuration of a server or a gateway, which names the store")
      ->required();
  c->add_option("--user", o->owner.user,
                "Database: the role that owns the tables, in place of that of the configuration");
  c->add_option("--password-file", o->owner.password_file,
                "Database: the first line of this file of mode 0600 is its password");
  c->add_option("--node-role", o->owner.node_role,
                "Database: give this role the rights that a server needs, and no more");
  c->add_flag("--contract", o->contract,
              "Database: also remove what only servers of the release before need, when none of them runs");
  c->add_flag("--json", o->json, "Print the outcome as JSON");
  c->footer(
      R"(A store in a folder (rocksdb): releases before this one wrote rows without a version (schema 1). They are read
as they are, and get a version when they are written the next time. Until the last one has it, somebody who can
write to the disk can put an old row without a version back, for example an older set of keys. The command
rewrites them all; then the store refuses such rows for good. An older release cannot open the store any more, as
after each start of this one. Stop the role first. If the command is interrupted, repeat it. A store that a
release with versions made needs no migration; the command then changes nothing.

A database (postgresql): the command makes the tables, or adds to them. Servers may run meanwhile; one of the
release before goes on with the newer schema, and can be restarted. Only the role that owns the tables needs the
right to do so: name it with --user, and the role of the servers with --node-role.
What only the release before needs is removed by the next release, before it adds its own, or by --contract. From
then on a server of the release before is refused. The command refuses to do so while the heartbeat of such a
server is fresh, and names it; it reads the heartbeats with the key of the configuration.

Exit codes: 0 every row has a version, or the tables are there, 1 failed, or rows cannot be decrypted,
2 invalid command line.

Examples:
  cpns store migrate --config trial/server.yaml
  cpns store migrate --config trial/gateway.yaml --json
  cpns store migrate --config node1.yaml --user cpns_owner --password-file owner.password --node-role cpns_node
  cpns store migrate --config node1.yaml --user cpns_owner --password-file owner.password --contract)");
  c->callback([o, &code] { code = run_migrate(*o); });
}

void add_schema(CLI::App& store, int& code) {
  const auto dialect = std::make_shared<std::string>("postgresql");
  auto* c = store.add_subcommand("schema", "Print the tables of a database as SQL");
  c->add_option("--dialect", *dialect, "postgresql, or portable for other engines that speak its protocol")
      ->check(CLI::IsMember({"postgresql", "portable"}))
      ->capture_default_str();
  c->footer(
      R"(For an operator who lets no program change a schema: the statements that `cpns store migrate` executes. They may
be repeated. The rights of the servers' role are at the end, as comments.

Exit codes: 0 printed, 2 invalid command line.

Examples:
  cpns store schema
  cpns store schema --dialect portable >cpns.sql)");
  c->callback([dialect, &code] {
    std::cout << storage::postgres_schema_text(*dialect == "portable" ? storage::postgres_statements::portable
                                                                      : storage::postgres_statements::batch);
    code = exit_done;
  });
}

}  // namespace

void add_store_migrate(CLI::App& store, int& code) {
  add_migrate(store, code);
  add_schema(store, code);
}

}  // namespace cpns::cli
