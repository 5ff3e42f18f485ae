#pragma once
// What the status and the metrics of the server say about its admission.

#include <boost/json.hpp>

#include "metrics/registry.hpp"
#include "server/admission.hpp"

namespace cpns::server {

/// `admission` of the server's status: {"in_work", "waiting", "gateways_waiting", "oldest_ms", "jobs_per_second",
/// "returns"}.
boost::json::object describe(const admission::view& v);
void count_admission(metrics::sheet& to, const admission::view& v);

}  // namespace cpns::server
