#pragma once
// The PN GW's state machine of one device as data. classify.hpp decides the meaning of a DRSP; its conclusions
// become the events here.

#include <array>

#include "base/fsm.hpp"
#include "base/named_enum.hpp"

namespace cpns::protocol {

// clang-format off
#define CPNS_PN_GW_STATES(X)                                                                                 \
  X(found,             "known by its name, without a link and without a confirmed key")                      \
  X(validating,        "steps 1 to 3 for a device without a confirmed key")                                  \
  X(awaiting_approval, "step 3: a person is asked")                                                          \
  X(requesting,        "step 4 for a device without a confirmed key: nonce, fresh answer, server")           \
  X(publishing,        "step 9: the next key is handed out, and the programs that use it learn it first")     \
  X(delivering,        "step 9: KDEL is out")                                                                \
  X(keyed,             "the PNE holds a key of this gateway")                                                \
  X(updating,          "steps 1 to 3 of a keyed device: periodic update, wake-up, check")                    \
  X(asleep,            "keyed, and sleeping or without a link")                                              \
  X(recovering,        "step 4 for a keyed device: the server has to decide")                                \
  X(held_elsewhere,    "another gateway renews the keys of this entity")                                     \
  X(quarantined,       "nothing is delivered until a person releases it")                                    \
  X(rejected,          "the policy or a person said no")                                                     \
  X(revoked,           "the server took the entity away")                                                    \
  X(backing_off,       "an exchange failed; the next one begins after a wait")

#define CPNS_PN_GW_TRIGGERS(X)                                                                               \
  X(discover,        "an exchange begins, and no key was confirmed yet")                                     \
  X(renew,           "an exchange begins with a keyed device")                                               \
  X(approval_needed, "the policy asks a person")                                                             \
  X(approved,        "a person said yes, or released a quarantine")                                          \
  X(permitted,       "the permit window is open")                                                            \
  X(refused_here,    "the policy or a person said no")                                                       \
  X(ask_first,       "the server has to be asked, and no key was confirmed yet")                             \
  X(ask_again,       "the server has to be asked about a keyed device")                                      \
  X(deliver,         "there is an answer to deliver to, and a key for it")                                   \
  X(consumers_ready, "every program that the next key has to wait for has it")                               \
  X(consumer_timeout, "a program did not say in time that it has the next key")                              \
  X(confirmed,       "KCNF, or a DRSP that proves possession of a key above own")                            \
  X(settled,         "a DRSP that proves possession of the own key")                                         \
  X(failed,          "no usable answer, no server or no store: try again later")                             \
  X(held_by_other,   "the server names another holder")                                                      \
  X(stale,           "the server calls the epoch stale")                                                     \
  X(revoked,         "the server revoked the entity")                                                        \
  X(lost,            "the last link went down, and no key was confirmed yet")                                \
  X(lost_keyed,      "the last link of a keyed device went down")                                            \
  X(slept,           "NOTE going-to-sleep")                                                                  \
  X(noise,           "a message that proves nothing")

#define CPNS_PN_GW_ACTIONS(X)                                                                                \
  X(none,            "nothing")                                                                              \
  X(drop,            "count and log the event")                                                              \
  X(count,           "count the message; the exchange waits for a better answer")                            \
  X(send_dreq,       "build DREQ and send it on every link of the device")                                   \
  X(ask_approval,    "ask a person")                                                                         \
  X(approve,         "remember the approval; begin again with steps 1 and 2")                                \
  X(refuse,          "remember the refusal; close the links")                                                \
  X(ask_server,      "get an issuer nonce and a fresh answer to it, then send the request")                  \
  X(hand_out,        "record the index as handed out, then tell the programs")                               \
  X(send_kdel,       "send KDEL")                                                                            \
  X(send_kdel_late,  "report the programs that are late, then send KDEL")                                    \
  X(make_own,        "record the key as own, then send KRET and report")                                     \
  X(send_kret,       "send KRET, then the next key if one is due")                                           \
  X(back_off,        "wait, longer after each failure")                                                      \
  X(leave_alone,     "remember the other holder; ask again after retry_after")                               \
  X(quarantine,      "remember it; deliver nothing")                                                         \
  X(erase,           "erase the keys")                                                                       \
  X(forget_exchange, "wipe the data of the exchange")
// clang-format on

CPNS_NAMED_ENUM(pn_gw_state, CPNS_PN_GW_STATES)
CPNS_NAMED_ENUM(pn_gw_trigger, CPNS_PN_GW_TRIGGERS)
CPNS_NAMED_ENUM(pn_gw_action, CPNS_PN_GW_ACTIONS)

// clang-format off
inline constexpr auto pn_gw_lines = [] {
  using enum pn_gw_state;
  using enum fsm::verdict;
  using fsm::all_but;
  using e = pn_gw_trigger;
  using a = pn_gw_action;
  using s = pn_gw_state;
  using line = fsm::line<s, e, a>;
  constexpr auto stays = std::nullopt;
  return std::to_array<line>({
    // event, states, verdict, action, to, step of the change request or section of docs/protocol.md; or why not
    {e::discover, {found, validating, held_elsewhere, backing_off}, accept, a::send_dreq, validating, "1"},
    {e::discover, {requesting}, accept, a::send_dreq, stays, "1"},
    {e::discover, all_but({found, validating, requesting, held_elsewhere, backing_off}),
     reject, a::drop, stays, "an exchange of another kind is under way, or none may begin"},
    {e::renew, {found, keyed, updating, asleep, held_elsewhere, backing_off}, accept, a::send_dreq, updating, "1"},
    {e::renew, {recovering}, accept, a::send_dreq, stays, "1"},
    {e::renew, {validating, awaiting_approval, requesting, publishing, delivering, quarantined, rejected, revoked},
     reject, a::drop, stays, "no key was confirmed, or no exchange may begin"},
    {e::approval_needed, all_but({awaiting_approval, quarantined, rejected, revoked}),
     accept, a::ask_approval, awaiting_approval, "3"},
    {e::approval_needed, {awaiting_approval, quarantined, rejected, revoked},
     reject, a::drop, stays, "a person was asked already, or has nothing to decide"},
    {e::permitted, {awaiting_approval}, accept, a::none, found, "3"},
    {e::permitted, all_but({awaiting_approval}), ignore, a::none, stays, "nothing waits for a person"},
    {e::approved, {awaiting_approval, quarantined, rejected}, accept, a::approve, found, "3"},
    {e::approved, all_but({awaiting_approval, quarantined, rejected}), ignore, a::none, stays, "nothing waits for a person"},
    {e::refused_here, all_but({revoked}), accept, a::refuse, rejected, "3"},
    {e::refused_here, {revoked}, reject, a::drop, stays, "the server took the entity away already"},
    {e::ask_first, {found, validating, requesting, held_elsewhere, backing_off}, accept, a::ask_server, requesting, "4"},
    {e::ask_first, all_but({found, validating, requesting, held_elsewhere, backing_off}),
     reject, a::drop, stays, "a key was confirmed, or no request may be sent"},
    {e::ask_again, {found, keyed, updating, asleep, recovering, held_elsewhere, backing_off}, accept, a::ask_server, recovering, "4"},
    {e::ask_again,
     {validating, awaiting_approval, requesting, publishing, delivering, quarantined, rejected, revoked},
     reject, a::drop, stays, "no key was confirmed, or no request may be sent"},
    {e::deliver, {validating, requesting, keyed, updating, recovering}, accept, a::hand_out, publishing, "9"},
    {e::deliver, all_but({validating, requesting, keyed, updating, recovering}),
     reject, a::drop, stays, "no answer is at hand to deliver to"},
    {e::consumers_ready, {publishing}, accept, a::send_kdel, delivering, "9"},
    {e::consumers_ready, all_but({publishing}), ignore, a::none, stays, "the exchange that waited for them is over"},
    {e::consumer_timeout, {publishing}, accept, a::send_kdel_late, delivering, "9"},
    {e::consumer_timeout, all_but({publishing}), ignore, a::none, stays, "the exchange that waited for them is over"},
    {e::confirmed, {validating, requesting, publishing, delivering, updating, recovering}, accept, a::make_own, keyed, "10"},
    {e::confirmed, all_but({validating, requesting, publishing, delivering, updating, recovering}),
     reject, a::drop, stays, "no exchange is under way"},
    {e::settled, {publishing, delivering, updating, recovering}, accept, a::send_kret, keyed, "recovery"},
    {e::settled, all_but({publishing, delivering, updating, recovering}),
     reject, a::drop, stays, "no exchange with a keyed device is under way"},
    {e::failed, all_but({quarantined, rejected, revoked}), accept, a::back_off, backing_off, "back-off"},
    {e::failed, {quarantined, rejected, revoked}, ignore, a::none, stays, "nothing is tried again"},
    {e::held_by_other, all_but({awaiting_approval, quarantined, rejected, revoked}), accept, a::leave_alone, held_elsewhere, "holder"},
    {e::held_by_other, {awaiting_approval, quarantined, rejected, revoked}, ignore, a::none, stays, "a person or the server decides"},
    {e::stale, all_but({awaiting_approval, quarantined, rejected, revoked}), accept, a::quarantine, quarantined, "stale"},
    {e::stale, {awaiting_approval, rejected, revoked}, reject, a::drop, stays, "nothing was reported or asked in this state"},
    {e::stale, {quarantined}, ignore, a::none, stays, "it is quarantined already"},
    {e::revoked, all_but({revoked}), accept, a::erase, revoked, "revoke"},
    {e::revoked, {revoked}, ignore, a::none, stays, "it is revoked already"},
    {e::lost, {validating, requesting, publishing, delivering, backing_off}, accept, a::forget_exchange, found, "link"},
    {e::lost, {found, awaiting_approval, held_elsewhere, quarantined, rejected, revoked},
     ignore, a::none, stays, "no exchange is under way"},
    {e::lost, {keyed, updating, asleep, recovering}, reject, a::drop, stays, "a key was confirmed"},
    {e::lost_keyed, {found, publishing, delivering, keyed, updating, recovering, backing_off}, accept, a::forget_exchange, asleep, "link"},
    {e::lost_keyed, {awaiting_approval, asleep, held_elsewhere, quarantined, rejected, revoked},
     ignore, a::none, stays, "no exchange is under way"},
    {e::lost_keyed, {validating, requesting}, reject, a::drop, stays, "no key was confirmed"},
    {e::slept, {keyed}, accept, a::none, asleep, "wake-up"},
    {e::slept, all_but({keyed}), ignore, a::none, stays, "the end of the link follows"},
    {e::noise, all_but<s>({}), ignore, a::count, stays, "it proves nothing"},
  });
}();
// clang-format on

static_assert(fsm::is_total(pn_gw_lines) && fsm::is_minimal(pn_gw_lines));
inline constexpr auto pn_gw_table = fsm::expand(pn_gw_lines);
static_assert(fsm::is_reachable(pn_gw_table, pn_gw_state::found));

}  // namespace cpns::protocol
