#pragma once
// The server link of a gateway as JSON for people.

#include <boost/json/object.hpp>

#include "actors/pn_gw/node_follower.hpp"
#include "actors/pn_gw/server_link_state.hpp"

namespace cpns::actors {

/// {"state", "since", "user", "server", "certificate", "last_error", "requests_in_flight", "requests_waiting", "draining",
/// "servers"}: what is not known is left out. "server" and "certificate" are those of the last connection. No secret.
boost::json::object describe_link(const server_link_state& s, const node_follower& follower, time_point now);

}  // namespace cpns::actors
