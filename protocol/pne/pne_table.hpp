#pragma once
// The PNE's state machine as data. Contexts outlive states: `answering` means that at least one is open.

#include <array>
#include <cstdint>
#include <string_view>

#include "base/fsm.hpp"

namespace cpns::protocol {

// clang-format off
enum class pne_state : std::uint8_t {
  unkeyed,    ///< holds no key; answers when asked
  answering,  ///< sent DRSP; an exchange context is open
  pending,    ///< accepted a KDEL and sent KCNF; the older key is kept until KRET
  keyed,      ///< holds one key
  count_
};

enum class pne_trigger : std::uint8_t {
  dreq,           ///< DREQ that may be answered
  dreq_repeated,  ///< the same bytes as the DREQ of a context
  dreq_refused,   ///< other version, no common suite, over the rate, or outside the answer window
  kdel,           ///< KDEL that opened in an open context and is acceptable
  kdel_repeated,  ///< the same bytes as the KDEL that a context was used for
  kdel_refused,   ///< KDEL that opens in no context, or breaks a rule
  kret,           ///< KRET that verifies and names the pending key
  kret_repeated,  ///< KRET that verifies and names a key that is current already
  kret_refused,   ///< KRET that does not verify or names no stored key
  unfit,          ///< bytes that are no message, or a message that a PNE does not take
  rest_unkeyed,   ///< no context is open any more, nothing is stored
  rest_pending,   ///< no context is open any more, a pending key is stored
  rest_keyed,     ///< no context is open any more, a current key is stored
  wake,           ///< the device woke up
  sleep,          ///< the device goes to sleep
  button,         ///< the user pressed the button
  factory_reset,  ///< the user reset the device
  count_
};

enum class pne_action : std::uint8_t {
  none,                   ///< nothing
  drop,                   ///< count and log it, hint with FAIL, at a bounded rate
  answer,                 ///< open a context, send DRSP
  answer_again,           ///< send the same DRSP
  store_and_confirm,      ///< an old pending becomes current, store the new key, then send KCNF
  confirm_again,          ///< send the same KCNF
  retire,                 ///< pending becomes current, the older key is erased
  open_windows,           ///< the windows begin anew
  open_windows_and_note,  ///< and NOTE awake is sent
  forget_and_note,        ///< wipe the contexts, send NOTE going-to-sleep
  erase,                  ///< erase the keys, count the reset, wipe the contexts
  count_
};

constexpr std::string_view name_of(pne_state v) {
  switch (v) {
  case pne_state::unkeyed: return "unkeyed";
  case pne_state::answering: return "answering";
  case pne_state::pending: return "pending";
  case pne_state::keyed: return "keyed";
  case pne_state::count_: return "?";
  }
  return "?";
}
constexpr std::string_view name_of(pne_trigger v) {
  switch (v) {
  case pne_trigger::dreq: return "dreq";
  case pne_trigger::dreq_repeated: return "dreq_repeated";
  case pne_trigger::dreq_refused: return "dreq_refused";
  case pne_trigger::kdel: return "kdel";
  case pne_trigger::kdel_repeated: return "kdel_repeated";
  case pne_trigger::kdel_refused: return "kdel_refused";
  case pne_trigger::kret: return "kret";
  case pne_trigger::kret_repeated: return "kret_repeated";
  case pne_trigger::kret_refused: return "kret_refused";
  case pne_trigger::unfit: return "unfit";
  case pne_trigger::rest_unkeyed: return "rest_unkeyed";
  case pne_trigger::rest_pending: return "rest_pending";
  case pne_trigger::rest_keyed: return "rest_keyed";
  case pne_trigger::wake: return "wake";
  case pne_trigger::sleep: return "sleep";
  case pne_trigger::button: return "button";
  case pne_trigger::factory_reset: return "factory_reset";
  case pne_trigger::count_: return "?";
  }
  return "?";
}
constexpr std::string_view name_of(pne_action v) {
  switch (v) {
  case pne_action::none: return "none";
  case pne_action::drop: return "drop";
  case pne_action::answer: return "answer";
  case pne_action::answer_again: return "answer_again";
  case pne_action::store_and_confirm: return "store_and_confirm";
  case pne_action::confirm_again: return "confirm_again";
  case pne_action::retire: return "retire";
  case pne_action::open_windows: return "open_windows";
  case pne_action::open_windows_and_note: return "open_windows_and_note";
  case pne_action::forget_and_note: return "forget_and_note";
  case pne_action::erase: return "erase";
  case pne_action::count_: return "?";
  }
  return "?";
}

inline constexpr auto pne_table = [] {
  using fsm::verdict;
  using s = pne_state;
  using e = pne_trigger;
  using a = pne_action;
  return std::array<fsm::row<s, e, a>, fsm::count<s> * fsm::count<e>>{{
    // from, event, verdict, action, to, step of the change request or section of docs/protocol.md
    {s::unkeyed,   e::dreq,          verdict::accept, a::answer,                s::answering, "2"},
    {s::unkeyed,   e::dreq_repeated, verdict::reject, a::drop,                  s::unkeyed,   "2"},
    {s::unkeyed,   e::dreq_refused,  verdict::reject, a::drop,                  s::unkeyed,   "2"},
    {s::unkeyed,   e::kdel,          verdict::reject, a::drop,                  s::unkeyed,   "10"},
    {s::unkeyed,   e::kdel_repeated, verdict::reject, a::drop,                  s::unkeyed,   "10"},
    {s::unkeyed,   e::kdel_refused,  verdict::reject, a::drop,                  s::unkeyed,   "10"},
    {s::unkeyed,   e::kret,          verdict::reject, a::drop,                  s::unkeyed,   "10"},
    {s::unkeyed,   e::kret_repeated, verdict::reject, a::drop,                  s::unkeyed,   "10"},
    {s::unkeyed,   e::kret_refused,  verdict::reject, a::drop,                  s::unkeyed,   "10"},
    {s::unkeyed,   e::unfit,         verdict::reject, a::drop,                  s::unkeyed,   "encoding"},
    {s::unkeyed,   e::rest_unkeyed,  verdict::ignore, a::none,                  s::unkeyed,   "contexts"},
    {s::unkeyed,   e::rest_pending,  verdict::accept, a::none,                  s::pending,   "contexts"},
    {s::unkeyed,   e::rest_keyed,    verdict::accept, a::none,                  s::keyed,     "contexts"},
    {s::unkeyed,   e::wake,          verdict::accept, a::open_windows_and_note, s::unkeyed,   "wake-up"},
    {s::unkeyed,   e::sleep,         verdict::accept, a::forget_and_note,       s::unkeyed,   "wake-up"},
    {s::unkeyed,   e::button,        verdict::accept, a::open_windows,          s::unkeyed,   "wake-up"},
    {s::unkeyed,   e::factory_reset, verdict::accept, a::erase,                 s::unkeyed,   "resets"},

    {s::answering, e::dreq,          verdict::accept, a::answer,                s::answering, "2"},
    {s::answering, e::dreq_repeated, verdict::accept, a::answer_again,          s::answering, "2"},
    {s::answering, e::dreq_refused,  verdict::reject, a::drop,                  s::answering, "2"},
    {s::answering, e::kdel,          verdict::accept, a::store_and_confirm,     s::pending,   "10"},
    {s::answering, e::kdel_repeated, verdict::accept, a::confirm_again,         s::answering, "10"},
    {s::answering, e::kdel_refused,  verdict::reject, a::drop,                  s::answering, "10"},
    {s::answering, e::kret,          verdict::accept, a::retire,                s::answering, "10"},
    {s::answering, e::kret_repeated, verdict::ignore, a::none,                  s::answering, "10"},
    {s::answering, e::kret_refused,  verdict::reject, a::drop,                  s::answering, "10"},
    {s::answering, e::unfit,         verdict::reject, a::drop,                  s::answering, "encoding"},
    {s::answering, e::rest_unkeyed,  verdict::accept, a::none,                  s::unkeyed,   "contexts"},
    {s::answering, e::rest_pending,  verdict::accept, a::none,                  s::pending,   "contexts"},
    {s::answering, e::rest_keyed,    verdict::accept, a::none,                  s::keyed,     "contexts"},
    {s::answering, e::wake,          verdict::accept, a::open_windows_and_note, s::answering, "wake-up"},
    {s::answering, e::sleep,         verdict::accept, a::forget_and_note,       s::answering, "wake-up"},
    {s::answering, e::button,        verdict::accept, a::open_windows,          s::answering, "wake-up"},
    {s::answering, e::factory_reset, verdict::accept, a::erase,                 s::unkeyed,   "resets"},

    {s::pending,   e::dreq,          verdict::accept, a::answer,                s::answering, "2"},
    {s::pending,   e::dreq_repeated, verdict::accept, a::answer_again,          s::pending,   "2"},
    {s::pending,   e::dreq_refused,  verdict::reject, a::drop,                  s::pending,   "2"},
    {s::pending,   e::kdel,          verdict::accept, a::store_and_confirm,     s::pending,   "10"},
    {s::pending,   e::kdel_repeated, verdict::accept, a::confirm_again,         s::pending,   "10"},
    {s::pending,   e::kdel_refused,  verdict::reject, a::drop,                  s::pending,   "10"},
    {s::pending,   e::kret,          verdict::accept, a::retire,                s::keyed,     "10"},
    {s::pending,   e::kret_repeated, verdict::ignore, a::none,                  s::pending,   "10"},
    {s::pending,   e::kret_refused,  verdict::reject, a::drop,                  s::pending,   "10"},
    {s::pending,   e::unfit,         verdict::reject, a::drop,                  s::pending,   "encoding"},
    {s::pending,   e::rest_unkeyed,  verdict::accept, a::none,                  s::unkeyed,   "contexts"},
    {s::pending,   e::rest_pending,  verdict::ignore, a::none,                  s::pending,   "contexts"},
    {s::pending,   e::rest_keyed,    verdict::accept, a::none,                  s::keyed,     "contexts"},
    {s::pending,   e::wake,          verdict::accept, a::open_windows_and_note, s::pending,   "wake-up"},
    {s::pending,   e::sleep,         verdict::accept, a::forget_and_note,       s::pending,   "wake-up"},
    {s::pending,   e::button,        verdict::accept, a::open_windows,          s::pending,   "wake-up"},
    {s::pending,   e::factory_reset, verdict::accept, a::erase,                 s::unkeyed,   "resets"},

    {s::keyed,     e::dreq,          verdict::accept, a::answer,                s::answering, "2"},
    {s::keyed,     e::dreq_repeated, verdict::accept, a::answer_again,          s::keyed,     "2"},
    {s::keyed,     e::dreq_refused,  verdict::reject, a::drop,                  s::keyed,     "2"},
    {s::keyed,     e::kdel,          verdict::accept, a::store_and_confirm,     s::pending,   "10"},
    {s::keyed,     e::kdel_repeated, verdict::accept, a::confirm_again,         s::keyed,     "10"},
    {s::keyed,     e::kdel_refused,  verdict::reject, a::drop,                  s::keyed,     "10"},
    {s::keyed,     e::kret,          verdict::reject, a::drop,                  s::keyed,     "10"},
    {s::keyed,     e::kret_repeated, verdict::ignore, a::none,                  s::keyed,     "10"},
    {s::keyed,     e::kret_refused,  verdict::reject, a::drop,                  s::keyed,     "10"},
    {s::keyed,     e::unfit,         verdict::reject, a::drop,                  s::keyed,     "encoding"},
    {s::keyed,     e::rest_unkeyed,  verdict::accept, a::none,                  s::unkeyed,   "contexts"},
    {s::keyed,     e::rest_pending,  verdict::accept, a::none,                  s::pending,   "contexts"},
    {s::keyed,     e::rest_keyed,    verdict::ignore, a::none,                  s::keyed,     "contexts"},
    {s::keyed,     e::wake,          verdict::accept, a::open_windows_and_note, s::keyed,     "wake-up"},
    {s::keyed,     e::sleep,         verdict::accept, a::forget_and_note,       s::keyed,     "wake-up"},
    {s::keyed,     e::button,        verdict::accept, a::open_windows,          s::keyed,     "wake-up"},
    {s::keyed,     e::factory_reset, verdict::accept, a::erase,                 s::unkeyed,   "resets"},
  }};
}();
// clang-format on

static_assert(fsm::is_total(pne_table));
static_assert(fsm::is_reachable(pne_table, pne_state::unkeyed));

}  // namespace cpns::protocol
