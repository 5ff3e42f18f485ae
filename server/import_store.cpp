#include "server/import_store.hpp"

#include <algorithm>
#include <utility>

namespace cpns::server {
namespace {

using protocol::import_record;
using storage::sealed_op;
using storage::table;

constexpr std::string_view index_row = "imports";

bytes row(std::string_view text) { return to_bytes(as_bytes(text)); }
bytes block_row(const std::string& name, std::uint64_t n) {
  return row("block " + name + " " + std::to_string(n));
}
bytes result_row(const std::string& name, std::uint64_t n) {
  return row("result " + name + " " + std::to_string(n));
}
std::uint64_t result_blocks(std::uint64_t results) {
  return (results + result_block_rows - 1) / result_block_rows;
}

tl::unexpected<error> lost(const std::string& what) {
  return fail(errc::store_damaged, what + " is not in the store; restore it from a backup");
}

}  // namespace

result<std::vector<std::string>> import_store::names() const {
  CPNS_TRY(const auto found, store_.get(table::imports, row(index_row)));
  if (!found) return std::vector<std::string>{};
  return protocol::decode_import_names(found->expose());
}

result<std::optional<import_record>> import_store::find(const std::string& name) const {
  CPNS_TRY(const auto found, store_.get(table::imports, row(protocol::import_row(name))));
  if (!found) return std::optional<import_record>{};
  CPNS_TRY(auto record, protocol::decode_import_record(found->expose()));
  return std::optional{std::move(record)};
}

result<import_record> import_store::load(const std::string& name) const {
  CPNS_TRY(auto found, find(name));
  if (!found) return fail(errc::state_unknown, "the import " + name);
  return std::move(*found);
}

result<protocol::staged_block> import_store::block(const std::string& name, std::uint64_t n) const {
  CPNS_TRY(const auto found, store_.get(table::imports, block_row(name, n)));
  if (!found) return lost("block " + std::to_string(n) + " of the import " + name);
  return protocol::decode_staged_block(found->expose());
}

result<protocol::import_results> import_store::results(const import_record& of, std::uint64_t from,
                                                       std::size_t most) const {
  protocol::import_results out;
  while (from < of.results_kept && out.size() < most) {
    const auto n = from / result_block_rows;
    CPNS_TRY(const auto found, store_.get(table::imports, result_row(of.name, n)));
    if (!found) return lost("a part of the results of the import " + of.name);
    CPNS_TRY(const auto all, protocol::decode_import_results(found->expose()));
    for (std::size_t i = from % result_block_rows; i < all.size() && out.size() < most; ++i, ++from)
      out.push_back(all[i]);
    if (all.empty() || (all.size() < result_block_rows && out.size() < most)) break;
  }
  return out;
}

std::vector<result<storage::sealed_value>>
import_store::rows_of(const std::vector<protocol::device_secret_record>& devices) const {
  std::vector<storage::row_name> names;
  names.reserve(devices.size());
  for (const auto& d : devices) names.push_back({table::devices, row(d.entity.text())});
  return store_.read(names);
}
result<bool> import_store::has_device(const entity_id& entity) const {
  return store_.has(table::devices, as_bytes(entity.text()));
}
result<bool> import_store::has_user(const user_id& user) const {
  return store_.has(table::users, as_bytes(user.text()));
}

sealed_op import_store::put(const std::vector<std::string>& names) {
  return {table::imports, row(index_row), protocol::encode_import_names(names)};
}
sealed_op import_store::put(const import_record& r) {
  return {table::imports, row(protocol::import_row(r.name)), protocol::encode(r)};
}
sealed_op import_store::put(const std::string& name, std::uint64_t n, const protocol::staged_block& b) {
  return {table::imports, block_row(name, n), protocol::encode(b)};
}
sealed_op import_store::put(const protocol::device_secret_record& device, std::uint64_t expected) {
  return {table::devices, row(device.entity.text()), protocol::encode(device), expected};
}

void import_store::put_results(storage::sealed_batch& to, const std::string& name, std::uint64_t n,
                               const protocol::import_results& block) {
  to.push_back({table::imports, result_row(name, n), protocol::encode(block)});
}

void import_store::put_results(storage::sealed_batch& to, const std::string& name,
                               const protocol::import_results& all) {
  for (std::size_t from = 0; from < all.size(); from += result_block_rows) {
    const auto last = std::min(from + result_block_rows, all.size());
    put_results(
        to, name, from / result_block_rows,
        {all.begin() + static_cast<std::ptrdiff_t>(from), all.begin() + static_cast<std::ptrdiff_t>(last)});
  }
}

void import_store::erase_blocks(storage::sealed_batch& to, const import_record& r) {
  for (std::uint64_t n = 0; n < r.blocks; ++n)
    to.push_back({table::imports, block_row(r.name, n), std::nullopt});
}

void import_store::erase(storage::sealed_batch& to, const import_record& r) {
  erase_blocks(to, r);
  for (std::uint64_t n = 0; n < result_blocks(r.results_kept); ++n)
    to.push_back({table::imports, result_row(r.name, n), std::nullopt});
  to.push_back({table::imports, row(protocol::import_row(r.name)), std::nullopt});
}

}  // namespace cpns::server
