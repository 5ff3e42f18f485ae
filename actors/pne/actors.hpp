#pragma once
// Every message of the PNE role. Frames carry no secret in the clear, key files never travel.

#include <caf/all.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "actors/waiting.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"

namespace cpns::actors {

/// Whose lines they are, in the log.
inline constexpr std::string_view pne_component = "pne";

/// What a person or a timer does to a device.
enum class pne_command : std::uint8_t { wake, sleep, button, factory_reset };

struct pne_link_up {
  std::uint64_t transport;
  std::uint64_t link;
};
struct pne_link_down {
  std::uint64_t transport;
  std::uint64_t link;
};
struct pne_frame {
  std::uint64_t transport;
  std::uint64_t link;
  bytes message;
  waiting_count waiting;  ///< of the link
};
struct pne_do {
  pne_command what;
};
struct pne_order {
  pne_command what;
};  ///< as pne_do, with an answer
struct pne_tick {};
struct pne_shut_down {};  ///< drain: no new exchange, then ends

struct fleet_radio_ready {};  ///< events wait in a radio's inbox
struct fleet_deadline {
  std::uint64_t device;
  time_point at;
};
struct fleet_wakes {
  std::uint64_t device;
  bool awake;
};  ///< the device's radio presence goes on or off
struct fleet_timer {
  time_point at;  ///< what it was armed for
};
struct fleet_stop {};
struct fleet_command {
  std::string entity;
  pne_command what;
};  ///< empty entity: all
struct fleet_list {};

/// pne/<entity>: drives one pne_machine and its key file.
using pne_actor = caf::typed_actor<caf::reacts_to<pne_link_up>,    // its radio presence has a link
                                   caf::reacts_to<pne_link_down>,  // the link is gone
                                   caf::reacts_to<pne_frame>,      // one message of the gateway
                                   caf::reacts_to<pne_do>,         // wake, sleep, button, reset
                                   caf::replies_to<pne_order>::with<std::string>,  // "" done and durable,
                                                                                   // else what was wrong
                                   caf::reacts_to<pne_tick>,        // the deadline that it named has come
                                   caf::reacts_to<pne_shut_down>>;  // the role ends

/// fleet: owns radios, timers and all devices of the process.
using fleet_actor =
    caf::typed_actor<caf::reacts_to<fleet_radio_ready>,  // drains the inboxes, routes to devices
                     caf::reacts_to<fleet_deadline>,     // a device names its next deadline
                     caf::reacts_to<fleet_wakes>,        // a device joins or leaves the radio
                     caf::reacts_to<fleet_timer>,        // the earliest deadline
                     caf::replies_to<fleet_command>::with<std::string>,  // "" done and durable, else what
                                                                         // was wrong
                     caf::replies_to<fleet_list>::with<std::vector<std::string>>,  // a JSON object a device
                     caf::replies_to<fleet_stop>::with<bool>>;                     // drains

}  // namespace cpns::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_link_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_link_down)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_frame)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_do)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_shut_down)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_radio_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_deadline)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_wakes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_timer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_stop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_command)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_list)
