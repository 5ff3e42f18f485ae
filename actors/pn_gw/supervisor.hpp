#pragma once
// supervisor: owns what devices share: radios, links, detectors on new links, devices by Entity ID, one timer.

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/application_keys/consumers.hpp"
#include "actors/application_keys/previous_keys.hpp"
#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/gateway_metrics.hpp"
#include "actors/pn_gw/history.hpp"
#include "actors/pn_gw/key_store.hpp"
#include "actors/pn_gw/server_link.hpp"
#include "actors/radio.hpp"
#include "base/text.hpp"
#include "config/schema.hpp"

namespace cpns::actors {

/// Whether `entity` matches one of `patterns`: Entity IDs, or prefixes that end in "*".
inline bool is_named(const std::vector<std::string>& patterns, const std::string& entity) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) { return fits(p, entity); });
}

/// Settings of the supervisor and its devices; replaced as a whole on SIGHUP.
struct supervisor_rules {
  protocol::pn_gw_settings device;  ///< `allowed` and `denied` are set per device
  config::validation_config validation;
  std::uint32_t devices_max = 100'000;
  std::uint32_t links_max = 8192;

  [[nodiscard]] protocol::pn_gw_settings settings_for(const std::string& entity) const {
    auto s = device;
    s.allowed = is_named(validation.allow, entity);
    s.denied = is_named(validation.deny, entity);
    return s;
  }
};

struct supervisor_parts {
  std::shared_ptr<const supervisor_rules> rules;
  std::vector<open_radio_entry> radios;
  key_store* store = nullptr;     ///< outlives the actor
  consumers* programs = nullptr;  ///< outlives the actor; nullptr: no program has keys
  /// Those that owe the server something; none: the supervisor looks for them in the store.
  std::optional<std::vector<entity_id>> unfinished;
  std::shared_ptr<pne_history> history;
  std::shared_ptr<nonce_cache> nonces;
  server_link_actor uplink;
  clock_fn clock;
  std::function<protocol::gw_dates()> dates;  ///< empty: use `clock` as the wall clock
  std::function<void(std::string)> failed;    ///< the role cannot continue. [thread-safe]
  std::shared_ptr<const supervisor_metrics> counted = std::make_shared<supervisor_metrics>();
  std::vector<metrics::gauge> radio_links{};  ///< one for each of `radios`; empty: they are not counted
  std::shared_ptr<pne_tally> tally = std::make_shared<pne_tally>(0);
  std::size_t mailboxes = message_credit::most_default;  ///< bytes of messages that wait for devices
  previous_keys* previous = nullptr;                     ///< of shared_parts

  [[nodiscard]] metrics::gauge links_of(protocol::gw_link link) const {
    return link.transport < radio_links.size() ? radio_links[link.transport] : metrics::gauge{};
  }
};

supervisor_actor spawn_supervisor(caf::actor_system& system, supervisor_parts parts);

}  // namespace cpns::actors
