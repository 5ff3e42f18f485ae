#pragma once
// pne/<entity>: the actor of one device of the PNE role, with its pne_machine and its durable keys.

#include <memory>
#include <string>

#include "actors/application_keys/previous_keys.hpp"
#include "actors/pne/actors.hpp"
#include "actors/pne/device_keys.hpp"
#include "actors/pne/pne_metrics.hpp"
#include "actors/radio.hpp"
#include "base/clock.hpp"
#include "protocol/pne/pne_machine.hpp"

namespace cpns::actors {

/// Parts of a device; moved into the actor.
struct pne_device_parts {
  std::uint64_t index = 0;  ///< index in the fleet; its endpoint id is index + 1
  protocol::pne_settings settings;
  std::shared_ptr<device_keys> keys;
  protocol::pne_record record;  ///< the content of `keys`
  clock_fn clock;
  radio_send_fn send;
  fleet_actor fleet;
  pne_metrics counted{};
  previous_keys* previous = nullptr;  ///< outlives the actor; nullptr: no program gets keys
};

/// Spawns the actor. The machine is powered on at once.
pne_actor spawn_pne_device(caf::actor_system& system, pne_device_parts parts);

}  // namespace cpns::actors
