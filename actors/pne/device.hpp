#pragma once
// pne/<entity>: the actor of one device of the PNE role, with its pne_machine and its durable key file.

#include <memory>
#include <string>

#include "actors/pne/actors.hpp"
#include "actors/pne/pne_metrics.hpp"
#include "actors/radio.hpp"
#include "base/clock.hpp"
#include "protocol/pne/pne_machine.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {

/// Parts of a device; moved into the actor.
struct pne_device_parts {
  std::uint64_t index = 0;  ///< index in the fleet; its endpoint id is index + 1
  protocol::pne_settings settings;
  storage::sealed_file keys;
  protocol::pne_record record;  ///< the content of `keys`
  clock_fn clock;
  radio_send_fn send;
  fleet_actor fleet;
  pne_metrics counted{};
};

/// The record in `keys`; an empty record without a file. Errors of sealed_file::load; store_damaged if the
/// content is not a record.
result<protocol::pne_record> load_pne_record(const storage::sealed_file& keys);

/// Spawns the actor. The machine is powered on at once.
pne_actor spawn_pne_device(caf::actor_system& system, pne_device_parts parts);

}  // namespace cpns::actors
