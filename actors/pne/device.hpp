#pragma once
// pne/<entity>: one device of the PNE role, a pne_machine and its durable key file under an actor.

#include <memory>
#include <string>

#include "actors/pne/actors.hpp"
#include "actors/radio.hpp"
#include "base/clock.hpp"
#include "protocol/pne/pne_machine.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {

/// What a device is made of. All of it is moved into the actor.
struct pne_device_parts {
  std::uint64_t index = 0;  ///< its place in the fleet; its endpoint at the radios is one more
  protocol::pne_settings settings;
  storage::sealed_file keys;
  protocol::pne_record record;  ///< what `keys` held
  clock_fn clock;
  radio_send_fn send;
  fleet_actor fleet;
};

/// What `keys` holds: nothing yet, if there is no such file. Errors as of sealed_file::load, store_damaged
/// for content that is no record.
result<protocol::pne_record> load_pne_record(const storage::sealed_file& keys);

/// Spawns the actor. The machine is powered on at once.
pne_actor spawn_pne_device(caf::actor_system& system, pne_device_parts parts);

}  // namespace cpns::actors
