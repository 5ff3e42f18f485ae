#pragma once
// The metrics of radios, for gateway and PNE.

#include <string>

#include "actors/radio.hpp"
#include "metrics/registry.hpp"

namespace cpns::actors {

inline constexpr std::size_t radio_counters_max = 96;

/// Calls the plugin, which may take time; not once its close has begun. The names of counters come from the plugin: of
/// each radio the first radio_counters_max are taken.
inline void add_radio(metrics::sheet& to, const open_radio_entry& radio) {
  to.gauge("cpns_radio_up", "1: the radio is open; 0: it waits for something, or is closed.",
           radio.transport->state().kind == plugins::transport_state::kind_t::open ? 1 : 0,
           {{"radio", radio.name}});
  const auto all = radio.transport->counters();
  for (std::size_t i = 0; i < all.size() && i < radio_counters_max; ++i)
    to.counter("cpns_radio_events_total",
               "Counters of a radio: of the host, and, with the prefix radio_, of the plugin itself.",
               static_cast<double>(all[i].value), {{"radio", radio.name}, {"counter", all[i].name}});
  to.counter("cpns_radio_messages_dropped_total",
             "Messages of a radio that were dropped because the role was too slow.",
             static_cast<double>(radio.inbox->dropped()), {{"radio", radio.name}});
}

/// The links of a radio that are up.
inline metrics::gauge make_radio_links(metrics::registry& in, const std::string& radio) {
  return in.make_gauge("cpns_radio_links", "Links of a radio that are up.", {{"radio", radio}});
}

}  // namespace cpns::actors
