#pragma once
// Every message of the server's actors. They carry proofs and keys: unsafe message types on purpose, so that
// no actor system prints or serialises them.

#include <caf/all.hpp>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "protocol/messages.hpp"
#include "server/link.hpp"
#include "server/work_ledger.hpp"

namespace cpns::server {

using answer_body = std::variant<protocol::assigned_keys, protocol::refusal>;

/// Whole frames of the gateway, in order.
struct frames_came {
  std::shared_ptr<const std::vector<bytes>> frames;
};
/// The outcome of one KeyAssignmentRequest.
struct assignment_done {
  request_id id;
  std::shared_ptr<const answer_body> body;
};
/// The outcome of one entry of an EpochReport; none: not done, the gateway reports again.
struct report_done {
  request_id id;
  std::size_t entry = 0;
  std::optional<protocol::report_outcome> outcome;
};
struct link_closed {};

/// session/<gateway>: one connection of one gateway.
using session_actor =
    caf::typed_actor<caf::reacts_to<frames_came>,      // decodes requests, answers or routes each
                     caf::reacts_to<assignment_done>,  // answers the gateway
                     caf::reacts_to<report_done>,      // answers when all entries of the report are done
                     caf::reacts_to<link_closed>>;     // ends

/// Work for one entity.
struct job {
  struct assign {
    protocol::key_assignment_request request;
  };
  struct report {
    std::size_t entry = 0;
    epoch which;
  };
  std::uint64_t number = 0;  ///< unique in this process
  entity_id entity;
  std::shared_ptr<const peer_info> from;
  request_id id;
  std::variant<assign, report> what;
  session_actor reply_to;
  work_permit counted;  ///< given back with the job
};
struct do_job {
  std::shared_ptr<const job> what;
};
/// The assignment actor has answered.
struct job_done {
  std::shared_ptr<const job> what;
};
/// A second has gone by.
struct tick {};
/// The settings changed: entities without work in hand leave memory.
struct forget_idle {};

/// dispatcher: one actor per entity on demand, evicted when idle.
using dispatcher_actor =
    caf::typed_actor<caf::reacts_to<do_job>,    // routes to assignment/<entity>, or refuses over the bounds
                     caf::reacts_to<job_done>,  // one job less in hand
                     caf::reacts_to<tick>,      // evicts what is idle
                     caf::reacts_to<forget_idle>>;  // evicts what has no work in hand

/// What became of the write that was under way.
struct row_stored {
  std::uint64_t number = 0;
  bool ok = false;
};

/// assignment/<entity>: drives one assignment_machine.
using assignment_actor = caf::typed_actor<caf::reacts_to<do_job>,       // queued; one is in hand at a time
                                          caf::reacts_to<row_stored>>;  // goes on after the write

}  // namespace cpns::server

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::frames_came)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::assignment_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::report_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::link_closed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::do_job)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::job_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::forget_idle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cpns::server::row_stored)
