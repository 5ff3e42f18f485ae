#pragma once
// The rules of the devices of a gateway, from its configuration.

#include <memory>

#include "actors/pn_gw/supervisor.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

/// `c`: the configuration, which may have been read again. `at_start`: that of the start, for what does not change while the role runs:
/// application keys and their socket. An error if `c` names no user.
result<std::shared_ptr<const supervisor_rules>>
rules_of(const config::gateway_config& c, const gateway_id& gw, const config::gateway_config& at_start);

}  // namespace cpns::actors
