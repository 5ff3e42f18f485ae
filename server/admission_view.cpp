#include "server/admission_view.hpp"

#include <cmath>

namespace cpns::server {

boost::json::object describe(const admission::view& v) {
  return {{"in_work", v.in_work},
          {"waiting", v.waiting},
          {"gateways_waiting", v.gateways_waiting},
          {"oldest_ms", v.oldest.count()},
          {"jobs_per_second", std::llround(v.per_second)},
          {"returns", v.returns}};
}

void count_admission(metrics::sheet& to, const admission::view& v) {
  to.gauge("cpns_server_jobs_in_work", "Requests and reported epochs that are worked on.",
           static_cast<double>(v.in_work));
  to.gauge("cpns_server_jobs_waiting", "Requests for keys that wait for their turn.",
           static_cast<double>(v.waiting));
  to.gauge("cpns_server_wait_seconds", "The longest time for which a waiting request has waited.",
           std::chrono::duration<double>(v.oldest).count());
  to.gauge("cpns_server_jobs_per_second",
           "The rate at which jobs were done when requests last waited; 0: none has waited.", v.per_second);
  to.gauge("cpns_server_returns", "Refused requests whose retry_after ends within the next 30 s.",
           static_cast<double>(v.returns));
}

}  // namespace cpns::server
