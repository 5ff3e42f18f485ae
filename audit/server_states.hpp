#pragma once
// The states of a server's rows as lines of the trail show them, without secrets; and what became of a change that a
// crash interrupted.

#include <boost/json/value.hpp>

#include "audit/entry.hpp"
#include "protocol/server/batch_record.hpp"
#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::audit {

// Actions that resolve_in_store() understands. The object is a User ID, an Entity ID, or as given. `after` is the state,
// or, from the API, the body of the request without its secrets.
inline constexpr const char* user_add = "user-add";
inline constexpr const char* user_password = "user-password";
inline constexpr const char* user_remove = "user-remove";
inline constexpr const char* device_add = "device-add";
inline constexpr const char* device_remove = "device-remove";
inline constexpr const char* device_block = "device-block";
inline constexpr const char* device_import =
    "device-import";  ///< object: the batch; `after` names the import, whose record in the store tells its end
// Object: the batch_id. `after` of an export names the devices whose keys were read.
inline constexpr const char* batch_add = "batch-add";
inline constexpr const char* batch_remove = "batch-remove";
inline constexpr const char* batch_export = "batch-export";
inline constexpr const char* entity_release = "entity-release";  ///< object: an Entity ID
/// Object: SAN URI or gw_id; `before` and `after` of a command have release_state().
inline constexpr const char* gateway_release = "gateway-release";
// Object: SAN URI or gw_id; the states have gateway_state().
inline constexpr const char* gateway_block = "gateway-block";
inline constexpr const char* gateway_unblock = "gateway-unblock";
// Object: an identity; the states have gateway_key_state().
inline constexpr const char* gateway_key_add = "gateway-key-add";
inline constexpr const char* gateway_key_remove = "gateway-key-remove";

/// {"created", "iterations", "password_id"}: password_id differs for each password that is set, and is derived from
/// the salt, which every gateway may read.
boost::json::value state_of(const protocol::user_record& r);
/// {"strength", "owner", "presence", "batch"}, or {"blocked": true}. Nothing of the key, not even a digest: a weak one could be guessed.
boost::json::value state_of(const protocol::device_secret_record& r);
/// {"entities"}: its ranges.
boost::json::value state_of(const protocol::batch_record& r);
/// {"owner", "holder"}.
boost::json::value state_of(const protocol::entity_record& r);
/// {"blocked"}: whether its requests are refused.
boost::json::value state_of(const protocol::gateway_record& r);
/// The state of a row in the store; null: there is none.
result<boost::json::value> user_state(const storage::sealed_store& store, const std::string& user);
result<boost::json::value> device_state(const storage::sealed_store& store, const std::string& entity);
result<boost::json::value> batch_state(const storage::sealed_store& store, const std::string& batch);
result<boost::json::value> entity_state(const storage::sealed_store& store, const std::string& entity);
result<boost::json::value> gateway_state(const storage::sealed_store& store, const std::string& gateway);

/// {"key": true} or {"key": false}: whether the gateway may connect by pre-shared key.
boost::json::value gateway_key_state(bool has_key);
result<boost::json::value> gateway_key_state(const storage::sealed_store& store, const std::string& gateway);

/// {"held": N}: the number of entities that a gateway holds.
boost::json::value release_state(std::size_t held);

/// A resolver for the actions above; other actions are `unknown`. `store` must outlive it.
resolver resolve_in_store(const storage::sealed_store& store);

}  // namespace cpns::audit
