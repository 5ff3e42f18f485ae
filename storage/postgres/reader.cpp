#include "storage/postgres/reader.hpp"

#include <algorithm>
#include <map>
#include <thread>

#include "crypto/suite.hpp"

namespace cpns::storage::postgres {

namespace {

/// Rows of a first page, before their size is known: at most max_value_size each.
constexpr std::size_t first_rows = 16;
constexpr std::size_t bytes_per_query = 1U << 20;
constexpr std::size_t rows_per_query = 1000;
constexpr std::uint64_t longest_dial_pause = 250;  ///< milliseconds

struct in_order {
  bool operator()(const row_name* a, const row_name* b) const { return comes_before(a, b); }
};

stored_row row_at(const reply& r, int i) {
  return {to_bytes(bytes_at(r, i, 0)), int_at(r, i, 1), to_bytes(bytes_at(r, i, 2))};
}

}  // namespace

void pause_before_dial() {
  std::this_thread::sleep_for(milliseconds(1 + crypto::system_entropy().below(longest_dial_pause)));
}

outcome<std::vector<std::optional<stored_value>>>
read_rows(connection& on, const statement_set& sql, std::span<const row_name> names, milliseconds limit) {
  std::map<const row_name*, std::optional<stored_value>, in_order> found;
  for (const auto& n : names) found.emplace(&n, std::nullopt);
  std::vector<const row_name*> asked;
  for (const auto& [name, value] : found) asked.push_back(name);
  const auto reads = sql.read(asked);
  std::vector<query> queries;
  for (const auto& r : reads) queries.push_back(r.what);
  if (queries.empty()) return std::vector<std::optional<stored_value>>{};
  CPNS_TRY(const auto replies, on.run(queries, limit));
  for (std::size_t i = 0; i < replies.size(); ++i)
    for (int row = 0; row < PQntuples(replies[i].get()); ++row) {
      auto r = row_at(replies[i], row);
      const row_name name{reads[i].table, std::move(r.row)};
      if (const auto at = found.find(&name); at != found.end())
        at->second = stored_value{r.version, std::move(r.value)};
    }
  std::vector<std::optional<stored_value>> out;
  out.reserve(names.size());
  for (const auto& n : names) out.push_back(found.at(&n));
  return out;
}

outcome<std::vector<stored_row>> read_page(connection& on, const statement_set& sql, table t,
                                           const bytes& first, const bytes& end, std::size_t limit,
                                           milliseconds time) {
  slice_builder out(limit);
  std::size_t rows = 0, size = 0;
  auto from = first;
  while (!out.full()) {
    // As many rows as fit, judged by those before.
    const auto guess = rows == 0
                           ? first_rows
                           : std::clamp(bytes_per_query * rows / (size + 1), std::size_t{1}, rows_per_query);
    const auto want = std::min(guess, limit - rows);
    const query q = sql.page(t, from, end, want);
    CPNS_TRY(const auto replies, on.run({&q, 1}, time));
    const auto got = PQntuples(replies.front().get());
    for (int i = 0; i < got && !out.full(); ++i) {
      auto row = row_at(replies.front(), i);
      ++rows;
      size += row.row.size() + row.value.size();
      from = row.row;
      out.add(std::move(row));
    }
    if (static_cast<std::size_t>(got) < want) break;
    from.push_back(0);  // the next possible name
  }
  return out.take();
}

bytes end_of_prefix(byte_view prefix) {
  auto end = to_bytes(prefix);
  while (!end.empty() && end.back() == 0xff) end.pop_back();
  if (end.empty()) return bytes(max_row_size + 1, 0xff);
  ++end.back();
  return end;
}

}  // namespace cpns::storage::postgres
