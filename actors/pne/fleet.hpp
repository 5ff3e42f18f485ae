#pragma once
// fleet: owns what the devices of one process share, radios and one timer, and routes between them.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/pne/actors.hpp"
#include "actors/pne/device.hpp"
#include "actors/radio.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

struct fleet_parts {
  /// Everything of a device but `index`, `send` and `fleet`, which the fleet fills in.
  struct member {
    protocol::pne_settings settings;
    std::optional<storage::sealed_file> keys;  ///< none: cannot be opened, `record` says why
    result<protocol::pne_record> record;       ///< an error keeps this device off the radio
  };
  std::vector<member> members;
  std::vector<open_radio_entry> radios;
  config::pne_wake wake;
  clock_fn clock;
  std::function<void(std::string)> failed;  ///< the role cannot go on. [thread-safe]
};

fleet_actor spawn_fleet(caf::actor_system& system, fleet_parts parts);

}  // namespace cpns::actors
