#pragma once
// assignment/<entity>: the actor of one assignment_machine and its row in the store.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "server/context.hpp"

namespace cpns::server {

/// A log line of a job, written when the job is granted; of refused jobs only a few per gateway are written.
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
  std::optional<protocol::assignment_machine> machine;  ///< it serves one entity after the other
  bool known = false;                                   ///< `machine` has the record of `entity`
  std::uint64_t version = 0;                        ///< of the row from which the record of `machine` comes
  std::uint64_t read_at = 0;                        ///< the same, as of storage::sealed_value
  std::shared_ptr<const actor_settings> made_with;  ///< the settings of `machine`
  std::vector<std::shared_ptr<const job>> waiting;  ///< few: limits.jobs_per_entity
  std::shared_ptr<const job> current;
  std::optional<protocol::report_outcome> outcome;          ///< of the current report
  result<released_entity> released = fail(errc::internal);  ///< of the current release
  const request_rows* rows = nullptr;                       ///< of the current job
  std::optional<request_rows> own_rows;                     ///< `rows`, if they did not come with the job
  int conflicts = 0;                                        ///< that the current job lost
  bool asked_again = false;                                 ///< the manufacturer, for the current job
  std::optional<std::uint64_t> read;                        ///< number of the pending read
  user_directory::lookup user;                              ///< of the pending read
  std::optional<std::uint64_t> write;                       ///< number of the pending write
  std::optional<std::uint64_t> ask;                         ///< number of the pending query to a manufacturer
  std::optional<answer_body> refused;                       ///< if that query brings no other key
  bool wait_for_writes = false;        ///< a predecessor died: its last write may be pending
  std::vector<assignment_line> lines;  ///< of the current job, not written yet
  bool uncertain = false;              ///< the last write failed, but may be in the store
  time_point began, turn;        ///< of the current job; and of its rows, with which the machine decides
  steady::time_point submitted;  ///< the pending write
};

/// `role` outlives the actor. Uses the rows that came with a job; reads them itself where none came, after a failed
/// write, and after a conflict; `after_crash` of the predecessor, only after every write that was queued before. A job for
/// another entity makes it the actor of that one: the dispatcher sends it only while the actor has no other job.
assignment_actor::behavior_type assignment(assignment_actor::stateful_pointer<assignment_state> self,
                                           role_context* role, entity_id entity, dispatcher_actor dispatcher,
                                           bool after_crash);

}  // namespace cpns::server
