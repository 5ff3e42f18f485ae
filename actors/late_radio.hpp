#pragma once
// A radio whose address, adapter or service is not available yet.

#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "plugins/host/checked_transport.hpp"
#include "plugins/host/transport.hpp"

namespace cpns::actors {

/// Opens the plugin; called by one thread at a time.
using open_fn = std::function<plugins::open_result<std::unique_ptr<plugins::transport>>()>;

/// Called for the log, in the thread of the late radio.
struct late_radio_events {
  std::function<void(const plugins::transport_info&)> open;  ///< the radio is open now
  std::function<void(const error&)> refused;                 ///< an attempt failed; rate-limited
};

/// At boot a role may start before its network or its adapter. This transport has no links and retries `open`
/// every `pause` in its own thread. Once the real radio is open, it receives the pending settings (scan, power,
/// endpoints) and every later call. `name`: name of the plugin; `why`: why it could not be opened yet.
std::unique_ptr<plugins::transport> make_late_radio(std::string name, std::string why, open_fn open,
                                                    late_radio_events events,
                                                    milliseconds pause = seconds{5});

}  // namespace cpns::actors
