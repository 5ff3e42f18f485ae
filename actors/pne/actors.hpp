#pragma once
// Every message of the PNE role. Frames hold secrets only encrypted; key files are never sent.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <caf/all.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "actors/message_credit.hpp"
#include "actors/waiting.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace cpns::actors {

/// The component of its log lines.
inline constexpr std::string_view pne_component = "pne";

/// Commands of an operator or a timer to a device.
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
  message_credit::hold held{};
};
struct pne_do {
  pne_command what;
};
/// As pne_do, with an answer.
struct pne_order {
  pne_command what;
};
struct pne_tick {};
/// The write of its keys became durable, or failed.
struct pne_saved {
  status outcome;
};
struct pne_shut_down {};

struct fleet_radio_ready {};  ///< a radio's inbox holds events
struct fleet_deadline {
  std::uint64_t device;
  time_point at;
};
/// Switches the radio presence of a device.
struct fleet_wakes {
  std::uint64_t device;
  bool awake;
};
/// The outcome of each write of a device whose actor ended is known.
struct fleet_settled {
  std::uint64_t device;
};
struct fleet_timer {
  time_point at;
};
struct fleet_stop {};
struct fleet_command {
  std::string entity;  ///< empty: all devices
  pne_command what;
};
/// The first `count` devices in the order of their Entity IDs, whose Entity ID is greater than `after` and begins with
/// `prefix`.
struct fleet_page {
  std::string after, prefix;
  std::size_t count;
};
/// One JSON object per device, for people.
struct fleet_view {
  boost::json::array devices;
};
struct fleet_radios {};
/// describe_radios of radio_view.hpp.
struct fleet_radios_view {
  boost::json::object json;
};

/// pne/<entity>: drives one pne_machine and its keys.
using pne_actor = caf::typed_actor<caf::reacts_to<pne_link_up>,    // a gateway connected
                                   caf::reacts_to<pne_link_down>,  // the link is gone
                                   caf::reacts_to<pne_frame>,      // one message of the gateway
                                   caf::reacts_to<pne_do>,         // wake, sleep, button, reset
                                   // "" once it is done and durable, otherwise the error.
                                   caf::replies_to<pne_order>::with<std::string>,
                                   caf::reacts_to<pne_tick>,        // its deadline has passed
                                   caf::reacts_to<pne_saved>,       // the write of its keys ended
                                   caf::reacts_to<pne_shut_down>>;  // the role ends

/// fleet: owns radios, timers and all devices of the process.
using fleet_actor =
    caf::typed_actor<caf::reacts_to<fleet_radio_ready>,  // drains the inboxes, routes to devices
                     caf::reacts_to<fleet_deadline>,     // the next deadline of a device
                     caf::reacts_to<fleet_wakes>,        // a device joins or leaves the radio
                     caf::reacts_to<fleet_settled>,      // a device whose actor ended can restart
                     caf::reacts_to<fleet_timer>,        // the earliest deadline
                     // "" once the command is done and durable, otherwise the error.
                     caf::replies_to<fleet_command>::with<std::string>,
                     caf::replies_to<fleet_page>::with<fleet_view>,
                     caf::replies_to<fleet_radios>::with<fleet_radios_view>,
                     caf::replies_to<fleet_stop>::with<bool>>;  // drains

}  // namespace cpns::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_link_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_link_down)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_frame)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_do)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_saved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::pne_shut_down)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_radio_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_deadline)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_wakes)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_settled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_timer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_stop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_command)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_page)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_view)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_radios)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::fleet_radios_view)
