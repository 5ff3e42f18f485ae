#pragma once
// State that the server's actors share. The role owns it and outlives them. [thread-safe] as a whole.

#include <atomic>
#include <functional>
#include <mutex>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/assignment_machine.hpp"
#include "protocol/server/proof_check.hpp"
#include "server/actors.hpp"
#include "server/change_turns.hpp"
#include "server/frame_credit.hpp"
#include "server/gateway_book.hpp"
#include "server/gateway_register.hpp"
#include "server/gathered.hpp"
#include "server/node_notices.hpp"
#include "server/refusal_log.hpp"
#include "server/server_metrics.hpp"
#include "server/temporary_key_sources.hpp"
#include "server/undelivered.hpp"
#include "server/users.hpp"
#include "storage/group_commit.hpp"

namespace cpns::server {

class gateway_orders;
class other_gateways;

/// Bounds and times for the actors; replaced as a whole when the configuration is reloaded.
struct actor_settings {
  protocol::assignment_settings assignment;
  std::uint32_t entities_live = 100'000;
  work_ledger::bounds jobs{262'144, 1024};
  admission::bounds work;
  std::size_t jobs_per_user = 1024;
  std::size_t jobs_per_entity = 16;
  milliseconds entity_idle = seconds{30};
  milliseconds slow_answer{1500};  ///< a KeyAssignmentRequest in work for longer is answered "overloaded"
};

/// Report entries of one connection that are processed at a time; the others wait in the session, so that long
/// reports do not delay short ones. Below actor_settings::jobs_per_entity, so that a report with many entries of one device
/// loses none.
inline constexpr std::size_t entries_at_once = 8;

// retry_after of refused reports, in seconds, and of requests that were interrupted: transient; too many jobs of the
// gateway; too many jobs of the server.
inline constexpr std::uint32_t retry_soon = 1;
inline constexpr std::uint32_t retry_enough = 5;
inline constexpr std::uint32_t retry_full = 10;

/// The delays of wrong proofs, for all sessions. [thread-safe]
class shared_proof_delays {
 public:
  [[nodiscard]] std::uint32_t wait(time_point now, const gateway_id& gw, const user_id& user) const {
    if (gateways_ == 0) return 0;
    std::lock_guard lock{guard_};
    return delays_.wait(now, gw, user);
  }
  void record(time_point now, const gateway_id& gw, const user_id& user, bool good) {
    if (good && gateways_ == 0) return;
    std::lock_guard lock{guard_};
    if (good)
      delays_.right(gw, user);
    else
      delays_.wrong(now, gw, user);
    gateways_ = delays_.gateways();
  }

 private:
  mutable std::mutex guard_;
  protocol::proof_delays delays_;
  std::atomic<std::size_t> gateways_ = 0;  ///< of `delays_`: most of the time there is none
};

/// storage::group_committer::submit in production; tests delay writes.
using commit_fn = std::function<void(storage::sealed_batch, storage::commit_done)>;

/// storage::group_reader::submit in production; tests delay reads.
using read_fn = std::function<void(std::vector<storage::row_name>, storage::read_done)>;

class role_context {
 public:
  role_context(storage::sealed_store& rows, commit_fn make_durable, read_fn read_rows, user_directory& people,
               temporary_key_source& devices, const crypto::suite& crypto_suite, entropy& source,
               clock_fn clock, std::shared_ptr<const actor_settings> first)
      : store(rows), commit(std::move(make_durable)), read(std::move(read_rows)), users(people),
        batches(std::make_shared<batch_book>(rows)), temporary_keys(devices, *batches, crypto_suite),
        suite(crypto_suite), random(source), now(std::move(clock)),
        proof(crypto_suite, first->assignment.issuer_key), notices(source, first->assignment.incarnation),
        settings_(std::move(first)) {}

  storage::sealed_store& store;
  const commit_fn commit;
  const read_fn read;
  user_directory& users;
  const std::shared_ptr<batch_book> batches;  ///< completions of writes may come after the context
  temporary_key_sources temporary_keys;
  const crypto::suite& suite;
  entropy& random;  ///< thread-safe
  const clock_fn now;
  const protocol::proof_check proof;
  shared_proof_delays delays;
  refusal_log refusals{"refused requests"};
  gateway_register gateways;
  node_notices notices;
  gateway_book known_gateways{store, commit, read};
  const std::shared_ptr<change_turns> device_turns = change_turns::make();
  const std::shared_ptr<frame_credit> credit = std::make_shared<frame_credit>(credit_default);
  const std::shared_ptr<work_ledger> work = std::make_shared<work_ledger>();
  const std::shared_ptr<admission> door = std::make_shared<admission>(random);
  const std::shared_ptr<user_work> users_work = std::make_shared<user_work>();
  undelivered_answers undelivered;
  gathered<job_done> jobs_done;               ///< for the dispatcher
  std::atomic<std::uint64_t> next_number{1};  ///< for jobs and writes
  server_metrics counted;                     ///< set before the first connection is accepted
  // The same holds for these.
  std::string name;                           ///< of this server
  std::shared_ptr<other_gateways> elsewhere;  ///< if the store is shared
  std::shared_ptr<gateway_orders> orders;     ///< the same

  [[nodiscard]] std::shared_ptr<const actor_settings> settings() const {
    std::lock_guard lock{guard_};
    return settings_;
  }
  void replace_settings(std::shared_ptr<const actor_settings> s) {
    std::lock_guard lock{guard_};
    settings_ = std::move(s);
  }
  /// Set once, before the first connection is accepted.
  [[nodiscard]] dispatcher_actor dispatcher() const {
    std::lock_guard lock{guard_};
    return dispatcher_;
  }
  void replace_dispatcher(dispatcher_actor d) {
    std::lock_guard lock{guard_};
    dispatcher_ = std::move(d);
  }

 private:
  mutable std::mutex guard_;
  std::shared_ptr<const actor_settings> settings_;
  dispatcher_actor dispatcher_;
};

}  // namespace cpns::server
