#include "cli/entities.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "crypto/key_schedule.hpp"

namespace cpns::cli {
namespace {

/// Rows in one durable write: they are large.
constexpr std::size_t rows_at_once = 256;

}  // namespace

result<std::optional<protocol::entity_record>> find_entity(const storage::sealed_store& store,
                                                           const entity_id& entity) {
  CPNS_TRY(const auto row, store.get(storage::table::entities, as_bytes(entity.text())));
  if (!row) return std::optional<protocol::entity_record>{};
  CPNS_TRY(auto record, protocol::decode_entity_record(row->expose()));
  return std::optional{std::move(record)};
}

result<std::vector<protocol::entity_record>> held_entities(const storage::sealed_store& store,
                                                           const std::optional<gateway_id>& holder) {
  std::vector<protocol::entity_record> out;
  status damaged;
  CPNS_CHECK(store.scan(storage::table::entities, {}, [&](byte_view, const secret_bytes& value) {
    auto record = protocol::decode_entity_record(value.expose());
    if (!record) {
      damaged = fail(std::move(record).error());
      return false;
    }
    if (record->holder && (!holder || record->holder == holder)) out.push_back(std::move(*record));
    return true;
  }));
  CPNS_CHECK(std::move(damaged));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.entity < b.entity; });
  return out;
}

status release_entities(storage::sealed_store& store, std::vector<protocol::entity_record> entities) {
  storage::sealed_batch batch;
  for (std::size_t i = 0; i < entities.size(); ++i) {
    auto& e = entities[i];
    protocol::release_holder(e);
    batch.push_back({storage::table::entities, to_bytes(as_bytes(e.entity.text())), protocol::encode(e)});
    if (batch.size() < rows_at_once && i + 1 < entities.size()) continue;
    CPNS_CHECK(store.write(batch));
    batch.clear();
  }
  return {};
}

result<gateway_id> parse_gateway(std::string_view text) {
  if (text.find(':') != std::string_view::npos)
    return crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::x509, text);
  if (const auto bytes = from_hex(text); bytes && bytes->size() == gateway_id::size) {
    gateway_id gw;
    std::copy(bytes->begin(), bytes->end(), gw.value.begin());
    return gw;
  }
  return fail(errc::config_usage, shown(text) + " is neither the URI of a gateway's certificate, such as "
                                                "urn:cpns:gw:gw1, nor the 32 digits of its gw in the log");
}

}  // namespace cpns::cli
