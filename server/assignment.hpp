#pragma once
// assignment/<entity>: an assignment_machine with its row of the store.

#include <deque>

#include "base/log.hpp"
#include "server/context.hpp"

namespace cpns::server {

/// What the log says of a job when it is granted; of one that is refused, a few a gateway.
struct assignment_line {
  log::level level = log::level::info;
  std::string_view event;
  std::string text;
};

struct assignment_state {
  const char* name = "assignment";
  role_context* role = nullptr;
  entity_id entity;
  dispatcher_actor dispatcher;
  std::optional<protocol::assignment_machine> machine;
  std::deque<std::shared_ptr<const job>> waiting;
  std::shared_ptr<const job> in_hand;
  std::optional<protocol::report_outcome> outcome;  ///< of the report in hand
  std::optional<std::uint64_t> write;               ///< under way
  bool wait_for_writes = false;                     ///< a predecessor died: its last write may be under way
  std::vector<assignment_line> lines;               ///< of the job in hand, not written yet
  bool uncertain = false;                           ///< the last write failed, and may have landed
  time_point began;
};

/// `role` outlives the actor. The row is read at the first job; after a crash of its predecessor, once every
/// write that was queued before is through.
assignment_actor::behavior_type assignment(assignment_actor::stateful_pointer<assignment_state> self,
                                           role_context* role, entity_id entity, dispatcher_actor dispatcher,
                                           bool after_crash);

}  // namespace cpns::server
