#pragma once
// Every message of the gateway role. Messages are not inspectable, so that CAF cannot print a key by accident.

#include <boost/json/value.hpp>
#include <caf/all.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/message_credit.hpp"
#include "actors/waiting.hpp"
#include "base/clock.hpp"
#include "crypto/tls.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::actors {

/// The component of its log lines.
inline constexpr std::string_view gateway_component = "gateway";

struct supervisor_rules;

struct gw_detected {
  protocol::gw_link link;
  bytes dreq, drsp;
  std::string transport, address;
  waiting_count waiting;  ///< of the device
};
struct gw_frame {
  protocol::gw_link link;
  bytes message;
  waiting_count waiting;  ///< of the link
  message_credit::hold held{};
};
struct gw_link_lost {
  protocol::gw_link link;
};
struct gw_nonce {
  std::optional<protocol::nonce16> nonce;
};
struct gw_response {
  request_id id;
  std::shared_ptr<const protocol::assigned_keys> keys;
  std::uint64_t incarnation;
};
struct gw_refusal {
  request_id id;
  protocol::refusal refusal;
};
struct gw_report_outcome {
  epoch which;
  protocol::report_outcome outcome;
};
struct gw_server_ready {};
struct gw_decision {
  bool approved;
};
struct gw_update {};
struct gw_settings {
  protocol::pn_gw_settings settings;
};
struct gw_saved {
  std::uint64_t number;
  status outcome;
};
/// The programs that use keys have that of the last gw_publish.
struct gw_consumers_ready {
  epoch published;
};
struct gw_tick {};
struct gw_describe {
  bool in_full = false;  ///< with signal strength and history
};
struct gw_forget {};
struct gw_evict {};
struct gw_rest {};
struct gw_shut_down {};

/// JSON for people, without any key.
struct gw_view {
  boost::json::value json;
};

/// device/<entity>: drives one pn_gw_machine and applies its outputs in order.
using device_actor = caf::typed_actor<
    caf::reacts_to<gw_detected>,        // the detector found it on a link
    caf::reacts_to<gw_frame>,           // a message on its link
    caf::reacts_to<gw_link_lost>,       // a link is gone
    caf::reacts_to<gw_nonce>,           // the issuer nonce that it requested
    caf::reacts_to<gw_response>,        // step 8
    caf::reacts_to<gw_refusal>,         // the server refused, or is unreachable
    caf::reacts_to<gw_report_outcome>,  // the server's answer to a report
    caf::reacts_to<gw_server_ready>,    // a temporary failure of the server or user is over
    caf::replies_to<gw_update>::with<
        std::string>,             // an operator requests the next key now; answers "" or why not
    caf::reacts_to<gw_settings>,  // the configuration was read again
    caf::reacts_to<gw_saved>,     // its write became durable, or failed
    caf::reacts_to<gw_consumers_ready>,
    caf::reacts_to<gw_tick>,                      // its deadline has passed
    caf::replies_to<gw_describe>::with<gw_view>,  // a JSON object
    // An operator's decision: "" once it is durable, otherwise the error.
    caf::replies_to<gw_decision>::with<std::string>,
    // Erases its record, then ends: "" once that is durable, otherwise the error, and it goes on.
    caf::replies_to<gw_forget>::with<std::string>,
    caf::reacts_to<gw_evict>,       // leave memory; answered by sup_evicted
    caf::reacts_to<gw_rest>,        // prepare to end; answered by sup_rested
    caf::reacts_to<gw_shut_down>>;  // end

struct link_want_nonce {
  device_actor device;
  entity_id entity;
};
struct link_ask {
  device_actor device;
  request_id id;
  std::shared_ptr<const protocol::key_assignment_request> body;
};
struct link_report {
  device_actor device;
  entity_id entity;
  epoch which;
};
struct link_up {
  std::uint64_t connection;
  std::shared_ptr<const secret32> exporter;
  std::string server;
  crypto::peer_certificate certificate{};
  bool may_ask = false;
};
struct link_down {
  std::uint64_t connection;
  std::string why;
  bool planned;
  bool moving = false;
};
struct link_look {};
struct link_frames {
  std::uint64_t connection;
  std::shared_ptr<const std::vector<secret_bytes>> batch;
};
struct link_timer {};
struct link_flush {};
struct link_saved {
  status outcome;
};
struct link_shut_down {};
struct link_reload {
  std::filesystem::path password_file;
};
struct link_describe {};
struct link_new_password {
  std::shared_ptr<const secret_bytes> password;
};
struct link_password_answer {
  status outcome;
  bool unchanged;
};

/// server_link: sends the requests of all devices to the CPNS Server over the current connection.
using server_link_actor =
    caf::typed_actor<caf::reacts_to<link_want_nonce>,  // a device needs a current issuer nonce
                     caf::reacts_to<link_ask>,         // step 4: kept and repeated until answered
                     caf::reacts_to<link_report>,      // batched
                     caf::reacts_to<link_up>,          // step 0 is done
                     caf::reacts_to<link_down>,        // a connection ended, or an attempt failed
                     caf::reacts_to<link_frames>,      // answers
                     caf::reacts_to<link_timer>,       // timeouts
                     caf::reacts_to<link_look>,        // the server may have to be left: node_follower
                     caf::reacts_to<link_flush>,       // sends collected reports
                     caf::reacts_to<link_saved>,       // the write of ClientKey ended
                     caf::reacts_to<link_shut_down>,
                     caf::reacts_to<link_reload>,                    // the configuration was read again
                     caf::replies_to<link_describe>::with<gw_view>,  // describe_link, see link_view.hpp
                     // An operator's new password: once it is proven and durable, or refused.
                     caf::replies_to<link_new_password>::with<link_password_answer>>;

struct sup_radio_ready {};
struct sup_deadline {
  std::uint64_t device;
  time_point at;
};
struct sup_close_link {
  protocol::gw_link link;
  std::string why;
};
struct sup_link_proven {
  protocol::gw_link link;
};
struct sup_link_judged {
  protocol::gw_link link;
};
struct sup_unneeded {
  enum class kind_t : std::uint8_t {
    nothing_kept,   ///< it holds only what an unverified peer claimed
    awaits_person,  ///< it stays until an operator decides, as long as there is room
    away            ///< all its state is in its record: it stays as long as there is room
  };
  std::uint64_t device;
  kind_t kind;
};
struct sup_evicted {
  std::uint64_t device;
  bool gone;  ///< false: an event arrived first, and the device stays
};
struct sup_may_rest {
  std::uint64_t device;
};
struct sup_rested {
  std::uint64_t device;
  std::optional<protocol::gw_resting> rested;  ///< none: an event arrived first, and the actor stays
  std::string same_id;                         ///< of the actor, see describe_device()
};
struct sup_unreadable {
  std::uint64_t device;
  bool for_now;  ///< the record may be read later: it is neither damaged nor gone
};
struct sup_timer {
  time_point at;
};
struct sup_settings {
  std::shared_ptr<const supervisor_rules> rules;
};
struct sup_stats {};
struct sup_radios {};
struct sup_page {
  std::string after, prefix;
  std::size_t count;
};
struct sup_show {
  std::string entity;
  bool in_full = false;
};
struct sup_forget {
  std::string entity;
};
struct sup_permit {
  enum class what_t : std::uint8_t { show, open, close };
  what_t what = what_t::show;
  std::chrono::minutes length{0};
};
/// The state of the permit window after a sup_permit.
struct gw_permit {
  std::string refused;  ///< empty: it is done
  bool open;
  seconds left;
};
struct sup_command {
  std::string entity, what;
};
struct sup_stop {};

/// supervisor: links, detectors, devices, one timer.
using supervisor_actor = caf::typed_actor<
    caf::reacts_to<sup_radio_ready>,  // drains the inboxes
    caf::reacts_to<sup_deadline>,     // the next deadline of a device
    caf::reacts_to<sup_close_link>,   // a device closes a link
    caf::reacts_to<sup_link_proven>,  // a tag received over the link verified
    caf::reacts_to<sup_link_judged>,  // the exchange that began with its answer is over
    caf::reacts_to<sup_unneeded>,     // a device may leave memory
    caf::reacts_to<sup_evicted>,      // its answer to gw_evict
    caf::reacts_to<sup_may_rest>,     // a device needs no actor at present
    caf::reacts_to<sup_rested>,       // its answer to gw_rest
    caf::reacts_to<sup_unreadable>,   // the record of a device at rest cannot be read, and its new actor ends
    caf::reacts_to<sup_timer>,        // the earliest deadline
    caf::reacts_to<sup_settings>,     // the configuration was read again
    caf::replies_to<sup_stats>::with<gw_view>,   // describe_counts, see views.hpp
    caf::replies_to<sup_radios>::with<gw_view>,  // describe_radios
    // An array of describe_device, and of note_of_rest for those at rest (views.hpp): of the devices in memory whose
    // Entity ID is greater than `after` and begins with `prefix` the first `count`, in no particular order.
    caf::replies_to<sup_page>::with<gw_view>,
    caf::replies_to<sup_show>::with<gw_view>,  // describe_device; null if unknown
    // "" once the command is done and durable, otherwise the error.
    caf::replies_to<sup_command>::with<std::string>, caf::replies_to<sup_forget>::with<std::string>,
    caf::replies_to<sup_permit>::with<gw_permit>,
    caf::replies_to<sup_stop>::with<bool>>;  // drains

}  // namespace cpns::actors

#define CPNS_GW_MESSAGE(name) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::actors::name)
CPNS_GW_MESSAGE(gw_detected)
CPNS_GW_MESSAGE(gw_frame)
CPNS_GW_MESSAGE(gw_link_lost)
CPNS_GW_MESSAGE(gw_nonce)
CPNS_GW_MESSAGE(gw_response)
CPNS_GW_MESSAGE(gw_refusal)
CPNS_GW_MESSAGE(gw_report_outcome)
CPNS_GW_MESSAGE(gw_server_ready)
CPNS_GW_MESSAGE(gw_decision)
CPNS_GW_MESSAGE(gw_update)
CPNS_GW_MESSAGE(gw_settings)
CPNS_GW_MESSAGE(gw_saved)
CPNS_GW_MESSAGE(gw_consumers_ready)
CPNS_GW_MESSAGE(gw_tick)
CPNS_GW_MESSAGE(gw_describe)
CPNS_GW_MESSAGE(gw_forget)
CPNS_GW_MESSAGE(gw_view)
CPNS_GW_MESSAGE(gw_evict)
CPNS_GW_MESSAGE(gw_rest)
CPNS_GW_MESSAGE(gw_shut_down)
CPNS_GW_MESSAGE(link_want_nonce)
CPNS_GW_MESSAGE(link_ask)
CPNS_GW_MESSAGE(link_report)
CPNS_GW_MESSAGE(link_up)
CPNS_GW_MESSAGE(link_down)
CPNS_GW_MESSAGE(link_frames)
CPNS_GW_MESSAGE(link_timer)
CPNS_GW_MESSAGE(link_look)
CPNS_GW_MESSAGE(link_flush)
CPNS_GW_MESSAGE(link_saved)
CPNS_GW_MESSAGE(link_shut_down)
CPNS_GW_MESSAGE(link_reload)
CPNS_GW_MESSAGE(link_describe)
CPNS_GW_MESSAGE(link_new_password)
CPNS_GW_MESSAGE(link_password_answer)
CPNS_GW_MESSAGE(sup_radio_ready)
CPNS_GW_MESSAGE(sup_deadline)
CPNS_GW_MESSAGE(sup_close_link)
CPNS_GW_MESSAGE(sup_link_proven)
CPNS_GW_MESSAGE(sup_link_judged)
CPNS_GW_MESSAGE(sup_unneeded)
CPNS_GW_MESSAGE(sup_evicted)
CPNS_GW_MESSAGE(sup_may_rest)
CPNS_GW_MESSAGE(sup_rested)
CPNS_GW_MESSAGE(sup_unreadable)
CPNS_GW_MESSAGE(sup_timer)
CPNS_GW_MESSAGE(sup_settings)
CPNS_GW_MESSAGE(sup_stats)
CPNS_GW_MESSAGE(sup_radios)
CPNS_GW_MESSAGE(sup_page)
CPNS_GW_MESSAGE(sup_show)
CPNS_GW_MESSAGE(sup_command)
CPNS_GW_MESSAGE(sup_forget)
CPNS_GW_MESSAGE(sup_permit)
CPNS_GW_MESSAGE(gw_permit)
CPNS_GW_MESSAGE(sup_stop)
#undef CPNS_GW_MESSAGE
