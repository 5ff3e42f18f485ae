#pragma once
// One definition for all roles that have certificates.

#include <map>
#include <string>

#include "base/clock.hpp"
#include "metrics/registry.hpp"

namespace cpns::metrics {

/// `setting`: where the YAML file names the files, "tls" or "api.tls". `ends`: as of crypto::tls_source::ends.
inline void add_certificate_ends(sheet& to, const std::string& setting,
                                 const std::map<std::string, time_point>& ends) {
  for (const auto& [part, end] : ends)
    to.gauge("cpns_certificate_end_time_seconds",
             "End of a certificate or CRL that the role depends on, Unix time; of several of one part, the "
             "first end.",
             static_cast<double>(unix_seconds(end)), {{"part", part}, {"setting", setting}});
}

}  // namespace cpns::metrics
