#pragma once
// What the devices of a PNE process count while they work. docs/operations/monitoring.md has all metrics.

#include <array>
#include <iterator>
#include <string>

#include "metrics/registry.hpp"
#include "protocol/pne/pne_machine.hpp"

namespace cpns::actors {

/// Handles; made by default they count nothing. [thread-safe]
class pne_metrics {
 public:
  pne_metrics() = default;
  explicit pne_metrics(metrics::registry& in)
      : failed_writes(in.make_counter(
            "cpns_pne_key_file_failures_total",
            "Writes of keys that failed, to a key file or to the store; the device is silent until "
            "one succeeds.")) {
    for (const auto s : states)
      in_state_.at(static_cast<std::size_t>(s)) = in.make_gauge(
          "cpns_pne_devices", "Devices by the state of their machine.", {{"state", std::string{name_of(s)}}});
    for (const auto e : events)
      happened_.at(static_cast<std::size_t>(e)) =
          in.make_counter("cpns_pne_events_total", "Events of the devices, by their name in the log.",
                          {{"event", std::string{describe_event(e).id}}});
  }

  void happened(protocol::pne_event::kind_t kind) const {
    happened_.at(static_cast<std::size_t>(kind)).add();
  }
  /// Of the devices in this state.
  [[nodiscard]] metrics::gauge in_state(protocol::pne_state s) const {
    return in_state_.at(static_cast<std::size_t>(s));
  }
  metrics::counter failed_writes;

 private:
  static constexpr protocol::pne_state states[] = {
#define CPNS_X(id, meaning) protocol::pne_state::id,
      CPNS_PNE_STATES(CPNS_X)
#undef CPNS_X
  };
  static constexpr protocol::pne_event::kind_t events[] = {
#define CPNS_X(name, id, loudness, step, text) protocol::pne_event::kind_t::name,
      CPNS_PNE_EVENTS(CPNS_X)
#undef CPNS_X
  };
  std::array<metrics::gauge, std::size(states)> in_state_{};
  std::array<metrics::counter, std::size(events)> happened_{};
};

}  // namespace cpns::actors
