#pragma once
// The SQL of a store. The tables are those of storage::table, with the prefix cpns_.

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "storage/postgres/connection.hpp"
#include "storage/store.hpp"

namespace cpns::storage::postgres {

/// "cpns_users".
std::string table_name(table t);

/// How the reply to a statement tells which ops took effect.
enum class verdict : std::uint8_t {
  returned,  ///< those whose rows are in the reply
  counted,   ///< all (there is one), if the statement changed one row
  absent,    ///< those whose rows are not in the reply
};

struct write_query {
  query what;
  verdict rule{};
  std::vector<std::size_t> ops;  ///< indices into the ops that it writes
};

struct read_query {
  query what;  ///< its rows: row, version, value
  storage::table table{};
};

/// Engines that speak PostgreSQL's protocol differ in what they do with several rows per statement. [thread-safe]
class statement_set {
 public:
  virtual ~statement_set() = default;
  /// `ops` in the order of comes_before, at most one per row, so that all writers lock rows in one order.
  [[nodiscard]] virtual std::vector<write_query> write(std::span<const write_op* const> ops) const = 0;
  /// `names` in the order of comes_before, each once.
  [[nodiscard]] virtual std::vector<read_query> read(std::span<const row_name* const> names) const = 0;
  /// At most `limit` rows from `first` on, before `end`, in byte order.
  [[nodiscard]] query page(table t, byte_view first, byte_view end, std::size_t limit) const;
  /// A transaction that writes, and leaves nothing: after its commit all that it could see is durable too. `name`: a
  /// random name of a row, or a transaction whose client is gone could hold a lock on it.
  [[nodiscard]] std::vector<query> proof(byte_view name) const;

  statement begin{"begin", "BEGIN"}, commit{"commit", "COMMIT"}, rollback{"rollback", "ROLLBACK"};

 protected:
  statement_set();

 private:
  std::array<statement, 256> pages_;
  statement prove_, disprove_;
};

std::unique_ptr<statement_set> make_statements(postgres_statements kind);

/// By table, then by name.
template <class Named>
bool comes_before(const Named* a, const Named* b) {
  if (a->table != b->table) return a->table < b->table;
  return std::lexicographical_compare(a->row.begin(), a->row.end(), b->row.begin(), b->row.end());
}

}  // namespace cpns::storage::postgres
