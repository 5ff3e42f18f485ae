#pragma once
// The metrics that every role has: process, log, audit trail, HTTP API. docs/operations/monitoring.md has all metrics.

#include <functional>
#include <string>
#include <vector>

#include "api/http_server.hpp"
#include "audit/trail.hpp"
#include "metrics/registry.hpp"

namespace cpns::cli {

// What is collected outlives the last text() of `to`.

/// `not_ready`: as of api::common_parts.
void collect_process(metrics::registry& to, const std::string& role,
                     std::function<std::vector<std::string>()> not_ready);
void collect_audit(metrics::registry& to, const audit::trail& trail);
void collect_api(metrics::registry& to, const api::http_server& server);

}  // namespace cpns::cli
