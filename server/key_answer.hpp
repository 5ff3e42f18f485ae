#pragma once
// The answer of a manufacturer's service (docs/openapi/key-service.yaml). It is read strictly: a key that was misread would be
// the key of no device, and nobody would see why.

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace cpns::server {

/// TK' of `entity` out of the body of an answer 200. peer_bad_state: the answer breaks the contract; peer_identity: it is
/// for another Entity ID. The detail has no text of the answer. [thread-safe]
result<secret32> read_key_answer(const crypto::suite& s, const entity_id& entity, std::string_view type,
                                 secret_bytes body);

/// The path of the query, after the URL of the service.
std::string key_target(const entity_id& entity);
/// That of the query which asks for no device.
inline constexpr std::string_view key_health_target = "/v1/health";

}  // namespace cpns::server
