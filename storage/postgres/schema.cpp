#include "storage/postgres/schema.hpp"

#include <algorithm>
#include <thread>

#include "storage/postgres/pool.hpp"
#include "storage/postgres/schema_steps.hpp"
#include "storage/postgres/statements.hpp"

namespace cpns::storage {

namespace postgres {

namespace {

constexpr milliseconds migration_limit{60'000};
constexpr int migration_attempts = 5;
constexpr std::string_view migrate_remedy = "; run `cpns store migrate` with the role that owns the tables";

/// Rows of staged imports are written once; all others have space on their page for their next version, which then needs
/// no change of the index. Sealed values do not compress, and a row of a few kilobytes is cheaper in the table itself.
std::string storage_of(table t) {
  if (t == table::imports) return "";
  return " WITH (fillfactor = 70, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05)";
}

std::vector<std::string> before_all() {
  return {"CREATE TABLE IF NOT EXISTS cpns_schema (id integer PRIMARY KEY, version bigint NOT NULL, oldest "
          "bigint NOT NULL)",
          "INSERT INTO cpns_schema (id, version, oldest) VALUES (1, 0, 0) ON CONFLICT (id) DO NOTHING"};
}

/// The first version is the oldest one for all programs; a later one only by raise_oldest().
std::string set_version(const schema_step& to) {
  const auto version = std::to_string(to.version);
  return "UPDATE cpns_schema SET version = " + version + (to.version == 1 ? ", oldest = 1" : "") +
         " WHERE id = 1 AND version < " + version;
}

std::string raise_oldest(const schema_step& to) {
  const auto version = std::to_string(to.version);
  return "UPDATE cpns_schema SET oldest = " + version + " WHERE id = 1 AND oldest < " + version;
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

outcome<void> in_transaction(connection& on, const std::vector<std::string>& statements) {
  CPNS_CHECK(run_one(on, "BEGIN"));
  if (auto done = run_all(on, statements); !done) {
    if (!done.error().ends_connection()) CPNS_CHECK(run_one(on, "ROLLBACK"));
    return done;
  }
  CPNS_CHECK(run_one(on, "COMMIT"));
  return {};
}

struct present_schema {
  std::uint64_t version = 0;
  std::uint64_t oldest = 0;
};

tl::unexpected<failure> unusable(const error& why) {
  return fail(failure{trouble::schema, why.code, why.detail});
}

std::optional<error> too_new(const present_schema& found) {
  if (found.oldest <= postgres_schema_version()) return std::nullopt;
  return error{errc::store_unavailable, "the database has schema " + std::to_string(found.version) +
                                            ", which needs a cpns that knows schema " +
                                            std::to_string(found.oldest) + "; this one knows " +
                                            std::to_string(postgres_schema_version()) +
                                            ": install a newer release of cpns"};
}

std::optional<error> too_old(const present_schema& found) {
  if (found.version >= postgres_schema_version()) return std::nullopt;
  return error{errc::store_unavailable,
               "the database has schema " + std::to_string(found.version) + ", and this cpns needs " +
                   std::to_string(postgres_schema_version()) + std::string(migrate_remedy)};
}

outcome<present_schema> look(connection& on, milliseconds limit) {
  const statement once{"", "SELECT version, oldest FROM cpns_schema WHERE id = 1"};
  const query q{&once, {}};
  CPNS_TRY(const auto replies, on.run({&q, 1}, limit));
  const auto& r = replies.front();
  if (PQntuples(r.get()) == 0) return present_schema{};
  return present_schema{int_at(r, 0, 0), int_at(r, 0, 1)};
}

failure of_caller(const error& e) { return {trouble::other, e.code, e.detail}; }

/// One call, on one connection.
class migrator {
 public:
  migrator(connection& on, postgres_statements dialect, const contraction& how)
      : on_(on), dialect_(dialect), how_(how) {}

  outcome<schema_change> run(const std::optional<std::string>& node_role) {
    CPNS_CHECK(run_all(on_, before_all()));
    CPNS_TRY(now_, look(on_, migration_limit));
    if (const auto refused = too_new(now_)) return fail(of_caller(*refused));
    before_ = now_.version;
    const schema_step* last = nullptr;
    for (const auto& step : schema_steps()) {
      if (last != nullptr) CPNS_CHECK(contract(*last));
      if (step.version > now_.version) CPNS_CHECK(expand(step));
      last = &step;
    }
    if (how_.newest) CPNS_CHECK(contract(*last));
    if (node_role) CPNS_CHECK(in_transaction(on_, grants(quoted(*node_role))));
    return schema_change{before_, now_.version, now_.oldest};
  }

 private:
  outcome<void> expand(const schema_step& to) {
    // The lock lets one migrator work at a time.
    std::vector<std::string> all{"SELECT version FROM cpns_schema WHERE id = 1 FOR UPDATE"};
    for (auto& sql : to.expand(dialect_)) all.push_back(std::move(sql));
    all.push_back(set_version(to));
    CPNS_CHECK(in_transaction(on_, all));
    now_ = {to.version, std::max(now_.oldest, std::uint64_t{1})};
    return {};
  }

  /// Programs of before are refused in a transaction of its own, so that they notice before the tables change. A call
  /// that ended in between has left the rest to the next one, so the statements of the newest contraction are repeated.
  outcome<void> contract(const schema_step& to) {
    if (now_.oldest > to.version) return {};
    const bool used = before_ != 0;
    if (now_.oldest < to.version) {
      if (used && how_.nobody_older)
        if (const auto free = how_.nobody_older(to.version); !free) return fail(of_caller(free.error()));
      CPNS_CHECK(run_one(on_, raise_oldest(to)));
      now_.oldest = to.version;
    }
    if (to.contract == nullptr) return {};
    if (used) std::this_thread::sleep_for(how_.notice);
    return in_transaction(on_, to.contract(dialect_));
  }

  connection& on_;
  const postgres_statements dialect_;
  const contraction& how_;
  present_schema now_;
  std::uint64_t before_ = 0;
};

/// Two migrators may create one table at the same time, and one of them fails.
bool passes(trouble kind) {
  return kind == trouble::data || kind == trouble::again || kind == trouble::locked || kind == trouble::lost;
}

}  // namespace

outcome<void> check_schema(connection& on, milliseconds limit) {
  const auto refused = refusal_by_schema(on, limit);
  if (refused) return *refused ? outcome<void>(unusable(**refused)) : outcome<void>();
  if (refused.error().kind == trouble::schema)
    return unusable(
        {errc::store_unavailable,
         "the database has no tables of cpns, or its role may not read them" + std::string(migrate_remedy)});
  return fail(refused.error());
}

outcome<std::optional<error>> refusal_by_schema(connection& on, milliseconds limit) {
  CPNS_TRY(const auto found, look(on, limit));
  if (auto refused = too_old(found)) return refused;
  return too_new(found);
}

}  // namespace postgres

std::uint64_t postgres_schema_version() { return schema_steps().back().version; }

schema_step::statements first_tables(postgres_statements dialect) {
  schema_step::statements out;
  for (const auto t : all_tables) {
    const bool tuned = dialect == postgres_statements::batch;
    out.push_back("CREATE TABLE IF NOT EXISTS " + postgres::table_name(t) +
                  " (row bytea PRIMARY KEY, version bigint NOT NULL, value bytea NOT NULL)" +
                  (tuned ? postgres::storage_of(t) : ""));
    if (tuned)
      out.push_back("ALTER TABLE " + postgres::table_name(t) + " ALTER COLUMN value SET STORAGE EXTERNAL");
  }
  return out;
}

result<schema_change> migrate_postgres_schema(const postgres_settings& s,
                                              const std::optional<std::string>& node_role,
                                              const contraction& how) {
  CPNS_CHECK(check(s));
  postgres::dialer hosts(s);
  for (int attempt = 1;; ++attempt) {
    CPNS_TRY(const auto on, hosts.dial());
    auto done = postgres::migrator(*on, s.statements, how).run(node_role);
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
      "-- Tables of cpns, schema " + std::to_string(postgres_schema_version()) + ", for " +
      (dialect == postgres_statements::batch ? "PostgreSQL" : "engines that speak PostgreSQL's protocol") +
      ". May be repeated.\n";
  const auto add = [&out](const std::vector<std::string>& statements, std::string_view before = "") {
    for (const auto& sql : statements) out += std::string(before) + sql + ";\n";
  };
  add(postgres::before_all());
  for (const auto& step : schema_steps()) {
    add(step.expand(dialect));
    add({postgres::set_version(step)});
    if (step.version == 1) continue;
    out +=
        "-- When no server runs any more that knows schema " + std::to_string(step.version - 1) + " alone:\n";
    add({postgres::raise_oldest(step)}, "-- ");
    if (step.contract != nullptr) add(step.contract(dialect), "-- ");
  }
  out += "-- For the role of the nodes, here cpns_node:\n";
  add(postgres::grants("cpns_node"), "-- ");
  return out;
}

}  // namespace cpns::storage
