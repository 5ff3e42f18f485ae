#pragma once
// The PNE's state machine as data. Contexts outlive states: `answering` means that at least one is open.

#include <array>

#include "base/fsm.hpp"
#include "base/named_enum.hpp"

namespace cpns::protocol {

// clang-format off
#define CPNS_PNE_STATES(X)                                                                                   \
  X(unkeyed,   "holds no key; answers when asked")                                                           \
  X(answering, "sent DRSP; an exchange context is open")                                                     \
  X(pending,   "accepted a KDEL and sent KCNF; keeps the older key until KRET")                              \
  X(keyed,     "holds one key")

#define CPNS_PNE_TRIGGERS(X)                                                                                 \
  X(dreq,          "DREQ that may be answered")                                                              \
  X(dreq_repeated, "the same bytes as the DREQ of a context")                                                \
  X(dreq_refused,  "DREQ of another version, without a common suite, over the rate or outside the window")   \
  X(kdel,          "KDEL that opens in an open context and is acceptable")                                   \
  X(kdel_repeated, "the same bytes as the KDEL that a context was used for")                                 \
  X(kdel_refused,  "KDEL that opens in no context, or breaks a rule")                                        \
  X(kret,          "KRET that verifies and names the pending key")                                           \
  X(kret_repeated, "KRET that verifies and names a key that is current already")                             \
  X(kret_refused,  "KRET that does not verify or names no stored key")                                       \
  X(unfit,         "bytes that are not a message, or a message that a PNE does not take")                    \
  X(rest_unkeyed,  "the last context closed, and no key is stored")                                          \
  X(rest_pending,  "the last context closed, and a pending key is stored")                                   \
  X(rest_keyed,    "the last context closed, and a current key is stored")                                   \
  X(wake,          "the device woke up")                                                                     \
  X(sleep,         "the device goes to sleep")                                                               \
  X(button,        "the user pressed the button")                                                            \
  X(factory_reset, "the user reset the device")

#define CPNS_PNE_ACTIONS(X)                                                                                  \
  X(none,                  "nothing")                                                                        \
  X(drop,                  "count and log the message; hint with FAIL at a bounded rate")                    \
  X(answer,                "open a context, send DRSP")                                                      \
  X(answer_again,          "send the same DRSP")                                                             \
  X(store_and_confirm,     "make an old pending key current, store the new key, then send KCNF")             \
  X(confirm_again,         "send the same KCNF")                                                             \
  X(retire,                "make the pending key current, erase the older key")                              \
  X(open_windows,          "open the windows again")                                                         \
  X(open_windows_and_note, "open the windows again, send NOTE awake")                                        \
  X(forget_and_note,       "wipe the contexts, send NOTE going-to-sleep")                                    \
  X(erase,                 "erase the keys, count the reset, wipe the contexts")
// clang-format on

CPNS_NAMED_ENUM(pne_state, CPNS_PNE_STATES)
CPNS_NAMED_ENUM(pne_trigger, CPNS_PNE_TRIGGERS)
CPNS_NAMED_ENUM(pne_action, CPNS_PNE_ACTIONS)

// clang-format off
inline constexpr auto pne_lines = [] {
  using enum pne_state;
  using enum fsm::verdict;
  using e = pne_trigger;
  using a = pne_action;
  using line = fsm::line<pne_state, e, a>;
  constexpr auto stays = std::nullopt;
  constexpr auto any = fsm::all_but<pne_state>({});
  return std::to_array<line>({
    // event, states, verdict, action, to, step of the change request or section of docs/protocol.md; or why not
    {e::dreq,          any,                         accept, a::answer,                answering, "2"},
    {e::dreq_repeated, {answering, pending, keyed}, accept, a::answer_again,          stays,     "2"},
    {e::dreq_repeated, {unkeyed},                   reject, a::drop,                  stays,     "no context is open"},
    {e::dreq_refused,  any,                         reject, a::drop,                  stays,     "a rule of step 2 forbids an answer"},
    {e::kdel,          {answering, pending, keyed}, accept, a::store_and_confirm,     pending,   "10"},
    {e::kdel,          {unkeyed},                   reject, a::drop,                  stays,     "no context is open"},
    {e::kdel_repeated, {answering, pending, keyed}, accept, a::confirm_again,         stays,     "10"},
    {e::kdel_repeated, {unkeyed},                   reject, a::drop,                  stays,     "no context is open"},
    {e::kdel_refused,  any,                         reject, a::drop,                  stays,     "a rule of step 10 forbids the key"},
    {e::kret,          {answering},                 accept, a::retire,                stays,     "10"},
    {e::kret,          {pending},                   accept, a::retire,                keyed,     "10"},
    {e::kret,          {unkeyed, keyed},            reject, a::drop,                  stays,     "no key is pending"},
    {e::kret_repeated, {answering, pending, keyed}, ignore, a::none,                  stays,     "the older key is erased already"},
    {e::kret_repeated, {unkeyed},                   reject, a::drop,                  stays,     "no key is stored"},
    {e::kret_refused,  any,                         reject, a::drop,                  stays,     "it proves nothing"},
    {e::unfit,         any,                         reject, a::drop,                  stays,     "it is not a message for a PNE"},
    {e::rest_unkeyed,  fsm::all_but({unkeyed}),     accept, a::none,                  unkeyed,   "contexts"},
    {e::rest_unkeyed,  {unkeyed},                   ignore, a::none,                  stays,     "the state says so already"},
    {e::rest_pending,  fsm::all_but({pending}),     accept, a::none,                  pending,   "contexts"},
    {e::rest_pending,  {pending},                   ignore, a::none,                  stays,     "the state says so already"},
    {e::rest_keyed,    fsm::all_but({keyed}),       accept, a::none,                  keyed,     "contexts"},
    {e::rest_keyed,    {keyed},                     ignore, a::none,                  stays,     "the state says so already"},
    {e::wake,          any,                         accept, a::open_windows_and_note, stays,     "wake-up"},
    {e::sleep,         any,                         accept, a::forget_and_note,       stays,     "wake-up"},
    {e::button,        any,                         accept, a::open_windows,          stays,     "wake-up"},
    {e::factory_reset, any,                         accept, a::erase,                 unkeyed,   "resets"},
  });
}();
// clang-format on

static_assert(fsm::is_total(pne_lines) && fsm::is_minimal(pne_lines));
inline constexpr auto pne_table = fsm::expand(pne_lines);
static_assert(fsm::is_reachable(pne_table, pne_state::unkeyed));

}  // namespace cpns::protocol
