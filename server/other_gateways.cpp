#include "server/other_gateways.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace cpns::server {
namespace {

constexpr std::size_t presence_rows_per_read = 256;

std::vector<result<storage::sealed_value>> read_presence_rows(const storage::sealed_store& store,
                                                              const std::vector<storage::row_name>& names) {
  std::vector<result<storage::sealed_value>> out;
  for (std::size_t i = 0; i < names.size(); i += presence_rows_per_read) {
    const auto count = std::min(presence_rows_per_read, names.size() - i);
    for (auto& row : store.read(std::span(names).subspan(i, count))) out.push_back(std::move(row));
  }
  return out;
}

}  // namespace

other_gateways::other_gateways(const storage::sealed_store& store, nodes_fn nodes,
                               std::function<steady::time_point()> now)
    : store_(store), nodes_(std::move(nodes)), now_(std::move(now)) {}

result<std::shared_ptr<const other_gateways::places>> other_gateways::look() {
  const std::lock_guard lock{guard_};
  if (last_ && now_() - read_ < kept) return last_;
  const auto began = now_();
  CPNS_TRY(auto found, read());
  last_ = std::make_shared<const places>(std::move(found));
  read_ = began;
  return last_;
}

std::optional<presence_page> other_gateways::page_in(const seen_node& of,
                                                     const result<storage::sealed_value>& row) {
  const auto unreadable = [this](const error& e) {
    if (damaged_.due(now_wall(), e.message()))
      log::warn("server", "row-unreadable", e.message(), {{"table", "meta"}});
    return std::nullopt;
  };
  if (!row) return unreadable(row.error());
  if (!row->value) return std::nullopt;
  auto page = decode_presence_page(row->value->expose());
  if (!page) return unreadable(page.error());
  if (page->start != of.row.start) return std::nullopt;
  return std::move(*page);
}

void other_gateways::take(places& to, const seen_node& from, const presence_page& page) {
  for (const auto& g : page.gateways) {
    auto& all = to[g.gw];
    // While the number of pages grows, a gateway is in two of them.
    const auto same = [&from](const gateway_place& p) { return p.node == from.row.name; };
    if (std::none_of(all.begin(), all.end(), same)) all.push_back({from.row.name, g});
  }
}

result<other_gateways::places> other_gateways::read() {
  std::vector<seen_node> nodes;
  for (auto& n : nodes_())
    if (n.is == seen_node::life::alive && !n.self) nodes.push_back(std::move(n));
  std::vector<storage::row_name> firsts, rest;
  for (const auto& n : nodes) firsts.push_back(presence_row(n.row.name, 0));
  std::vector<const seen_node*> of_rest;
  places out;
  const auto rows = read_presence_rows(store_, firsts);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i] && rows[i].error() == errc::store_unavailable) return fail(rows[i].error());
    const auto page = page_in(nodes[i], rows[i]);
    if (!page) continue;
    take(out, nodes[i], *page);
    for (std::size_t k = 1; k < std::size_t{1} << page->bits; ++k) {
      rest.push_back(presence_row(nodes[i].row.name, k));
      of_rest.push_back(&nodes[i]);
    }
  }
  const auto more = read_presence_rows(store_, rest);
  for (std::size_t i = 0; i < more.size(); ++i) {
    if (!more[i] && more[i].error() == errc::store_unavailable) return fail(more[i].error());
    if (const auto page = page_in(*of_rest[i], more[i])) take(out, *of_rest[i], *page);
  }
  return out;
}

}  // namespace cpns::server
