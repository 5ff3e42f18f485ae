#pragma once
// One definition for all roles that have certificates.

#include <string>

#include "metrics/registry.hpp"

namespace cpns::metrics {

/// `part`: own, intermediate, ca or crl.
inline void add_certificate_end(sheet& to, const std::string& part, double unix_seconds) {
  to.gauge("cpns_certificate_end_time_seconds",
           "End of a certificate or CRL that the role depends on, Unix time; of several of one part, the "
           "first end.",
           unix_seconds, {{"part", part}});
}

}  // namespace cpns::metrics
