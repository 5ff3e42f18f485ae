#include "storage/postgres/schema.hpp"

#include <algorithm>

#include "storage/postgres/pool.hpp"
#include "storage/postgres/statements.hpp"

namespace cpns::storage {

namespace postgres {

namespace {

constexpr milliseconds migration_limit{60'000};
constexpr int migration_attempts = 5;
constexpr std::string_view migrate_remedy = "; run `cpns store migrate` with the role that owns the tables";

/// One version of the schema. Its statements may be repeated.
struct migration {
  std::uint64_t version;
  std::uint64_t oldest;  ///< postgres_schema_version of the oldest program that may use it
  std::vector<std::string> (*statements)(postgres_statements dialect);
};

/// Rows of staged imports are written once; all others have space on their page for their next version, which then needs
/// no change of the index. Sealed values do not compress, and a row of a few kilobytes is cheaper in the table itself.
std::string storage_of(table t) {
  if (t == table::imports) return "";
  return " WITH (fillfactor = 70, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05)";
}

std::vector<std::string> first_tables(postgres_statements dialect) {
  std::vector<std::string> out;
  for (const auto t : all_tables) {
    const bool tuned = dialect == postgres_statements::batch;
    out.push_back("CREATE TABLE IF NOT EXISTS " + table_name(t) +
                  " (row bytea PRIMARY KEY, version bigint NOT NULL, value bytea NOT NULL)" +
                  (tuned ? storage_of(t) : ""));
    if (tuned) out.push_back("ALTER TABLE " + table_name(t) + " ALTER COLUMN value SET STORAGE EXTERNAL");
  }
  return out;
}

constexpr migration migrations[] = {{1, 1, first_tables}};
static_assert(std::end(migrations)[-1].version == postgres_schema_version);

std::vector<std::string> before_all() {
  return {"CREATE TABLE IF NOT EXISTS cpns_schema (id integer PRIMARY KEY, version bigint NOT NULL, oldest "
          "bigint NOT NULL)",
          "INSERT INTO cpns_schema (id, version, oldest) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING"};
}

std::string set_version(const migration& m) {
  const auto version = std::to_string(m.version);
  return "UPDATE cpns_schema SET version = " + version + ", oldest = " + std::to_string(m.oldest) +
         " WHERE id = 1 AND version < " + version;
}

std::vector<std::string> grants(const std::string& quoted_role) {
  std::vector<std::string> out{"GRANT SELECT ON cpns_schema TO " + quoted_role};
  for (const auto t : all_tables)
    out.push_back("GRANT SELECT, INSERT, UPDATE, DELETE ON " + table_name(t) + " TO " + quoted_role);
  return out;
}

/// As SQL writes the name of a role.
std::string quoted(const std::string& name) {
  std::string out = "\"";
  for (const char c : name) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

outcome<reply> run_one(connection& on, const std::string& sql) {
  const statement once{"", sql};
  const query q{&once, {}};
  CPNS_TRY(auto replies, on.run({&q, 1}, migration_limit));
  return std::move(replies.front());
}

outcome<void> run_all(connection& on, const std::vector<std::string>& statements) {
  for (const auto& sql : statements) CPNS_CHECK(run_one(on, sql));
  return {};
}

struct present_schema {
  std::uint64_t version = 0;
  std::uint64_t oldest = 0;
};

tl::unexpected<failure> unusable(std::string why) {
  return fail(failure{trouble::schema, errc::store_unavailable, std::move(why)});
}

outcome<void> check_not_too_new(const present_schema& found) {
  if (found.oldest <= postgres_schema_version) return {};
  return unusable("the database has schema " + std::to_string(found.version) +
                  ", which needs a cpns that knows schema " + std::to_string(found.oldest) +
                  "; this one knows " + std::to_string(postgres_schema_version) +
                  ": install a newer release of cpns");
}

outcome<present_schema> look(connection& on, const std::string& how) {
  CPNS_TRY(const auto found, run_one(on, "SELECT version, oldest FROM cpns_schema WHERE id = 1" + how));
  if (PQntuples(found.get()) == 0) return present_schema{};
  return present_schema{int_at(found, 0, 0), int_at(found, 0, 1)};
}

/// In a transaction.
outcome<schema_change> bring_up(connection& on, postgres_statements dialect,
                                const std::optional<std::string>& node_role) {
  CPNS_TRY(const auto found, look(on, " FOR UPDATE"));
  if (const auto usable = check_not_too_new(found); !usable)
    return fail(failure{trouble::other, errc::store_unavailable, usable.error().detail});
  for (const auto& m : migrations) {
    if (m.version <= found.version) continue;
    CPNS_CHECK(run_all(on, m.statements(dialect)));
    CPNS_CHECK(run_all(on, {set_version(m)}));
  }
  if (node_role) CPNS_CHECK(run_all(on, grants(quoted(*node_role))));
  return schema_change{found.version, std::max(found.version, postgres_schema_version)};
}

outcome<schema_change> migrate(connection& on, postgres_statements dialect,
                               const std::optional<std::string>& node_role) {
  CPNS_CHECK(run_all(on, before_all()));
  CPNS_CHECK(run_one(on, "BEGIN"));
  auto done = bring_up(on, dialect, node_role);
  if (!done) {
    if (!done.error().ends_connection()) CPNS_CHECK(run_one(on, "ROLLBACK"));
    return done;
  }
  CPNS_CHECK(run_one(on, "COMMIT"));
  return done;
}

/// Two migrators may create one table at the same time, and one of them fails.
bool passes(trouble kind) {
  return kind == trouble::data || kind == trouble::again || kind == trouble::locked || kind == trouble::lost;
}

}  // namespace

outcome<void> check_schema(connection& on, milliseconds limit) {
  const statement once{"", "SELECT version, oldest FROM cpns_schema WHERE id = 1"};
  const query q{&once, {}};
  const auto replies = on.run({&q, 1}, limit);
  if (!replies) {
    if (replies.error().kind == trouble::schema)
      return unusable("the database has no tables of cpns, or its role may not read them" +
                      std::string(migrate_remedy));
    return fail(replies.error());
  }
  present_schema found;
  const auto& r = replies->front();
  if (PQntuples(r.get()) > 0) found = {int_at(r, 0, 0), int_at(r, 0, 1)};
  if (found.version < postgres_schema_version)
    return unusable("the database has schema " + std::to_string(found.version) + ", and this cpns needs " +
                    std::to_string(postgres_schema_version) + std::string(migrate_remedy));
  return check_not_too_new(found);
}

}  // namespace postgres

result<schema_change> migrate_postgres_schema(const postgres_settings& s,
                                              const std::optional<std::string>& node_role) {
  CPNS_CHECK(check(s));
  postgres::dialer hosts(s);
  for (int attempt = 1;; ++attempt) {
    CPNS_TRY(const auto on, hosts.dial());
    auto done = postgres::migrate(*on, s.statements, node_role);
    if (done) return *done;
    const auto& why = done.error();
    if (why.kind == postgres::trouble::schema)
      return fail(errc::store_unavailable,
                  why.detail + ": that role must own the tables of cpns, and needs CREATE on their schema");
    if (!postgres::passes(why.kind) || attempt == postgres::migration_attempts)
      return fail(why.code, why.detail);
  }
}

std::string postgres_schema_text(postgres_statements dialect) {
  std::string out =
      "-- Tables of cpns, schema " + std::to_string(postgres_schema_version) + ", for " +
      (dialect == postgres_statements::batch ? "PostgreSQL" : "engines that speak PostgreSQL's protocol") +
      ". May be repeated.\n";
  const auto add = [&out](const std::vector<std::string>& statements, std::string_view before = "") {
    for (const auto& sql : statements) out += std::string(before) + sql + ";\n";
  };
  add(postgres::before_all());
  for (const auto& m : postgres::migrations) {
    add(m.statements(dialect));
    add({postgres::set_version(m)});
  }
  out += "-- For the role of the nodes, here cpns_node:\n";
  add(postgres::grants("cpns_node"), "-- ");
  return out;
}

}  // namespace cpns::storage
