#pragma once
// `cpns audit verify` on a running role: its request of the API, the client, and the report as JSON.

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <vector>

#include "api/client.hpp"
#include "api/routes.hpp"
#include "audit/trail.hpp"
#include "config/loader.hpp"

namespace cpns::cli {

boost::json::object json_of(const audit::verify_report& r);
/// peer_bad_state if `v` is not such an object.
result<audit::verify_report> verify_report_of(const boost::json::value& v);

/// GET /v1/audit/verify: reads the trail for 30 s at the most, one line in memory, one check at a time. A client may name
/// older files of this trail, in its folder and with its name and a dot in front, and no other file. `trail` outlives
/// the route.
api::route audit_verify_route(audit::trail& trail);

/// The same check by the API of a running role. `older`: names of files in the folder of the trail, commas between them.
tl::expected<audit::verify_report, api::problem> verify_running(api::client& role, const std::string& older);
/// The same check by the API of the role of `file`, which runs. `older`: paths, as audit::verify takes them.
tl::expected<audit::verify_report, api::problem>
verify_running(const config::checked_file& file, const std::vector<std::filesystem::path>& older);

}  // namespace cpns::cli
