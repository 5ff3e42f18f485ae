#pragma once
// The routes of the key socket of a role: application keys for the programs that use them.

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "actors/application_keys/consumers.hpp"
#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/offered_keys.hpp"
#include "actors/application_keys/purposes.hpp"
#include "api/routes.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

/// What the routes share. `offered` and `suite` outlive the routes.
struct key_route_parts {
  std::string component;  ///< of the log lines
  std::shared_ptr<const purposes> known;
  const offered_keys* offered = nullptr;
  key_changes* changes = nullptr;  ///< outlives the routes
  consumers* programs = nullptr;   ///< outlives the routes and their answers
  const crypto::suite* suite = nullptr;
  std::shared_ptr<const std::atomic<bool>> ending{};  ///< true: searches end early; may be nullptr
};

/// GET /v1/keys/{purpose}, also as a stream with ?watch, /v1/keys/{purpose}/{entity}, /v1/fingerprints/{purpose}/{entity} and
/// /v1/identities/{purpose}/{identity}; POST /v1/keys/{purpose}/acks. Each is answered to the processes that the purpose allows.
std::vector<api::route> key_routes(key_route_parts parts);

}  // namespace cpns::actors
