#pragma once
// The CPNS Server's side of one entity as data: one row per (state, event). docs/state-machines/ is drawn
// from it.

#include <array>
#include <cstdint>
#include <string_view>

#include "base/fsm.hpp"

namespace cpns::protocol {

enum class assignment_state : std::uint8_t {
  idle,                    ///< no request is in hand
  authenticating,          ///< the user record is awaited
  fetching_temporary_key,  ///< the user is verified; what the manufacturer told about the device is awaited
  storing,                 ///< a change of the record is on its way to the disk
  answered,                ///< the answer is ready and not yet taken
  count_
};

enum class assignment_trigger : std::uint8_t {
  request_received,
  request_malformed,  ///< its DREQ or DRSP is not a message, or they do not belong together
  user_verified,
  user_refused,     ///< unknown, or the proof is not of the password: one answer for both
  keys_granted,     ///< something new was granted, which must be durable before it is told
  keys_repeated,    ///< a request that was answered before: the same keys, nothing to store
  request_refused,  ///< presence, freshness, ownership, holder or bounds speak against it
  report_received,  ///< a report that changes the record
  stored,           ///< what was granted is durable
  report_stored,    ///< what was reported is durable
  store_failed,
  report_store_failed,
  answer_taken,
  count_
};

enum class assignment_action : std::uint8_t {
  none,
  fetch_user,
  fetch_device,
  persist,
  answer,
  adopt_record,
  drop_change,
  count_
};

namespace detail {
using assignment_row = fsm::row<assignment_state, assignment_trigger, assignment_action>;
using as = assignment_state;
using at = assignment_trigger;
using aa = assignment_action;
using fsm::verdict;
}  // namespace detail

// clang-format off
inline constexpr auto assignment_table = [] {
  using detail::as; using detail::at; using detail::aa; using detail::verdict; using detail::assignment_row;
  constexpr auto accept = verdict::accept;
  constexpr auto reject = verdict::reject;
  return std::array<assignment_row, fsm::count<as> * fsm::count<at>>{{
    // from                       event                     verdict  action            to                           step
    {as::idle,                    at::request_received,     accept,  aa::fetch_user,   as::authenticating,          "4"},
    {as::idle,                    at::request_malformed,    accept,  aa::answer,       as::answered,                "4"},
    {as::idle,                    at::user_verified,        reject,  aa::none,         as::idle,                    "5"},
    {as::idle,                    at::user_refused,         reject,  aa::none,         as::idle,                    "5"},
    {as::idle,                    at::keys_granted,         reject,  aa::none,         as::idle,                    "6"},
    {as::idle,                    at::keys_repeated,        reject,  aa::none,         as::idle,                    "6"},
    {as::idle,                    at::request_refused,      reject,  aa::none,         as::idle,                    "6"},
    {as::idle,                    at::report_received,      accept,  aa::persist,      as::storing,                 "Server link"},
    {as::idle,                    at::stored,               reject,  aa::none,         as::idle,                    "6"},
    {as::idle,                    at::report_stored,        reject,  aa::none,         as::idle,                    "Server link"},
    {as::idle,                    at::store_failed,         reject,  aa::none,         as::idle,                    "6"},
    {as::idle,                    at::report_store_failed,  reject,  aa::none,         as::idle,                    "Server link"},
    {as::idle,                    at::answer_taken,         reject,  aa::none,         as::idle,                    "8"},

    {as::authenticating,          at::request_received,     reject,  aa::none,         as::authenticating,          "4"},
    {as::authenticating,          at::request_malformed,    reject,  aa::none,         as::authenticating,          "4"},
    {as::authenticating,          at::user_verified,        accept,  aa::fetch_device, as::fetching_temporary_key,  "5"},
    {as::authenticating,          at::user_refused,         accept,  aa::answer,       as::answered,                "5"},
    {as::authenticating,          at::keys_granted,         reject,  aa::none,         as::authenticating,          "6"},
    {as::authenticating,          at::keys_repeated,        reject,  aa::none,         as::authenticating,          "6"},
    {as::authenticating,          at::request_refused,      reject,  aa::none,         as::authenticating,          "6"},
    {as::authenticating,          at::report_received,      reject,  aa::none,         as::authenticating,          "Server link"},
    {as::authenticating,          at::stored,               reject,  aa::none,         as::authenticating,          "6"},
    {as::authenticating,          at::report_stored,        reject,  aa::none,         as::authenticating,          "Server link"},
    {as::authenticating,          at::store_failed,         reject,  aa::none,         as::authenticating,          "6"},
    {as::authenticating,          at::report_store_failed,  reject,  aa::none,         as::authenticating,          "Server link"},
    {as::authenticating,          at::answer_taken,         reject,  aa::none,         as::authenticating,          "8"},

    {as::fetching_temporary_key,  at::request_received,     reject,  aa::none,         as::fetching_temporary_key,  "4"},
    {as::fetching_temporary_key,  at::request_malformed,    reject,  aa::none,         as::fetching_temporary_key,  "4"},
    {as::fetching_temporary_key,  at::user_verified,        reject,  aa::none,         as::fetching_temporary_key,  "5"},
    {as::fetching_temporary_key,  at::user_refused,         reject,  aa::none,         as::fetching_temporary_key,  "5"},
    {as::fetching_temporary_key,  at::keys_granted,         accept,  aa::persist,      as::storing,                 "6, 7"},
    {as::fetching_temporary_key,  at::keys_repeated,        accept,  aa::answer,       as::answered,                "8"},
    {as::fetching_temporary_key,  at::request_refused,      accept,  aa::answer,       as::answered,                "7"},
    {as::fetching_temporary_key,  at::report_received,      reject,  aa::none,         as::fetching_temporary_key,  "Server link"},
    {as::fetching_temporary_key,  at::stored,               reject,  aa::none,         as::fetching_temporary_key,  "6"},
    {as::fetching_temporary_key,  at::report_stored,        reject,  aa::none,         as::fetching_temporary_key,  "Server link"},
    {as::fetching_temporary_key,  at::store_failed,         reject,  aa::none,         as::fetching_temporary_key,  "6"},
    {as::fetching_temporary_key,  at::report_store_failed,  reject,  aa::none,         as::fetching_temporary_key,  "Server link"},
    {as::fetching_temporary_key,  at::answer_taken,         reject,  aa::none,         as::fetching_temporary_key,  "8"},

    {as::storing,                 at::request_received,     reject,  aa::none,         as::storing,                 "4"},
    {as::storing,                 at::request_malformed,    reject,  aa::none,         as::storing,                 "4"},
    {as::storing,                 at::user_verified,        reject,  aa::none,         as::storing,                 "5"},
    {as::storing,                 at::user_refused,         reject,  aa::none,         as::storing,                 "5"},
    {as::storing,                 at::keys_granted,         reject,  aa::none,         as::storing,                 "6"},
    {as::storing,                 at::keys_repeated,        reject,  aa::none,         as::storing,                 "6"},
    {as::storing,                 at::request_refused,      reject,  aa::none,         as::storing,                 "6"},
    {as::storing,                 at::report_received,      reject,  aa::none,         as::storing,                 "Server link"},
    {as::storing,                 at::stored,               accept,  aa::adopt_record, as::answered,                "8"},
    {as::storing,                 at::report_stored,        accept,  aa::adopt_record, as::idle,                    "Server link"},
    {as::storing,                 at::store_failed,         accept,  aa::drop_change,  as::answered,                "6"},
    {as::storing,                 at::report_store_failed,  accept,  aa::drop_change,  as::idle,                    "Server link"},
    {as::storing,                 at::answer_taken,         reject,  aa::none,         as::storing,                 "8"},

    {as::answered,                at::request_received,     reject,  aa::none,         as::answered,                "4"},
    {as::answered,                at::request_malformed,    reject,  aa::none,         as::answered,                "4"},
    {as::answered,                at::user_verified,        reject,  aa::none,         as::answered,                "5"},
    {as::answered,                at::user_refused,         reject,  aa::none,         as::answered,                "5"},
    {as::answered,                at::keys_granted,         reject,  aa::none,         as::answered,                "6"},
    {as::answered,                at::keys_repeated,        reject,  aa::none,         as::answered,                "6"},
    {as::answered,                at::request_refused,      reject,  aa::none,         as::answered,                "6"},
    {as::answered,                at::report_received,      reject,  aa::none,         as::answered,                "Server link"},
    {as::answered,                at::stored,               reject,  aa::none,         as::answered,                "6"},
    {as::answered,                at::report_stored,        reject,  aa::none,         as::answered,                "Server link"},
    {as::answered,                at::store_failed,         reject,  aa::none,         as::answered,                "6"},
    {as::answered,                at::report_store_failed,  reject,  aa::none,         as::answered,                "Server link"},
    {as::answered,                at::answer_taken,         accept,  aa::none,         as::idle,                    "8"},
  }};
}();
// clang-format on

static_assert(fsm::is_total(assignment_table), "every event is decided in every state");
static_assert(fsm::is_reachable(assignment_table, assignment_state::idle));

constexpr std::string_view name_of(assignment_state s) {
  constexpr std::array<std::string_view, fsm::count<assignment_state>> names{
      "idle", "authenticating", "fetching_temporary_key", "storing", "answered"};
  return s < assignment_state::count_ ? names[static_cast<std::size_t>(s)] : "?";
}
constexpr std::string_view name_of(assignment_trigger t) {
  constexpr std::array<std::string_view, fsm::count<assignment_trigger>> names{
      "request_received", "request_malformed",   "user_verified",   "user_refused", "keys_granted",
      "keys_repeated",    "request_refused",     "report_received", "stored",       "report_stored",
      "store_failed",     "report_store_failed", "answer_taken"};
  return t < assignment_trigger::count_ ? names[static_cast<std::size_t>(t)] : "?";
}
constexpr std::string_view name_of(assignment_action a) {
  constexpr std::array<std::string_view, fsm::count<assignment_action>> names{
      "none", "fetch_user", "fetch_device", "persist", "answer", "adopt_record", "drop_change"};
  return a < assignment_action::count_ ? names[static_cast<std::size_t>(a)] : "?";
}

}  // namespace cpns::protocol
