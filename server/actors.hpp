#pragma once
// Every message of the server's actors. Messages hold proofs and keys: they are unsafe message types on
// purpose, so that CAF cannot print or serialise them. No handler waits for a store, a file, a socket or another actor:
// server/batch_sharing.hpp relies on that.

#include <atomic>
#include <caf/all.hpp>
#include <future>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "protocol/messages.hpp"
#include "protocol/server/proof_check.hpp"
#include "protocol/server/records.hpp"
#include "server/admission.hpp"
#include "server/gathered.hpp"
#include "server/link.hpp"
#include "server/server_metrics.hpp"
#include "server/user_work.hpp"
#include "server/work_ledger.hpp"
#include "storage/group_read.hpp"

namespace cpns::server {

using answer_body = std::variant<protocol::assigned_keys, protocol::refusal>;

/// Complete frames of the gateway, in order.
struct frames_came {
  std::shared_ptr<const std::vector<bytes>> frames;
};
/// The outcome of one KeyAssignmentRequest.
struct assignment_done {
  request_id id;
  answer_body body;
  steady::time_point arrived;  ///< of the request
};
/// Some assignments are done; session_mail has their outcomes.
struct assignments_done {};
/// The outcome of one entry of an EpochReport; nullopt: not done, the gateway reports it again.
struct report_done {
  request_id id;
  std::size_t entry = 0;
  std::optional<protocol::report_outcome> outcome;
};
struct link_closed {};
/// What a request holds from the door until it is answered.
struct admitted {
  steady::time_point arrived{};
  work_permit counted;
  work_place place;
};
/// A KeyAssignmentRequest that is worked on now.
struct admitted_request {
  request_id id;
  bytes frame;
  admitted held;
};
/// Those of one read from the connection.
struct requests_came {
  std::shared_ptr<std::vector<admitted_request>> all;  ///< given back if the message is not handled
};
/// Some requests may be slow.
struct slow_look {};

/// Rows that an actor asked for, for one or more of its jobs.
struct rows_read {
  std::uint64_t number = 0;
  std::shared_ptr<storage::rows_found> rows;
};

/// The answer of a manufacturer's service that an actor asked for.
struct key_came {
  std::uint64_t number = 0;
  std::shared_ptr<result<std::optional<protocol::device_secret_record>>> found;
};

/// session/<gateway>: one connection of one gateway.
using session_actor =
    caf::typed_actor<caf::reacts_to<frames_came>,    // decodes requests, answers each or reads what it needs
                     caf::reacts_to<requests_came>,  // decodes them, reads what they need
                     caf::reacts_to<rows_read>,      // answers or routes the request
                     caf::reacts_to<key_came>,       // the same
                     caf::reacts_to<assignments_done>,  // answers the gateway
                     caf::reacts_to<report_done>,       // answers when all entries of the report are done
                     caf::reacts_to<slow_look>,         // answers slow requests "overloaded"
                     caf::reacts_to<link_closed>>;      // ends

/// An entity that an operator took from its holder, with the holder that it had.
struct released_entity {
  entity_id entity;
  gateway_id holder;
  std::string holder_uri;  ///< empty in rows of older servers
  std::int64_t since = 0;  ///< Unix seconds; 0: unknown
};
/// The outcome of a release, for a thread outside of the actors. [thread-safe]
class release_reply {
 public:
  /// state_unknown if no gateway held the entity. Broken if the role ends before.
  std::future<result<released_entity>> outcome() { return promise_.get_future(); }
  /// The first answer counts: an actor that died may have answered before the dispatcher answers for it.
  void answer(result<released_entity> r) {
    if (!answered_.exchange(true)) promise_.set_value(std::move(r));
  }

 private:
  std::atomic<bool> answered_ = false;
  std::promise<result<released_entity>> promise_;
};

/// The rows that a request needs, read in one go after it came.
struct request_rows {
  result<storage::sealed_value> entity;
  result<std::optional<protocol::user_record>> user = std::optional<protocol::user_record>{};
  result<std::optional<protocol::device_secret_record>> device =
      std::optional<protocol::device_secret_record>{};
};

/// The outcomes of the assignments of one session, which owns this and is not kept by it. [thread-safe]
class session_mail {
 public:
  explicit session_mail(const session_actor& to) : to_(caf::actor_cast<caf::weak_actor_ptr>(to)) {}
  void put(assignment_done outcome) {
    if (!in_.put(std::move(outcome))) return;
    if (auto session = caf::actor_cast<caf::strong_actor_ptr>(to_))
      caf::anon_send(caf::actor_cast<session_actor>(std::move(session)), assignments_done{});
  }
  std::vector<assignment_done> take() { return in_.take(); }

 private:
  const caf::weak_actor_ptr to_;
  gathered<assignment_done> in_;
};

/// Work for one entity. Made for a request when that is decoded, and shared with all that waits or decides.
struct job {
  using assign = protocol::received_request;
  struct report {
    std::size_t entry = 0;
    epoch which;
  };
  /// An operator takes the entity from its holder. Through the actor, which has the row in memory.
  struct release {
    std::shared_ptr<release_reply> reply;
    std::optional<gateway_id> only_from{};  ///< from this holder alone; state_unknown if it has another one
  };
  std::uint64_t number = 0;  ///< unique in this process
  entity_id entity;
  std::shared_ptr<const peer_info> from;
  request_id id;
  std::variant<std::monostate, assign, report, release> what;  ///< never std::monostate once it is sent
  std::optional<request_rows> rows;                            ///< none: the assignment actor reads them
  session_actor reply_to;                                      ///< of a report
  std::shared_ptr<session_mail> mail;                          ///< of a request for keys
  work_permit counted;                                         ///< released with the job
  work_place place;                                            ///< the same
  user_work::permit of_user;                                   ///< the same
  steady::time_point arrived{};                                ///< of the request
  steady::time_point queued{};                                 ///< when the session had its rows
};
struct do_job {
  std::shared_ptr<const job> what;
};
/// The jobs that a session has at once.
struct do_jobs {
  std::shared_ptr<const std::vector<std::shared_ptr<const job>>> all;
};
/// The assignment actor has answered.
struct job_done {
  std::shared_ptr<const job> what;
  bool uncertain = false;  ///< whether the last write of the entity took effect is not known
};
/// Some jobs are done; role_context::jobs_done has them.
struct look_at_done {};
/// Sent once per second.
struct tick {};
/// The rest of the entities that are idle for too long.
struct sweep_on {
  time_point limit;
};

/// dispatcher: finds or makes one actor per entity on demand; an idle one goes on with another entity, or is evicted.
using dispatcher_actor =
    caf::typed_actor<caf::reacts_to<do_job>,   // routes to assignment/<entity>, or refuses it over the bounds
                     caf::reacts_to<do_jobs>,  // the same for each
                     caf::reacts_to<look_at_done>,  // some jobs less are pending
                     caf::reacts_to<tick>,          // evicts entities idle for too long
                     caf::reacts_to<sweep_on>>;

/// The outcome of the pending write.
struct row_stored {
  std::uint64_t number = 0;
  bool ok = false;
  bool lost = false;  ///< another server changed the row first, and nothing was written
};

/// assignment/<entity>: drives one assignment_machine.
using assignment_actor = caf::typed_actor<caf::reacts_to<do_job>,       // queued; one runs at a time
                                          caf::reacts_to<rows_read>,    // continues after a read of its own
                                          caf::reacts_to<key_came>,     // decides again with another key
                                          caf::reacts_to<row_stored>>;  // continues after the write

}  // namespace cpns::server

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::frames_came)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::assignments_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::report_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::link_closed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::requests_came)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::slow_look)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::do_job)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::do_jobs)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::look_at_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::sweep_on)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::rows_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::key_came)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::row_stored)
