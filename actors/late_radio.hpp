#pragma once
// A radio whose address, adapter or service is not there yet.

#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "plugins/host/checked_transport.hpp"
#include "plugins/host/transport.hpp"

namespace cpns::actors {

/// Opens the plugin; called by one thread at a time.
using open_fn = std::function<plugins::open_result<std::unique_ptr<plugins::transport>>()>;

/// What the log says of it.
struct late_radio_told {
  std::function<void(const plugins::transport_info&)> open;  ///< it is there now
  std::function<void(const error&)> refused;                 ///< an attempt failed, at a bounded rate
};

/// A transport without links that tries to open the real one every few seconds, in a thread of its own, and
/// hands everything on to it from then on: whether it scans and the endpoints are kept until then. A machine
/// that boots may be faster than its network. `name` is the plugin's.
std::unique_ptr<plugins::transport> make_late_radio(std::string name, open_fn open, late_radio_told told,
                                                    milliseconds pause = seconds{5});

}  // namespace cpns::actors
