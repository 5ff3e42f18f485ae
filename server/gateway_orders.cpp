#include "server/gateway_orders.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "base/log.hpp"
#include "server/awaited_write.hpp"
#include "server/store_admin.hpp"

namespace cpns::server {
namespace {

constexpr milliseconds confirmation_interval{25};

result<std::vector<close_order>> orders_in(const storage::sealed_value& row) {
  if (!row.value) return std::vector<close_order>{};
  return decode_orders(row.value->expose());
}

template <class T>
void keep_latest_orders(std::vector<T>& all) {
  if (all.size() > orders_max) all.erase(all.begin(), all.end() - orders_max);
}

}  // namespace

gateway_orders::gateway_orders(role_context& role, std::string node, byte_array<16> start,
                               std::function<std::vector<seen_node>()> nodes)
    : role_(role), node_(std::move(node)), start_(start), nodes_(std::move(nodes)) {}

status gateway_orders::begin() {
  const auto name = orders_row();
  CPNS_TRY(const auto row, role_.store.read_one(name.table, name.row));
  CPNS_TRY(const auto orders, orders_in(row));
  const std::lock_guard lock{guard_};
  seen_ = row.version;
  for (const auto& o : orders) known_.insert(o.id);
  return {};
}

bool gateway_orders::behind(std::uint64_t version) const {
  const std::lock_guard lock{guard_};
  return seen_ != version;
}

status gateway_orders::obey() {
  const auto name = orders_row();
  CPNS_TRY(const auto row, role_.store.read_one(name.table, name.row));
  CPNS_TRY(const auto orders, orders_in(row));
  std::vector<close_order> fresh;
  {
    const std::lock_guard lock{guard_};
    seen_ = row.version;
    for (const auto& o : orders)
      if (!known_.contains(o.id) && !own_.contains(o.id)) fresh.push_back(o);
    known_.clear();
    for (const auto& o : orders) known_.insert(o.id);
  }
  for (const auto& o : fresh) {
    const auto closed = role_.gateways.close(o.gw, "an operator disconnected the gateway at another server");
    if (closed > 0)
      log::info("server", "gateway-disconnect-ordered",
                "another server ordered that the connections of a gateway are closed",
                {{"gw", o.gw.hex()}, {"node", o.by}, {"closed", std::to_string(closed)}});
    done_.push_back({o.id, closed});
  }
  if (!fresh.empty()) confirm();
  return {};
}

void gateway_orders::confirm() {
  keep_latest_orders(done_);
  auto row = orders_done_row(node_);
  storage::sealed_batch batch;
  batch.push_back({row.table, std::move(row.row), encode(orders_done{start_, done_})});
  // Who gave the order says so if the confirmation does not come.
  role_.commit(std::move(batch), [](const status&) {});
}

result<order_id> gateway_orders::give(const gateway_id& gw, milliseconds waits) {
  const auto name = orders_row();
  const order_id id{role_.random.draw<16>()};
  {
    const std::lock_guard lock{guard_};
    own_.insert(id);
  }
  CPNS_CHECK(until_not_lost([&]() -> status {
    CPNS_TRY(const auto row, role_.store.read_one(name.table, name.row));
    CPNS_TRY(auto orders, orders_in(row));
    orders.push_back({id, gw, node_});
    keep_latest_orders(orders);
    awaited_write written;
    role_.commit({{name.table, name.row, encode(orders), row.version, false, true}}, written.callback());
    auto done = written.wait(waits);
    if (done) return std::move(*done);
    return fail(errc::peer_timeout,
                "the database does not answer: whether the other servers close the connections is not known");
  }));
  return id;
}

result<gateway_orders::outcome> gateway_orders::close(const gateway_id& gw, milliseconds waits) {
  CPNS_TRY(const auto id, give(gw, waits));
  auto out = wait_for_others(id);
  const std::lock_guard lock{guard_};
  known_.insert(id);
  own_.erase(id);
  return out;
}

gateway_orders::outcome gateway_orders::wait_for_others(const order_id& id) {
  outcome out;
  std::set<std::string> waiting;
  std::vector<seen_node> others;
  for (auto& n : nodes_())
    if (n.is == seen_node::life::alive && !n.self) others.push_back(std::move(n));
  for (const auto& n : others) waiting.insert(n.row.name);
  const auto until = steady::now() + confirmed_within;
  while (!waiting.empty() && steady::now() < until) {
    std::vector<storage::row_name> names;
    for (const auto& n : others) names.push_back(orders_done_row(n.row.name));
    const auto rows = role_.store.read(names);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i] || !rows[i]->value || !waiting.contains(others[i].row.name)) continue;
      const auto said = decode_orders_done(rows[i]->value->expose());
      if (!said || said->start != others[i].row.start) continue;
      for (const auto& d : said->done)
        if (d.id == id && waiting.erase(others[i].row.name) > 0) out.closed += d.closed;
    }
    if (!waiting.empty()) std::this_thread::sleep_for(confirmation_interval);
  }
  out.unconfirmed.assign(waiting.begin(), waiting.end());
  return out;
}

}  // namespace cpns::server
