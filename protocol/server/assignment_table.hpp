#pragma once
// The CPNS Server's state machine of one entity as data.

#include <array>

#include "base/fsm.hpp"
#include "base/named_enum.hpp"

namespace cpns::protocol {

// clang-format off
#define CPNS_ASSIGNMENT_STATES(X)                                                                            \
  X(idle,                   "no request is pending")                                                         \
  X(authenticating,         "waits for the user record")                                                     \
  X(fetching_temporary_key, "the user is verified; waits for the manufacturer's record of the device")       \
  X(storing,                "a change of the record is on its way to the disk")                              \
  X(answered,               "the answer is ready and not yet taken")

#define CPNS_ASSIGNMENT_TRIGGERS(X)                                                                          \
  X(request_received,    "a request whose DREQ and DRSP belong together")                                    \
  X(request_malformed,   "its DREQ or DRSP is not a message, or they do not belong together")                \
  X(user_verified,       "the user is known, and the proof matches the password")                              \
  X(user_refused,        "unknown user, or the proof does not match the password: one answer for both")           \
  X(keys_granted,        "the record changes, which must be durable before it is answered")                  \
  X(keys_repeated,       "a request that was answered before: the same keys, nothing to store")              \
  X(request_refused,     "presence, freshness, ownership, holder or bounds speak against it")                \
  X(report_received,     "a report that changes the record")                                                 \
  X(release_received,    "an operator takes the entity from its holder")                                     \
  X(stored,              "the granted keys are durable")                                                     \
  X(report_stored,       "the report or the release is durable")                                             \
  X(store_failed,        "the granted keys could not be written")                                            \
  X(report_store_failed, "the report or the release could not be written")                                   \
  X(conflicted,          "another server changed the record first: nothing of the change was written")       \
  X(answer_taken,        "the driver took the answer")

#define CPNS_ASSIGNMENT_ACTIONS(X)                                                                           \
  X(none,         "nothing")                                                                                 \
  X(fetch_user,   "ask for the user record")                                                                 \
  X(fetch_device, "ask for the manufacturer's record of the device")                                         \
  X(persist,      "hand the changed record to the store")                                                    \
  X(answer,       "hand out the answer")                                                                     \
  X(adopt_record, "use the record that is durable now")                                                      \
  X(drop_change,  "go on with the record before the change")                                                 \
  X(decide_again, "drop the change, use the record of the other server, and ask for the user record again")
// clang-format on

CPNS_NAMED_ENUM(assignment_state, CPNS_ASSIGNMENT_STATES)
CPNS_NAMED_ENUM(assignment_trigger, CPNS_ASSIGNMENT_TRIGGERS)
CPNS_NAMED_ENUM(assignment_action, CPNS_ASSIGNMENT_ACTIONS)

// clang-format off
inline constexpr auto assignment_lines = [] {
  using enum assignment_state;
  using enum fsm::verdict;
  using e = assignment_trigger;
  using a = assignment_action;
  using line = fsm::line<assignment_state, e, a>;
  constexpr auto stays = std::nullopt;
  constexpr auto not_in = [](assignment_state s) { return fsm::all_but({s}); };
  constexpr std::string_view busy = "a request is pending", not_awaited = "it is not awaited";
  return std::to_array<line>({
    // event, states, verdict, action, to, step of the change request or section of docs/protocol.md; or why not
    {e::request_received,    {idle},                         accept, a::fetch_user,   authenticating,         "4"},
    {e::request_received,    not_in(idle),                   reject, a::none,         stays,                  busy},
    {e::request_malformed,   {idle},                         accept, a::answer,       answered,               "4"},
    {e::request_malformed,   not_in(idle),                   reject, a::none,         stays,                  busy},
    {e::user_verified,       {authenticating},               accept, a::fetch_device, fetching_temporary_key, "5"},
    {e::user_verified,       not_in(authenticating),         reject, a::none,         stays,                  not_awaited},
    {e::user_refused,        {authenticating},               accept, a::answer,       answered,               "5"},
    {e::user_refused,        not_in(authenticating),         reject, a::none,         stays,                  not_awaited},
    {e::keys_granted,        {fetching_temporary_key},       accept, a::persist,      storing,                "6, 7"},
    {e::keys_granted,        not_in(fetching_temporary_key), reject, a::none,         stays,                  not_awaited},
    {e::keys_repeated,       {fetching_temporary_key},       accept, a::answer,       answered,               "8"},
    {e::keys_repeated,       not_in(fetching_temporary_key), reject, a::none,         stays,                  not_awaited},
    {e::request_refused,     {fetching_temporary_key},       accept, a::answer,       answered,               "7"},
    {e::request_refused,     not_in(fetching_temporary_key), reject, a::none,         stays,                  not_awaited},
    {e::report_received,     {idle},                         accept, a::persist,      storing,                "Server link"},
    {e::report_received,     not_in(idle),                   reject, a::none,         stays,                  busy},
    {e::release_received,    {idle},                         accept, a::persist,      storing,                "Holder"},
    {e::release_received,    not_in(idle),                   reject, a::none,         stays,                  busy},
    {e::stored,              {storing},                      accept, a::adopt_record, answered,               "8"},
    {e::stored,              not_in(storing),                reject, a::none,         stays,                  not_awaited},
    {e::report_stored,       {storing},                      accept, a::adopt_record, idle,                   "Server link"},
    {e::report_stored,       not_in(storing),                reject, a::none,         stays,                  not_awaited},
    {e::store_failed,        {storing},                      accept, a::drop_change,  answered,               "6"},
    {e::store_failed,        not_in(storing),                reject, a::none,         stays,                  not_awaited},
    {e::report_store_failed, {storing},                      accept, a::drop_change,  idle,                   "Server link"},
    {e::report_store_failed, not_in(storing),                reject, a::none,         stays,                  not_awaited},
    {e::conflicted,          {storing},                      accept, a::decide_again, authenticating,         "At rest"},
    {e::conflicted,          not_in(storing),                reject, a::none,         stays,                  not_awaited},
    {e::answer_taken,        {answered},                     accept, a::none,         idle,                   "8"},
    {e::answer_taken,        not_in(answered),               reject, a::none,         stays,                  not_awaited},
  });
}();
// clang-format on

static_assert(fsm::is_total(assignment_lines), "every event is answered once in every state");
static_assert(fsm::is_minimal(assignment_lines));
inline constexpr auto assignment_table = fsm::expand(assignment_lines);
static_assert(fsm::is_reachable(assignment_table, assignment_state::idle));

}  // namespace cpns::protocol
