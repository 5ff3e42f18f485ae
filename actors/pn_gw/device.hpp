#pragma once
// device/<entity>: the actor of one PNE in the gateway.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "actors/application_keys/consumers.hpp"
#include "actors/application_keys/previous_keys.hpp"
#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/gateway_metrics.hpp"
#include "actors/pn_gw/history.hpp"
#include "actors/pn_gw/key_store.hpp"
#include "actors/pn_gw/strangers.hpp"
#include "actors/radio.hpp"

namespace cpns::actors {

/// What the actors of all devices share. An actor is made for each exchange of a device at rest, so it copies none of this.
struct shared_parts {
  clock_fn clock;
  std::function<protocol::gw_dates()> dates;  ///< empty: use `clock` as the wall clock
  radio_send_fn send;
  radio_rssi_fn rssi;
  key_store* store = nullptr;  ///< outlives the actors
  std::shared_ptr<protocol::claimant_book> claimants;
  std::shared_ptr<unproven_lines> lines;
  std::shared_ptr<pne_history> history;
  std::shared_ptr<const supervisor_metrics> counted;
  std::shared_ptr<pne_tally> tally;
  consumers* programs = nullptr;      ///< outlives the actors; nullptr: no program has keys
  previous_keys* previous = nullptr;  ///< outlives the actors; nullptr: no program gets keys
};

struct device_parts {
  std::uint64_t index = 0;
  shared_text name{};  ///< the Entity ID of the record, for the tables that share it
  protocol::pn_gw_settings settings;
  protocol::device_record record;
  std::shared_ptr<const shared_parts> shared;
  server_link_actor uplink;
  supervisor_actor supervisor;
  bool stored = false;  ///< whether the store has the record
  row_mark row{};       ///< of the record
  /// Of a device that rested: it goes on. Of `record` only the Entity ID counts; the actor reads the stored one.
  std::optional<protocol::gw_resting> rested{};
  protocol::gw_place place{};  ///< of its link, if it rested with one
  std::string same_id{};       ///< as it was when the device began to rest
};

/// Whether an actor of the device has something to do before the device is seen again: it has to stay, or to be made again,
/// without a link.
inline bool is_unfinished(const protocol::device_record& r) {
  return r.to_report || r.request || r.has_unproven();
}

/// The stored devices that have to go on before they are seen again: with a report that the server has not answered, a
/// refill, or a key that is `unproven` because a crash cut its exchange off. `each` is called with the summary of every
/// device, in no particular order, by other threads, but one after the other. Records that cannot be read are logged. Fails
/// only if the store itself cannot be read.
result<std::vector<entity_id>>
unfinished_devices(key_store& store, const std::function<void(const protocol::device_summary&)>& each);

device_actor spawn_device(caf::actor_system& system, device_parts parts);

}  // namespace cpns::actors
