#pragma once
// device/<entity>: one PNE as the gateway sees it.

#include <functional>

#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/key_store.hpp"
#include "actors/pn_gw/strangers.hpp"
#include "actors/radio.hpp"

namespace cpns::actors {

struct device_parts {
  std::uint64_t index = 0;
  protocol::pn_gw_settings settings;
  protocol::device_record record;
  clock_fn clock;
  std::function<protocol::gw_dates()> dates;  ///< empty: `clock` is the wall clock, too
  radio_send_fn send;                         ///< to a radio
  key_store* store = nullptr;                 ///< outlives the actor
  server_link_actor uplink;
  supervisor_actor supervisor;
  std::shared_ptr<protocol::claimant_book> claimants;
  std::shared_ptr<unproven_lines> lines;
};

/// A device that owes the server a report, or asked it something, goes on without waiting to be seen.
inline bool owes_server(const protocol::device_record& r) { return r.to_report || r.request; }

device_actor spawn_device(caf::actor_system& system, device_parts parts);

}  // namespace cpns::actors
