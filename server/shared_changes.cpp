#include "server/shared_changes.hpp"

#include "base/cbor.hpp"

namespace cpns::server {
namespace {

std::string_view name_of_row(changes_of kind) {
  switch (kind) {
  case changes_of::gateways: return "changes of gateways";
  case changes_of::batches: break;
  }
  return "changes of batches";
}

}  // namespace

storage::row_name changes_row(changes_of kind) {
  return {storage::table::meta, to_bytes(as_bytes(name_of_row(kind)))};
}

result<std::uint64_t> changes_seen(const storage::sealed_store& store, changes_of kind) {
  if (!store.shared()) return std::uint64_t{0};
  const auto row = changes_row(kind);
  CPNS_TRY(const auto found, store.read_one(row.table, row.row));
  return found.version;
}

void tell_change(const storage::sealed_store& store, storage::sealed_batch& change, changes_of kind,
                 std::optional<std::uint64_t> expected) {
  if (!store.shared()) return;
  auto row = changes_row(kind);
  constexpr std::uint64_t schema = 1;
  change.push_back({row.table, std::move(row.row), secret_bytes{cbor::writer().array(1).uint(schema).take()},
                    expected, false, true});
}

}  // namespace cpns::server
