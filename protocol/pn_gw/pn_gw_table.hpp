#pragma once
// The PN GW's state machine of one device as data. What a DRSP means is decided in judge.hpp; its conclusions
// are the events here.

#include <array>
#include <cstdint>
#include <string_view>

#include "base/fsm.hpp"

namespace cpns::protocol {

// clang-format off
enum class pn_gw_state : std::uint8_t {
  found,              ///< known by its name, on no link, no key confirmed
  validating,         ///< steps 1 to 3 of a device without a confirmed key
  awaiting_approval,  ///< step 3: a person is asked
  requesting,         ///< step 4 for a device without a confirmed key: nonce, fresh answer, server
  delivering,         ///< step 9: KDEL is out
  keyed,              ///< the PNE holds our key
  updating,           ///< steps 1 to 3 of a keyed device: periodic update, wake-up, check
  asleep,             ///< keyed, and on no link or sleeping
  recovering,         ///< step 4 for a keyed device that the server has to judge
  held_elsewhere,     ///< another gateway renews this entity
  quarantined,        ///< nothing is delivered until a person releases it
  rejected,           ///< a policy or a person said no
  revoked,            ///< the server took the entity away
  backing_off,        ///< something failed; tried again later
  count_
};

enum class pn_gw_trigger : std::uint8_t {
  discover,         ///< an exchange begins, no key was confirmed yet
  renew,            ///< an exchange begins with a keyed device
  approval_needed,  ///< the policy wants a person
  approved,         ///< a person said yes, or released a quarantine
  refused_here,     ///< the policy or a person said no
  ask_first,        ///< the server has to be asked, no key was confirmed yet
  ask_again,        ///< the server has to be asked about a keyed device
  deliver,          ///< there is an answer to deliver to and a key for it
  confirmed,        ///< KCNF, or a DRSP that proves possession of a key above own
  settled,          ///< a DRSP that proves possession of the own key
  failed,           ///< no usable answer, no server, no store: later
  held_by_other,    ///< the server names another holder
  stale,            ///< the server calls the epoch stale
  revoked,          ///< the server revoked the entity
  lost,             ///< the last link went down, no key was confirmed yet
  lost_keyed,       ///< the last link of a keyed device went down
  slept,            ///< NOTE going-to-sleep
  noise,            ///< a message that proves nothing
  count_
};

enum class pn_gw_action : std::uint8_t {
  none,             ///< nothing
  drop,             ///< count and log it
  count,            ///< count it; the exchange waits for a better answer
  send_dreq,        ///< build DREQ and send it on every link of the device
  ask_approval,     ///< ask the person
  approve,          ///< remember it, begin again with steps 1 and 2
  refuse,           ///< remember it, close the links
  ask_server,       ///< obtain an issuer nonce and a fresh answer to it, then send the request
  send_kdel,        ///< record the index as handed out, then send KDEL
  make_own,         ///< record the key as own, then KRET and report
  send_kret,        ///< KRET, then the next key if one is due
  back_off,         ///< wait, longer each time
  leave_alone,      ///< remember it, ask again after retry_after
  quarantine,       ///< remember it, deliver nothing
  erase,            ///< erase the keys
  forget_exchange,  ///< wipe what belonged to the exchange
  count_
};

constexpr std::string_view name_of(pn_gw_state v) {
  switch (v) {
  case pn_gw_state::found: return "found";
  case pn_gw_state::validating: return "validating";
  case pn_gw_state::awaiting_approval: return "awaiting_approval";
  case pn_gw_state::requesting: return "requesting";
  case pn_gw_state::delivering: return "delivering";
  case pn_gw_state::keyed: return "keyed";
  case pn_gw_state::updating: return "updating";
  case pn_gw_state::asleep: return "asleep";
  case pn_gw_state::recovering: return "recovering";
  case pn_gw_state::held_elsewhere: return "held_elsewhere";
  case pn_gw_state::quarantined: return "quarantined";
  case pn_gw_state::rejected: return "rejected";
  case pn_gw_state::revoked: return "revoked";
  case pn_gw_state::backing_off: return "backing_off";
  case pn_gw_state::count_: return "?";
  }
  return "?";
}
constexpr std::string_view name_of(pn_gw_trigger v) {
  switch (v) {
  case pn_gw_trigger::discover: return "discover";
  case pn_gw_trigger::renew: return "renew";
  case pn_gw_trigger::approval_needed: return "approval_needed";
  case pn_gw_trigger::approved: return "approved";
  case pn_gw_trigger::refused_here: return "refused_here";
  case pn_gw_trigger::ask_first: return "ask_first";
  case pn_gw_trigger::ask_again: return "ask_again";
  case pn_gw_trigger::deliver: return "deliver";
  case pn_gw_trigger::confirmed: return "confirmed";
  case pn_gw_trigger::settled: return "settled";
  case pn_gw_trigger::failed: return "failed";
  case pn_gw_trigger::held_by_other: return "held_by_other";
  case pn_gw_trigger::stale: return "stale";
  case pn_gw_trigger::revoked: return "revoked";
  case pn_gw_trigger::lost: return "lost";
  case pn_gw_trigger::lost_keyed: return "lost_keyed";
  case pn_gw_trigger::slept: return "slept";
  case pn_gw_trigger::noise: return "noise";
  case pn_gw_trigger::count_: return "?";
  }
  return "?";
}
constexpr std::string_view name_of(pn_gw_action v) {
  switch (v) {
  case pn_gw_action::none: return "none";
  case pn_gw_action::drop: return "drop";
  case pn_gw_action::count: return "count";
  case pn_gw_action::send_dreq: return "send_dreq";
  case pn_gw_action::ask_approval: return "ask_approval";
  case pn_gw_action::approve: return "approve";
  case pn_gw_action::refuse: return "refuse";
  case pn_gw_action::ask_server: return "ask_server";
  case pn_gw_action::send_kdel: return "send_kdel";
  case pn_gw_action::make_own: return "make_own";
  case pn_gw_action::send_kret: return "send_kret";
  case pn_gw_action::back_off: return "back_off";
  case pn_gw_action::leave_alone: return "leave_alone";
  case pn_gw_action::quarantine: return "quarantine";
  case pn_gw_action::erase: return "erase";
  case pn_gw_action::forget_exchange: return "forget_exchange";
  case pn_gw_action::count_: return "?";
  }
  return "?";
}

inline constexpr auto pn_gw_table = [] {
  using fsm::verdict;
  using s = pn_gw_state;
  using e = pn_gw_trigger;
  using a = pn_gw_action;
  return std::array<fsm::row<s, e, a>, fsm::count<s> * fsm::count<e>>{{
    // from, event, verdict, action, to, step of the change request or section of docs/protocol.md
    {s::found,             e::discover,        verdict::accept, a::send_dreq,       s::validating,        "1"},
    {s::found,             e::renew,           verdict::accept, a::send_dreq,       s::updating,          "1"},
    {s::found,             e::approval_needed, verdict::accept, a::ask_approval,    s::awaiting_approval, "3"},
    {s::found,             e::approved,        verdict::ignore, a::none,            s::found,             "3"},
    {s::found,             e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::found,             e::ask_first,       verdict::accept, a::ask_server,      s::requesting,        "4"},
    {s::found,             e::ask_again,       verdict::accept, a::ask_server,      s::recovering,        "4"},
    {s::found,             e::deliver,         verdict::reject, a::drop,            s::found,             "9"},
    {s::found,             e::confirmed,       verdict::reject, a::drop,            s::found,             "10"},
    {s::found,             e::settled,         verdict::reject, a::drop,            s::found,             "recovery"},
    {s::found,             e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::found,             e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::found,             e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::found,             e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::found,             e::lost,            verdict::ignore, a::none,            s::found,             "link"},
    {s::found,             e::lost_keyed,      verdict::accept, a::forget_exchange, s::asleep,            "link"},
    {s::found,             e::slept,           verdict::ignore, a::none,            s::found,             "wake-up"},
    {s::found,             e::noise,           verdict::ignore, a::count,           s::found,             "recovery"},

    {s::validating,        e::discover,        verdict::accept, a::send_dreq,       s::validating,        "1"},
    {s::validating,        e::renew,           verdict::reject, a::drop,            s::validating,        "1"},
    {s::validating,        e::approval_needed, verdict::accept, a::ask_approval,    s::awaiting_approval, "3"},
    {s::validating,        e::approved,        verdict::ignore, a::none,            s::validating,        "3"},
    {s::validating,        e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::validating,        e::ask_first,       verdict::accept, a::ask_server,      s::requesting,        "4"},
    {s::validating,        e::ask_again,       verdict::reject, a::drop,            s::validating,        "4"},
    {s::validating,        e::deliver,         verdict::accept, a::send_kdel,       s::delivering,        "9"},
    {s::validating,        e::confirmed,       verdict::accept, a::make_own,        s::keyed,             "10"},
    {s::validating,        e::settled,         verdict::reject, a::drop,            s::validating,        "recovery"},
    {s::validating,        e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::validating,        e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::validating,        e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::validating,        e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::validating,        e::lost,            verdict::accept, a::forget_exchange, s::found,             "link"},
    {s::validating,        e::lost_keyed,      verdict::reject, a::drop,            s::validating,        "link"},
    {s::validating,        e::slept,           verdict::ignore, a::none,            s::validating,        "wake-up"},
    {s::validating,        e::noise,           verdict::ignore, a::count,           s::validating,        "recovery"},

    {s::awaiting_approval, e::discover,        verdict::reject, a::drop,            s::awaiting_approval, "1"},
    {s::awaiting_approval, e::renew,           verdict::reject, a::drop,            s::awaiting_approval, "1"},
    {s::awaiting_approval, e::approval_needed, verdict::reject, a::drop,            s::awaiting_approval, "3"},
    {s::awaiting_approval, e::approved,        verdict::accept, a::approve,         s::found,             "3"},
    {s::awaiting_approval, e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::awaiting_approval, e::ask_first,       verdict::reject, a::drop,            s::awaiting_approval, "4"},
    {s::awaiting_approval, e::ask_again,       verdict::reject, a::drop,            s::awaiting_approval, "4"},
    {s::awaiting_approval, e::deliver,         verdict::reject, a::drop,            s::awaiting_approval, "9"},
    {s::awaiting_approval, e::confirmed,       verdict::reject, a::drop,            s::awaiting_approval, "10"},
    {s::awaiting_approval, e::settled,         verdict::reject, a::drop,            s::awaiting_approval, "recovery"},
    {s::awaiting_approval, e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::awaiting_approval, e::held_by_other,   verdict::ignore, a::none,            s::awaiting_approval, "holder"},
    {s::awaiting_approval, e::stale,           verdict::reject, a::drop,            s::awaiting_approval, "stale"},
    {s::awaiting_approval, e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::awaiting_approval, e::lost,            verdict::ignore, a::none,            s::awaiting_approval, "link"},
    {s::awaiting_approval, e::lost_keyed,      verdict::ignore, a::none,            s::awaiting_approval, "link"},
    {s::awaiting_approval, e::slept,           verdict::ignore, a::none,            s::awaiting_approval, "wake-up"},
    {s::awaiting_approval, e::noise,           verdict::ignore, a::count,           s::awaiting_approval, "recovery"},

    {s::requesting,        e::discover,        verdict::accept, a::send_dreq,       s::requesting,        "1"},
    {s::requesting,        e::renew,           verdict::reject, a::drop,            s::requesting,        "1"},
    {s::requesting,        e::approval_needed, verdict::reject, a::drop,            s::requesting,        "3"},
    {s::requesting,        e::approved,        verdict::ignore, a::none,            s::requesting,        "3"},
    {s::requesting,        e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::requesting,        e::ask_first,       verdict::accept, a::ask_server,      s::requesting,        "4"},
    {s::requesting,        e::ask_again,       verdict::reject, a::drop,            s::requesting,        "4"},
    {s::requesting,        e::deliver,         verdict::accept, a::send_kdel,       s::delivering,        "9"},
    {s::requesting,        e::confirmed,       verdict::accept, a::make_own,        s::keyed,             "10"},
    {s::requesting,        e::settled,         verdict::reject, a::drop,            s::requesting,        "recovery"},
    {s::requesting,        e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::requesting,        e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::requesting,        e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::requesting,        e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::requesting,        e::lost,            verdict::accept, a::forget_exchange, s::found,             "link"},
    {s::requesting,        e::lost_keyed,      verdict::reject, a::drop,            s::requesting,        "link"},
    {s::requesting,        e::slept,           verdict::ignore, a::none,            s::requesting,        "wake-up"},
    {s::requesting,        e::noise,           verdict::ignore, a::count,           s::requesting,        "recovery"},

    {s::delivering,        e::discover,        verdict::reject, a::drop,            s::delivering,        "1"},
    {s::delivering,        e::renew,           verdict::reject, a::drop,            s::delivering,        "1"},
    {s::delivering,        e::approval_needed, verdict::reject, a::drop,            s::delivering,        "3"},
    {s::delivering,        e::approved,        verdict::ignore, a::none,            s::delivering,        "3"},
    {s::delivering,        e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::delivering,        e::ask_first,       verdict::reject, a::drop,            s::delivering,        "4"},
    {s::delivering,        e::ask_again,       verdict::reject, a::drop,            s::delivering,        "4"},
    {s::delivering,        e::deliver,         verdict::reject, a::drop,            s::delivering,        "9"},
    {s::delivering,        e::confirmed,       verdict::accept, a::make_own,        s::keyed,             "10"},
    {s::delivering,        e::settled,         verdict::accept, a::send_kret,       s::keyed,             "recovery"},
    {s::delivering,        e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::delivering,        e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::delivering,        e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::delivering,        e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::delivering,        e::lost,            verdict::accept, a::forget_exchange, s::found,             "link"},
    {s::delivering,        e::lost_keyed,      verdict::accept, a::forget_exchange, s::asleep,            "link"},
    {s::delivering,        e::slept,           verdict::ignore, a::none,            s::delivering,        "wake-up"},
    {s::delivering,        e::noise,           verdict::ignore, a::count,           s::delivering,        "recovery"},

    {s::keyed,             e::discover,        verdict::reject, a::drop,            s::keyed,             "1"},
    {s::keyed,             e::renew,           verdict::accept, a::send_dreq,       s::updating,          "1"},
    {s::keyed,             e::approval_needed, verdict::reject, a::drop,            s::keyed,             "3"},
    {s::keyed,             e::approved,        verdict::ignore, a::none,            s::keyed,             "3"},
    {s::keyed,             e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::keyed,             e::ask_first,       verdict::reject, a::drop,            s::keyed,             "4"},
    {s::keyed,             e::ask_again,       verdict::accept, a::ask_server,      s::recovering,        "4"},
    {s::keyed,             e::deliver,         verdict::accept, a::send_kdel,       s::delivering,        "9"},
    {s::keyed,             e::confirmed,       verdict::reject, a::drop,            s::keyed,             "10"},
    {s::keyed,             e::settled,         verdict::reject, a::drop,            s::keyed,             "recovery"},
    {s::keyed,             e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::keyed,             e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::keyed,             e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::keyed,             e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::keyed,             e::lost,            verdict::reject, a::drop,            s::keyed,             "link"},
    {s::keyed,             e::lost_keyed,      verdict::accept, a::forget_exchange, s::asleep,            "link"},
    {s::keyed,             e::slept,           verdict::accept, a::none,            s::asleep,            "wake-up"},
    {s::keyed,             e::noise,           verdict::ignore, a::count,           s::keyed,             "recovery"},

    {s::updating,          e::discover,        verdict::reject, a::drop,            s::updating,          "1"},
    {s::updating,          e::renew,           verdict::accept, a::send_dreq,       s::updating,          "1"},
    {s::updating,          e::approval_needed, verdict::reject, a::drop,            s::updating,          "3"},
    {s::updating,          e::approved,        verdict::ignore, a::none,            s::updating,          "3"},
    {s::updating,          e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::updating,          e::ask_first,       verdict::reject, a::drop,            s::updating,          "4"},
    {s::updating,          e::ask_again,       verdict::accept, a::ask_server,      s::recovering,        "4"},
    {s::updating,          e::deliver,         verdict::accept, a::send_kdel,       s::delivering,        "9"},
    {s::updating,          e::confirmed,       verdict::accept, a::make_own,        s::keyed,             "10"},
    {s::updating,          e::settled,         verdict::accept, a::send_kret,       s::keyed,             "recovery"},
    {s::updating,          e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::updating,          e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::updating,          e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::updating,          e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::updating,          e::lost,            verdict::reject, a::drop,            s::updating,          "link"},
    {s::updating,          e::lost_keyed,      verdict::accept, a::forget_exchange, s::asleep,            "link"},
    {s::updating,          e::slept,           verdict::ignore, a::none,            s::updating,          "wake-up"},
    {s::updating,          e::noise,           verdict::ignore, a::count,           s::updating,          "recovery"},

    {s::asleep,            e::discover,        verdict::reject, a::drop,            s::asleep,            "1"},
    {s::asleep,            e::renew,           verdict::accept, a::send_dreq,       s::updating,          "1"},
    {s::asleep,            e::approval_needed, verdict::reject, a::drop,            s::asleep,            "3"},
    {s::asleep,            e::approved,        verdict::ignore, a::none,            s::asleep,            "3"},
    {s::asleep,            e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::asleep,            e::ask_first,       verdict::reject, a::drop,            s::asleep,            "4"},
    {s::asleep,            e::ask_again,       verdict::accept, a::ask_server,      s::recovering,        "4"},
    {s::asleep,            e::deliver,         verdict::reject, a::drop,            s::asleep,            "9"},
    {s::asleep,            e::confirmed,       verdict::reject, a::drop,            s::asleep,            "10"},
    {s::asleep,            e::settled,         verdict::reject, a::drop,            s::asleep,            "recovery"},
    {s::asleep,            e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::asleep,            e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::asleep,            e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::asleep,            e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::asleep,            e::lost,            verdict::reject, a::drop,            s::asleep,            "link"},
    {s::asleep,            e::lost_keyed,      verdict::ignore, a::none,            s::asleep,            "link"},
    {s::asleep,            e::slept,           verdict::ignore, a::none,            s::asleep,            "wake-up"},
    {s::asleep,            e::noise,           verdict::ignore, a::count,           s::asleep,            "recovery"},

    {s::recovering,        e::discover,        verdict::reject, a::drop,            s::recovering,        "1"},
    {s::recovering,        e::renew,           verdict::accept, a::send_dreq,       s::recovering,        "1"},
    {s::recovering,        e::approval_needed, verdict::reject, a::drop,            s::recovering,        "3"},
    {s::recovering,        e::approved,        verdict::ignore, a::none,            s::recovering,        "3"},
    {s::recovering,        e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::recovering,        e::ask_first,       verdict::reject, a::drop,            s::recovering,        "4"},
    {s::recovering,        e::ask_again,       verdict::accept, a::ask_server,      s::recovering,        "4"},
    {s::recovering,        e::deliver,         verdict::accept, a::send_kdel,       s::delivering,        "9"},
    {s::recovering,        e::confirmed,       verdict::accept, a::make_own,        s::keyed,             "10"},
    {s::recovering,        e::settled,         verdict::accept, a::send_kret,       s::keyed,             "recovery"},
    {s::recovering,        e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::recovering,        e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::recovering,        e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::recovering,        e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::recovering,        e::lost,            verdict::reject, a::drop,            s::recovering,        "link"},
    {s::recovering,        e::lost_keyed,      verdict::accept, a::forget_exchange, s::asleep,            "link"},
    {s::recovering,        e::slept,           verdict::ignore, a::none,            s::recovering,        "wake-up"},
    {s::recovering,        e::noise,           verdict::ignore, a::count,           s::recovering,        "recovery"},

    {s::held_elsewhere,    e::discover,        verdict::accept, a::send_dreq,       s::validating,        "1"},
    {s::held_elsewhere,    e::renew,           verdict::accept, a::send_dreq,       s::updating,          "1"},
    {s::held_elsewhere,    e::approval_needed, verdict::accept, a::ask_approval,    s::awaiting_approval, "3"},
    {s::held_elsewhere,    e::approved,        verdict::ignore, a::none,            s::held_elsewhere,    "3"},
    {s::held_elsewhere,    e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::held_elsewhere,    e::ask_first,       verdict::accept, a::ask_server,      s::requesting,        "4"},
    {s::held_elsewhere,    e::ask_again,       verdict::accept, a::ask_server,      s::recovering,        "4"},
    {s::held_elsewhere,    e::deliver,         verdict::reject, a::drop,            s::held_elsewhere,    "9"},
    {s::held_elsewhere,    e::confirmed,       verdict::reject, a::drop,            s::held_elsewhere,    "10"},
    {s::held_elsewhere,    e::settled,         verdict::reject, a::drop,            s::held_elsewhere,    "recovery"},
    {s::held_elsewhere,    e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::held_elsewhere,    e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::held_elsewhere,    e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::held_elsewhere,    e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::held_elsewhere,    e::lost,            verdict::ignore, a::none,            s::held_elsewhere,    "link"},
    {s::held_elsewhere,    e::lost_keyed,      verdict::ignore, a::none,            s::held_elsewhere,    "link"},
    {s::held_elsewhere,    e::slept,           verdict::ignore, a::none,            s::held_elsewhere,    "wake-up"},
    {s::held_elsewhere,    e::noise,           verdict::ignore, a::count,           s::held_elsewhere,    "recovery"},

    {s::quarantined,       e::discover,        verdict::reject, a::drop,            s::quarantined,       "1"},
    {s::quarantined,       e::renew,           verdict::reject, a::drop,            s::quarantined,       "1"},
    {s::quarantined,       e::approval_needed, verdict::reject, a::drop,            s::quarantined,       "3"},
    {s::quarantined,       e::approved,        verdict::accept, a::approve,         s::found,             "3"},
    {s::quarantined,       e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::quarantined,       e::ask_first,       verdict::reject, a::drop,            s::quarantined,       "4"},
    {s::quarantined,       e::ask_again,       verdict::reject, a::drop,            s::quarantined,       "4"},
    {s::quarantined,       e::deliver,         verdict::reject, a::drop,            s::quarantined,       "9"},
    {s::quarantined,       e::confirmed,       verdict::reject, a::drop,            s::quarantined,       "10"},
    {s::quarantined,       e::settled,         verdict::reject, a::drop,            s::quarantined,       "recovery"},
    {s::quarantined,       e::failed,          verdict::ignore, a::none,            s::quarantined,       "back-off"},
    {s::quarantined,       e::held_by_other,   verdict::ignore, a::none,            s::quarantined,       "holder"},
    {s::quarantined,       e::stale,           verdict::ignore, a::none,            s::quarantined,       "stale"},
    {s::quarantined,       e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::quarantined,       e::lost,            verdict::ignore, a::none,            s::quarantined,       "link"},
    {s::quarantined,       e::lost_keyed,      verdict::ignore, a::none,            s::quarantined,       "link"},
    {s::quarantined,       e::slept,           verdict::ignore, a::none,            s::quarantined,       "wake-up"},
    {s::quarantined,       e::noise,           verdict::ignore, a::count,           s::quarantined,       "recovery"},

    {s::rejected,          e::discover,        verdict::reject, a::drop,            s::rejected,          "1"},
    {s::rejected,          e::renew,           verdict::reject, a::drop,            s::rejected,          "1"},
    {s::rejected,          e::approval_needed, verdict::reject, a::drop,            s::rejected,          "3"},
    {s::rejected,          e::approved,        verdict::accept, a::approve,         s::found,             "3"},
    {s::rejected,          e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::rejected,          e::ask_first,       verdict::reject, a::drop,            s::rejected,          "4"},
    {s::rejected,          e::ask_again,       verdict::reject, a::drop,            s::rejected,          "4"},
    {s::rejected,          e::deliver,         verdict::reject, a::drop,            s::rejected,          "9"},
    {s::rejected,          e::confirmed,       verdict::reject, a::drop,            s::rejected,          "10"},
    {s::rejected,          e::settled,         verdict::reject, a::drop,            s::rejected,          "recovery"},
    {s::rejected,          e::failed,          verdict::ignore, a::none,            s::rejected,          "back-off"},
    {s::rejected,          e::held_by_other,   verdict::ignore, a::none,            s::rejected,          "holder"},
    {s::rejected,          e::stale,           verdict::reject, a::drop,            s::rejected,          "stale"},
    {s::rejected,          e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::rejected,          e::lost,            verdict::ignore, a::none,            s::rejected,          "link"},
    {s::rejected,          e::lost_keyed,      verdict::ignore, a::none,            s::rejected,          "link"},
    {s::rejected,          e::slept,           verdict::ignore, a::none,            s::rejected,          "wake-up"},
    {s::rejected,          e::noise,           verdict::ignore, a::count,           s::rejected,          "recovery"},

    {s::revoked,           e::discover,        verdict::reject, a::drop,            s::revoked,           "1"},
    {s::revoked,           e::renew,           verdict::reject, a::drop,            s::revoked,           "1"},
    {s::revoked,           e::approval_needed, verdict::reject, a::drop,            s::revoked,           "3"},
    {s::revoked,           e::approved,        verdict::ignore, a::none,            s::revoked,           "3"},
    {s::revoked,           e::refused_here,    verdict::reject, a::drop,            s::revoked,           "3"},
    {s::revoked,           e::ask_first,       verdict::reject, a::drop,            s::revoked,           "4"},
    {s::revoked,           e::ask_again,       verdict::reject, a::drop,            s::revoked,           "4"},
    {s::revoked,           e::deliver,         verdict::reject, a::drop,            s::revoked,           "9"},
    {s::revoked,           e::confirmed,       verdict::reject, a::drop,            s::revoked,           "10"},
    {s::revoked,           e::settled,         verdict::reject, a::drop,            s::revoked,           "recovery"},
    {s::revoked,           e::failed,          verdict::ignore, a::none,            s::revoked,           "back-off"},
    {s::revoked,           e::held_by_other,   verdict::ignore, a::none,            s::revoked,           "holder"},
    {s::revoked,           e::stale,           verdict::reject, a::drop,            s::revoked,           "stale"},
    {s::revoked,           e::revoked,         verdict::ignore, a::none,            s::revoked,           "revoke"},
    {s::revoked,           e::lost,            verdict::ignore, a::none,            s::revoked,           "link"},
    {s::revoked,           e::lost_keyed,      verdict::ignore, a::none,            s::revoked,           "link"},
    {s::revoked,           e::slept,           verdict::ignore, a::none,            s::revoked,           "wake-up"},
    {s::revoked,           e::noise,           verdict::ignore, a::count,           s::revoked,           "recovery"},

    {s::backing_off,       e::discover,        verdict::accept, a::send_dreq,       s::validating,        "1"},
    {s::backing_off,       e::renew,           verdict::accept, a::send_dreq,       s::updating,          "1"},
    {s::backing_off,       e::approval_needed, verdict::accept, a::ask_approval,    s::awaiting_approval, "3"},
    {s::backing_off,       e::approved,        verdict::ignore, a::none,            s::backing_off,       "3"},
    {s::backing_off,       e::refused_here,    verdict::accept, a::refuse,          s::rejected,          "3"},
    {s::backing_off,       e::ask_first,       verdict::accept, a::ask_server,      s::requesting,        "4"},
    {s::backing_off,       e::ask_again,       verdict::accept, a::ask_server,      s::recovering,        "4"},
    {s::backing_off,       e::deliver,         verdict::reject, a::drop,            s::backing_off,       "9"},
    {s::backing_off,       e::confirmed,       verdict::reject, a::drop,            s::backing_off,       "10"},
    {s::backing_off,       e::settled,         verdict::reject, a::drop,            s::backing_off,       "recovery"},
    {s::backing_off,       e::failed,          verdict::accept, a::back_off,        s::backing_off,       "back-off"},
    {s::backing_off,       e::held_by_other,   verdict::accept, a::leave_alone,     s::held_elsewhere,    "holder"},
    {s::backing_off,       e::stale,           verdict::accept, a::quarantine,      s::quarantined,       "stale"},
    {s::backing_off,       e::revoked,         verdict::accept, a::erase,           s::revoked,           "revoke"},
    {s::backing_off,       e::lost,            verdict::accept, a::forget_exchange, s::found,             "link"},
    {s::backing_off,       e::lost_keyed,      verdict::accept, a::forget_exchange, s::asleep,            "link"},
    {s::backing_off,       e::slept,           verdict::ignore, a::none,            s::backing_off,       "wake-up"},
    {s::backing_off,       e::noise,           verdict::ignore, a::count,           s::backing_off,       "recovery"},
  }};
}();
// clang-format on

static_assert(fsm::is_total(pn_gw_table));
static_assert(fsm::is_reachable(pn_gw_table, pn_gw_state::found));

}  // namespace cpns::protocol
