#pragma once
// supervisor: what no single device owns. Radios, links, detectors on unknown links, devices by Entity ID,
// one timer for all.

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/key_store.hpp"
#include "actors/pn_gw/server_link.hpp"
#include "actors/radio.hpp"
#include "base/text.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

/// What the supervisor goes by; replaced as a whole on SIGHUP. Devices that are live keep what they were made
/// with.
struct supervisor_rules {
  protocol::pn_gw_settings device;  ///< `allowed` and `denied` are filled in for each device
  config::validation_config validation;
  std::uint32_t devices_max = 100'000;
  std::uint32_t links_max = 8192;
};

struct supervisor_parts {
  std::shared_ptr<const supervisor_rules> rules;
  std::vector<open_radio_entry> radios;
  key_store* store = nullptr;  ///< outlives the actor
  std::shared_ptr<nonce_cache> nonces;
  server_link_actor uplink;
  clock_fn clock;
  std::function<protocol::gw_dates()> dates;  ///< empty: `clock` is the wall clock, too
  std::function<void(std::string)> failed;    ///< the role cannot go on. [thread-safe]
};

supervisor_actor spawn_supervisor(caf::actor_system& system, supervisor_parts parts);

/// Whether `entity` is named by one of `patterns`: Entity IDs, or beginnings of them that end in "*".
inline bool is_named(const std::vector<std::string>& patterns, const std::string& entity) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) { return fits(p, entity); });
}

}  // namespace cpns::actors
