#pragma once
// What a server's store says of who holds a device: what `cpns entity` does once the store is open.

#include <optional>
#include <vector>

#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::cli {

/// nullopt: nothing was ever assigned to it.
result<std::optional<protocol::entity_record>> find_entity(const storage::sealed_store& store,
                                                           const entity_id& entity);
/// Entities that a gateway holds, by Entity ID; of all gateways without `holder`.
result<std::vector<protocol::entity_record>> held_entities(const storage::sealed_store& store,
                                                           const std::optional<gateway_id>& holder);
/// Takes the holder from each of them, durably. What was done before an error stays done, and the same call
/// does the rest.
status release_entities(storage::sealed_store& store, std::vector<protocol::entity_record> entities);

/// A gateway by its certificate's SAN URI, or by the 32 hexadecimal digits of gw_id. config_usage otherwise.
result<gateway_id> parse_gateway(std::string_view text);

}  // namespace cpns::cli
