// Rules between the settings of the manufacturers' services.

#include <set>
#include <string>
#include <vector>

#include "base/entity_range.hpp"
#include "base/text.hpp"
#include "config/reading.hpp"
#include "config/values.hpp"

namespace cpns::config {
namespace {

struct named_range {
  entity_range range;
  std::string service;
};

std::string key_of(std::size_t service, const std::string& member) { return service_key(service) + member; }

/// Each Entity ID has one source at most, whatever the order of the list is.
void check_ranges(const key_service_config& c, std::size_t at, std::vector<named_range>& seen,
                  const report_fn& report) {
  for (std::size_t i = 0; i < c.entities.size(); ++i) {
    auto range = entity_range::parse(c.entities[i]);
    if (!range) continue;  // has a diagnostic
    for (const auto& other : seen)
      if (range->overlaps(other.range)) {
        report(key_of(at, "entities[" + std::to_string(i) + "]"), errc::config_range,
               shown(range->text()) + " overlaps " + shown(other.range.text()) + " of the service " +
                   shown(other.service) + "; an Entity ID has one source of its Temporary Key");
        break;
      }
    seen.push_back({*std::move(range), c.name});
  }
}

}  // namespace

void check_key_services(const server_config& c, const report_fn& report) {
  const auto& services = c.temporary_keys.services;
  if (!services.empty() && !c.require_presence)
    report("require_presence", errc::config_range,
           "'require_presence: false' is refused with 'temporary_keys.services': a gateway could ask for any "
           "device of the manufacturer without having met it; remove one");
  std::set<std::string> names;
  std::vector<named_range> seen;
  for (std::size_t i = 0; i < services.size(); ++i) {
    const auto& s = services[i];
    if (!s.name.empty() && !names.insert(s.name).second)
      report(key_of(i, "name"), errc::config_range,
             "two services have the name " + shown(s.name) + "; names must be unique");
    check_ranges(s, i, seen, report);
    if (s.cache.keep_unknown > s.cache.keep)
      report(key_of(i, "cache.keep_unknown"), errc::config_range,
             "'cache.keep_unknown' (" + duration_text(s.cache.keep_unknown) +
                 ") is longer than 'cache.keep' (" + duration_text(s.cache.keep) + ")");
  }
}

}  // namespace cpns::config
