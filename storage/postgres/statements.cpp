#include "storage/postgres/statements.hpp"

#include <algorithm>

namespace cpns::storage::postgres {

namespace {

/// The statements of one kind, one per table.
class per_table {
 public:
  /// `sql`: with @ for the name of the table.
  per_table(const std::string& name, std::string_view sql) {
    for (const auto t : all_tables) {
      auto& s = statements_[static_cast<std::size_t>(t)];
      s.name = name + "_" + std::string(name_of(t));
      for (const char c : sql) s.sql += c == '@' ? table_name(t) : std::string(1, c);
    }
  }
  const statement& operator[](table t) const { return statements_[static_cast<std::size_t>(t)]; }

 private:
  std::array<statement, 256> statements_;
};

/// What an op does to its row.
enum class change : std::uint8_t { insert, update, remove, remove_unversioned };

change change_of(const write_op& op) {
  if (op.value) return op.expected == 0 ? change::insert : change::update;
  return op.expected == 0 ? change::remove_unversioned : change::remove;
}

/// Parameters of one statement of the batch set.
struct columns {
  std::vector<byte_view> rows, values;
  std::vector<std::uint64_t> expected;
  std::vector<std::size_t> ops;
  void add(const write_op& op, std::size_t index) {
    rows.push_back(op.row);
    expected.push_back(op.expected);
    if (op.value) values.push_back(*op.value);
    ops.push_back(index);
  }
};

class batch_statements final : public statement_set {
 public:
  [[nodiscard]] std::vector<write_query> write(std::span<const write_op* const> ops) const override {
    std::vector<write_query> out;
    for (std::size_t from = 0; from < ops.size();) {
      std::size_t to = from;
      while (to < ops.size() && ops[to]->table == ops[from]->table) ++to;
      add_table(ops, from, to, out);
      from = to;
    }
    return out;
  }

  [[nodiscard]] std::vector<read_query> read(std::span<const row_name* const> names) const override {
    std::vector<read_query> out;
    for (std::size_t from = 0; from < names.size();) {
      const auto t = names[from]->table;
      std::vector<byte_view> rows;
      for (; from < names.size() && names[from]->table == t; ++from) rows.push_back(names[from]->row);
      out.push_back({{&read_[t], {bytea_array(rows)}}, t});
    }
    return out;
  }

 private:
  void add_table(std::span<const write_op* const> ops, std::size_t from, std::size_t to,
                 std::vector<write_query>& out) const {
    std::array<columns, 4> by_change;
    for (std::size_t i = from; i < to; ++i)
      by_change[static_cast<std::size_t>(change_of(*ops[i]))].add(*ops[i], i);
    const auto t = ops[from]->table;
    const auto& [inserted, updated, removed, unversioned] = by_change;
    if (!inserted.ops.empty())
      out.push_back({{&insert_[t], {bytea_array(inserted.rows), bytea_array(inserted.values)}},
                     verdict::returned,
                     inserted.ops});
    if (!updated.ops.empty())
      out.push_back({{&update_[t],
                      {bytea_array(updated.rows), int8_array(updated.expected), bytea_array(updated.values)}},
                     verdict::returned,
                     updated.ops});
    if (!removed.ops.empty())
      out.push_back({{&remove_[t], {bytea_array(removed.rows), int8_array(removed.expected)}},
                     verdict::returned,
                     removed.ops});
    if (unversioned.ops.empty()) return;
    out.push_back({{&remove_[t], {bytea_array(unversioned.rows), int8_array(unversioned.expected)}},
                   verdict::returned,
                   {}});
    out.push_back({{&present_[t], {bytea_array(unversioned.rows)}}, verdict::absent, unversioned.ops});
  }

  const per_table read_{"read", "SELECT row, version, value FROM @ WHERE row = ANY($1::bytea[])"};
  const per_table present_{"present", "SELECT row FROM @ WHERE row = ANY($1::bytea[])"};
  const per_table insert_{
      "insert",
      "INSERT INTO @ AS t (row, version, value) SELECT n.k, 1, n.v FROM unnest($1::bytea[], $2::bytea[]) "
      "AS n(k, v) ON CONFLICT (row) DO UPDATE SET version = 1, value = excluded.value "
      "WHERE t.version = 0 RETURNING t.row"};
  // Not by INSERT .. ON CONFLICT, which would bring back a row that was removed.
  const per_table update_{"update", "UPDATE @ AS t SET version = n.e + 1, value = n.v "
                                    "FROM unnest($1::bytea[], $2::bigint[], $3::bytea[]) AS n(k, e, v) "
                                    "WHERE t.row = n.k AND t.version = n.e RETURNING t.row"};
  const per_table remove_{"remove", "DELETE FROM @ AS t USING unnest($1::bytea[], $2::bigint[]) AS n(k, e) "
                                    "WHERE t.row = n.k AND t.version = n.e RETURNING t.row"};
};

class portable_statements final : public statement_set {
 public:
  [[nodiscard]] std::vector<write_query> write(std::span<const write_op* const> ops) const override {
    std::vector<write_query> out;
    for (std::size_t i = 0; i < ops.size(); ++i) add(*ops[i], i, out);
    return out;
  }

  [[nodiscard]] std::vector<read_query> read(std::span<const row_name* const> names) const override {
    std::vector<read_query> out;
    for (const auto* n : names) out.push_back({{&read_[n->table], {bytea_parameter(n->row)}}, n->table});
    return out;
  }

 private:
  void add(const write_op& op, std::size_t index, std::vector<write_query>& out) const {
    const auto row = bytea_parameter(op.row);
    const auto expected = int8_parameter(op.expected);
    switch (change_of(op)) {
    case change::insert:
      out.push_back({{&insert_[op.table], {row, bytea_parameter(*op.value)}}, verdict::counted, {index}});
      return;
    case change::update:
      out.push_back(
          {{&update_[op.table], {row, expected, bytea_parameter(*op.value)}}, verdict::counted, {index}});
      return;
    case change::remove:
      out.push_back({{&remove_[op.table], {row, expected}}, verdict::counted, {index}});
      return;
    case change::remove_unversioned:
      out.push_back({{&remove_[op.table], {row, expected}}, verdict::counted, {}});
      out.push_back({{&present_[op.table], {row}}, verdict::absent, {index}});
    }
  }

  const per_table read_{"read", "SELECT row, version, value FROM @ WHERE row = $1::bytea"};
  const per_table present_{"present", "SELECT row FROM @ WHERE row = $1::bytea"};
  const per_table insert_{
      "insert", "INSERT INTO @ AS t (row, version, value) VALUES ($1::bytea, 1, $2::bytea) ON CONFLICT (row) "
                "DO UPDATE SET version = 1, value = excluded.value WHERE t.version = 0"};
  const per_table update_{
      "update",
      "UPDATE @ SET version = version + 1, value = $3::bytea WHERE row = $1::bytea AND version = $2::bigint"};
  const per_table remove_{"remove", "DELETE FROM @ WHERE row = $1::bytea AND version = $2::bigint"};
};

}  // namespace

std::string table_name(table t) { return "cpns_" + std::string(name_of(t)); }

statement_set::statement_set() {
  for (const auto t : all_tables)
    pages_[static_cast<std::size_t>(t)] = {
        "page_" + std::string(name_of(t)),
        "SELECT row, version, value FROM " + table_name(t) +
            " WHERE row >= $1::bytea AND row < $2::bytea ORDER BY row LIMIT $3::bigint"};
  prove_ = {"prove",
            "INSERT INTO " + table_name(table::meta) + " (row, version, value) VALUES ($1::bytea, 0, '')"};
  disprove_ = {"disprove", "DELETE FROM " + table_name(table::meta) + " WHERE row = $1::bytea"};
}

query statement_set::page(table t, byte_view from, byte_view end, std::size_t limit) const {
  return {&pages_[static_cast<std::size_t>(t)],
          {bytea_parameter(from), bytea_parameter(end), int8_parameter(limit)}};
}

std::vector<query> statement_set::proof(byte_view name) const {
  return {{&prove_, {bytea_parameter(name)}}, {&disprove_, {bytea_parameter(name)}}};
}

std::unique_ptr<statement_set> make_statements(postgres_statements kind) {
  if (kind == postgres_statements::portable) return std::make_unique<portable_statements>();
  return std::make_unique<batch_statements>();
}

}  // namespace cpns::storage::postgres
