#pragma once
// fleet: owns the radios and the timer that all devices of one process share, and routes between radios and
// devices.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/application_keys/previous_keys.hpp"
#include "actors/pne/actors.hpp"
#include "actors/pne/device.hpp"
#include "actors/radio.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

struct fleet_parts {
  /// pne_device_parts without those that the fleet sets, or has for all.
  struct member {
    protocol::pne_settings settings;
    std::shared_ptr<device_keys> keys;    ///< null: they cannot be opened, `record` is the error
    result<protocol::pne_record> record;  ///< an error keeps the device off the radio
  };
  std::vector<member> members;
  std::vector<open_radio_entry> radios;
  config::pne_wake wake;
  clock_fn clock;
  std::function<void(std::string)> failed;  ///< the role cannot continue. [thread-safe]
  pne_metrics counted{};
  std::size_t mailboxes = message_credit::most_default;  ///< bytes of messages that wait for devices
  previous_keys* previous = nullptr;                     ///< of pne_device_parts
};

fleet_actor spawn_fleet(caf::actor_system& system, fleet_parts parts);

}  // namespace cpns::actors
