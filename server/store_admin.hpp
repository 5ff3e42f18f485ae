#pragma once
// The users, the manufactured devices, the holders and the gateways in a server's store: for the API of a running server
// and for the commands on the store of a stopped one.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/result.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "storage/group_commit.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Writes a batch and returns when it is durable, or has failed.
using durable_write = std::function<status(storage::sealed_batch)>;
/// Of a store that nobody else uses. `store` outlives it.
durable_write write_to(storage::sealed_store& store);
/// Of a store that a running server uses: through `commit` of its committer, which outlives it, so that a thread of low
/// priority never holds up the rows of others in the engine. Waits while too many rows are queued; state_overloaded after
/// 2 s of it.
durable_write write_beside_others(std::function<void(storage::sealed_batch, storage::commit_done)> commit);

// A change reads a row, decides, and writes the row if it still has the version that was read. If another server was
// faster, all of it is made again, lost_races_max times in all; then it is state_conflict, and nothing was changed.

inline constexpr int lost_races_max = 3;
/// Makes a change that reads what it needs and writes conditionally, until it does not fail with store_conflict.
status until_not_lost(const std::function<status()>& change);
/// The new value of a row from the present one; nullopt: the row does not exist, or was erased.
using row_decision =
    std::function<result<std::optional<secret_bytes>>(const std::optional<secret_bytes>& now)>;
/// One row as above. Errors of `decide`, which then changes nothing, and of the store.
status change_row(const storage::sealed_store& store, const durable_write& write,
                  const storage::row_name& name, const row_decision& decide);

/// The record of a user: a fresh salt, and StoredKey of the password.
protocol::user_record make_user(const crypto::suite& s, entropy& random, const user_id& user,
                                const secret_bytes& password, time_point now);
/// state_exists if the user exists.
status add_user(const storage::sealed_store& store, const durable_write& write,
                const protocol::user_record& user);
/// Gives the user another password; state_unknown if the user does not exist. `created` stays.
status change_user(const storage::sealed_store& store, const durable_write& write,
                   protocol::user_record user);
/// state_unknown if the user does not exist. Devices that name the user as owner keep it.
status remove_user(const storage::sealed_store& store, const durable_write& write, const user_id& user);
/// nullopt if the user is unknown.
result<std::optional<protocol::user_record>> find_user(const storage::sealed_store& store,
                                                       const user_id& user);
/// All users by name.
result<std::vector<protocol::user_record>> list_users(const storage::sealed_store& store);

inline status add_user(storage::sealed_store& store, const protocol::user_record& user) {
  return add_user(store, write_to(store), user);
}
inline status change_user(storage::sealed_store& store, protocol::user_record user) {
  return change_user(store, write_to(store), std::move(user));
}
inline status remove_user(storage::sealed_store& store, const user_id& user) {
  return remove_user(store, write_to(store), user);
}

/// state_exists if the device is in the store.
status add_device(const storage::sealed_store& store, const durable_write& write,
                  const protocol::device_secret_record& device);
/// state_unknown if the device is not in the store. The keys that were assigned to it stay in the table of entities.
status remove_device(const storage::sealed_store& store, const durable_write& write, const entity_id& entity);
/// Replaces its row, and with it the key, by one without a key: no gateway gets keys for it, also if a batch names it.
/// remove_device() ends that.
status block_device(const storage::sealed_store& store, const durable_write& write, const entity_id& entity);
/// nullopt if the device is not in the store.
result<std::optional<protocol::device_secret_record>> find_device(const storage::sealed_store& store,
                                                                  const entity_id& entity);
/// All devices by Entity ID.
result<std::vector<protocol::device_secret_record>> list_devices(const storage::sealed_store& store);

/// nullopt if no key was ever assigned to the entity.
result<std::optional<protocol::entity_record>> find_entity(const storage::sealed_store& store,
                                                           const entity_id& entity);
/// Entities that a gateway holds, by Entity ID; of all gateways without `holder`.
result<std::vector<protocol::entity_record>> held_entities(const storage::sealed_store& store,
                                                           const std::optional<gateway_id>& holder);
/// Takes the holder from each of them, durably. Rows written before an error stay; call it again for the rest.
/// state_conflict: one has another holder by now. A running server releases by administration::release.
status release_entities(storage::sealed_store& store, std::vector<protocol::entity_record> entities);

/// A gateway by its certificate's SAN URI, by the identity of its pre-shared key, or by the 32 hexadecimal digits of
/// gw_id. config_usage otherwise.
result<gateway_id> parse_gateway(std::string_view text);
/// The identity of a gateway with a pre-shared key; config_usage if it is another text.
result<std::string> parse_psk_identity(std::string_view text);
/// The name of its row.
bytes gateway_row(const gateway_id& gw);
/// Blocks it from `since` (Unix seconds), or serves it again (0); `uri` may be empty. A running server blocks by
/// administration::block.
status block_gateway(storage::sealed_store& store, const gateway_id& gw, const std::string& uri,
                     std::int64_t since);
/// nullopt if it never connected, was never blocked, and never had a key.
result<std::optional<protocol::gateway_record>> find_gateway(const storage::sealed_store& store,
                                                             const gateway_id& gw);

}  // namespace cpns::server
