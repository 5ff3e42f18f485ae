#pragma once
// The CPNS Server's side of one entity (steps 5 to 8, reports). Pure: time and randomness are arguments, outputs
// are polled. Not thread-safe. It handles one request at a time; the driver queues a bounded number of others. The
// driver does not poll past an `assignment_persist` until it is durable: the answer follows it.

#include <memory>
#include <optional>
#include <variant>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "crypto/suite.hpp"
#include "protocol/messages.hpp"
#include "protocol/server/assignment_table.hpp"
#include "protocol/server/proof_check.hpp"
#include "protocol/server/records.hpp"

namespace cpns::protocol {

struct assignment_settings {
  std::uint32_t set_size = set_size_default;
  seconds rekey = rekey_default;
  seconds set_lifetime = std::chrono::hours{24 * 365};
  bool literal_temporary_key = false;  ///< `temporary_key_release: literal`
  bool require_presence = true;        ///< false: for no device, even if its import requires presence
  seconds adopt_after{60};             ///< retry_after for another gateway of the same user
  secret32 issuer_key;                 ///< K_iss
  std::uint64_t incarnation = 1;
};

// Outputs for the driver, to apply in order.

/// Answer with handle_user().
struct assignment_fetch_user {
  std::shared_ptr<const received_request> asked;  ///< names the user; never null
};
/// Step 7. Answer with handle_device().
struct assignment_fetch_device {};
/// Step 6: make the record durable, then continue to poll.
struct assignment_persist {
  std::shared_ptr<const entity_record> record;  ///< never null
};
/// Step 8.
struct assignment_answer {
  request_id id;
  std::variant<assigned_keys, refusal> body;
};
/// For the operator's log: a decision, or the reason of a refusal. Names no secret and no user.
struct assignment_event {
  std::string_view id;  ///< stable, kebab-case
  std::string text;
  bool routine = false;  ///< emitted for every successful assignment or report
};
using assignment_output = std::variant<assignment_fetch_user, assignment_fetch_device, assignment_persist,
                                       assignment_answer, assignment_event>;

/// Races that a request may lose before it is answered `overloaded`.
inline constexpr int conflicts_max = 3;

class assignment_machine {
 public:
  /// `record`: the stored one, or a new one that names the entity.
  assignment_machine(assignment_settings settings, entity_record record, const crypto::suite& s,
                     entropy& random);
  ~assignment_machine();
  assignment_machine(assignment_machine&&) noexcept;
  assignment_machine& operator=(assignment_machine&&) noexcept;

  /// The driver read another record, of this entity or of another one. Only when state() is idle.
  void load(entity_record record);
  /// Only when state() is idle. `now` is the wall clock. The machine keeps `asked` until it is decided and stored.
  void handle_request(time_point now, std::shared_ptr<const received_request> asked);
  /// nullopt: unknown user; the machine does the same work as for a known one. An error: the
  /// request is refused with unreadable() (proof_check.hpp).
  void handle_user(time_point now, const result<std::optional<user_record>>& user);
  /// nullopt: unknown entity. An error: the request is refused, with unreadable() if the record is damaged, else
  /// with temporary_key_unavailable.
  void handle_device(time_point now, const result<std::optional<device_secret_record>>& device);
  /// A report of the gateway `gw`. Returns the outcome; poll for the record to persist. Only when state() is idle.
  report_outcome handle_report(time_point now, const gateway_id& gw, epoch reported);
  /// An operator takes the entity from its holder. False if it has none, or another one than `only_from`; else poll for
  /// the record to persist. Only when state() is idle.
  bool handle_release(time_point now, const std::optional<gateway_id>& only_from = {});
  /// The persist failed: the request is answered `overloaded`, record() stays the stored one.
  void handle_persist_failed(time_point now);
  /// The persist lost a race: another server changed the record, and nothing of this change was written. `fresh` is the
  /// record as it is stored now. A request is decided again, with the user and the device as they are now; after
  /// conflicts_max conflicts it is answered `overloaded`. A report or a release is dropped: the driver handles it again.
  void handle_conflict(time_point now, entity_record fresh);

  std::optional<assignment_output> poll_output();
  [[nodiscard]] assignment_state state() const;
  [[nodiscard]] const entity_record& record() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::protocol
