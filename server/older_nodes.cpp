#include "server/older_nodes.hpp"

#include <map>
#include <string>
#include <thread>

#include "base/text.hpp"
#include "server/node_row.hpp"

namespace cpns::server {
namespace {

constexpr milliseconds look_again{200};

using rows_by_name = std::map<std::string, node_row>;

result<rows_by_name> older_rows(const storage::sealed_store& store, std::uint64_t oldest) {
  rows_by_name out;
  status damaged;
  CPNS_CHECK(store.scan(storage::table::nodes, {}, [&](byte_view name, const secret_bytes& value) {
    auto row = decode_node_row(value.expose());
    if (!row) damaged = fail(row.error());
    if (row && row->schema < oldest && row->state != node_state::stopped)
      out.emplace(std::string(as_text(name)), std::move(*row));
    return damaged.has_value();
  }));
  CPNS_CHECK(std::move(damaged));
  return out;
}

error still_runs(const node_row& n, std::uint64_t oldest) {
  return {errc::state_conflict, "the server " + shown(n.name) + " (version " + n.version + ", at " +
                                    n.address + ") runs and knows schema " + std::to_string(n.schema) +
                                    " alone; stop it, or replace it by a release that knows schema " +
                                    std::to_string(oldest) + ", then repeat the command"};
}

}  // namespace

status check_no_older_node(const storage::sealed_store& store, std::uint64_t oldest, milliseconds silent) {
  CPNS_TRY(const auto before, older_rows(store, oldest));
  const auto until = std::chrono::steady_clock::now() + silent;
  auto now = before;
  while (!now.empty() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(look_again);
    CPNS_TRY(now, older_rows(store, oldest));
    for (const auto& [name, row] : now) {
      const auto known = before.find(name);
      if (known == before.end() || known->second.start != row.start || known->second.beat != row.beat)
        return fail(still_runs(row, oldest));
    }
  }
  return {};
}

}  // namespace cpns::server
