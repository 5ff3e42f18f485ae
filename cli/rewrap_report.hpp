#pragma once
// The outcome of a rewrap as JSON: of the command, and of the API of a running role, which the command reads.

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

#include "cli/rewrap.hpp"

namespace cpns::cli {

/// `place`: of the role's data keys, for people.
rewrap_outcome outcome_of_change(config::role_kind role, std::string place, storage::key_change done);

/// {"kind", "file"}.
boost::json::object state_of(const config::protector_config& c);
boost::json::object state_of(const storage::key_source& k);

boost::json::object json_of(const rewrap_outcome& r, bool in_place);
/// peer_bad_state if `v` is not such an object.
result<rewrap_outcome> rewrap_outcome_of(const boost::json::value& v);

}  // namespace cpns::cli
