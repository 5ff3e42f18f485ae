#pragma once
// The PN GW side of one device (steps 1 to 4 and 8 to 10, periodic update, wake-up, recovery). Pure: time and
// randomness are arguments, outputs are polled. Not thread-safe. The driver applies outputs in order and does not
// poll past a `gw_persist` until it is durable.

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "crypto/suite.hpp"
#include "protocol/messages.hpp"
#include "protocol/pn_gw/claimants.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "protocol/pn_gw/gw_event.hpp"
#include "protocol/pn_gw/gw_resting.hpp"
#include "protocol/pn_gw/pn_gw_table.hpp"

namespace cpns::protocol {

enum class validation_policy : std::uint8_t { automatic, ask, list };

struct pn_gw_settings {
  gateway_id gw;
  user_id user;
  validation_policy policy = validation_policy::automatic;
  bool allowed = true;  ///< policy `list`: the entity is on the allow list
  bool denied = false;  ///< any policy: the entity is on the deny list
  /// Policy `ask`: until then the permit window lets a device in that proves itself; a claim alone is not approved.
  time_point permit_until = time_zero;
  std::uint8_t lowest_suite = suite_x25519;
  milliseconds answer_timeout = answer_timeout_default;
  int retries = retries_default;
  seconds backoff_min{2}, backoff_max{300};
  std::uint32_t low_water = low_water_default;
  std::uint32_t healing_reserve = healing_reserve_default;
  std::uint32_t amnesia_budget = amnesia_budget_default;
  std::uint32_t rekey_jitter_percent = 10;  ///< an update is early by up to this share of the interval
  std::optional<seconds> rekey_override;    ///< instead of the server's interval
  milliseconds consumer_wait{0};  ///< the longest wait for programs that use the keys; 0: there are none
};

/// The date. Timers do not use it, because it may step while they run.
struct gw_dates {
  time_point wall;                ///< the system's clock
  time_point newest = time_zero;  ///< the newest date in the gateway's store: a clock before it is wrong
};

// Outputs for the driver.

/// The next key is handed out and durable, and is not sent yet: the programs that use it learn it first. Answer with
/// handle_published() when they are waited for, and with handle_consumers_ready() when they have it.
struct gw_publish {
  epoch which;
};
/// Make the record durable, then continue to poll.
struct gw_persist {
  std::shared_ptr<const device_record> record;  ///< never null
  /// The own key before, if the PNE proved it and then confirmed its successor: a program may still be using it. None if
  /// the PNE had lost it.
  std::optional<held_key> retired{};
};
struct gw_send {
  gw_link to;
  bytes message;
};
/// Answer with handle_issuer_nonce().
struct gw_want_nonce {};
/// Step 4: the server link adds the user proof. Answer with handle_response() or handle_refusal().
struct gw_request {
  request_id id;
  key_assignment_request body;
};
/// Batched by the driver. Answer with handle_report_outcome().
struct gw_report {
  epoch which;
};
/// Policy `ask`: answer with handle_approval().
struct gw_ask_approval {};
struct gw_close_link {
  gw_link link;
  std::string why;
};
/// A verified tag came over this link: its peer is the device.
struct gw_link_proven {
  gw_link link;
};
using gw_output = std::variant<gw_persist, gw_publish, gw_send, gw_want_nonce, gw_request, gw_report,
                               gw_ask_approval, gw_close_link, gw_link_proven, gw_event>;

class pn_gw_machine {
 public:
  /// `record`: the stored one, or a new one that names entity and user. `s`, `random` and `book` outlive the
  /// machine. `book`: the claimants of the whole gateway; nullptr: the machine has one of its own.
  pn_gw_machine(pn_gw_settings settings, device_record record, const crypto::suite& s, entropy& random,
                time_point now, const gw_dates& dates, claimant_book* book = nullptr);
  /// The wall clock equals `now` and does not step.
  pn_gw_machine(pn_gw_settings settings, device_record record, const crypto::suite& s, entropy& random,
                time_point now, claimant_book* book = nullptr)
      : pn_gw_machine(std::move(settings), std::move(record), s, random, now, gw_dates{now}, book) {}
  /// A machine that rested with `rested` goes on. `record`: the stored one. `place`: the far end of its link, if it has
  /// one. It draws nothing from `random`, and has no output yet.
  pn_gw_machine(pn_gw_settings settings, device_record record, const gw_resting& rested, gw_place place,
                const crypto::suite& s, entropy& random, time_point now, const gw_dates& dates,
                claimant_book* book);
  ~pn_gw_machine();
  pn_gw_machine(pn_gw_machine&&) noexcept;
  pn_gw_machine& operator=(pn_gw_machine&&) noexcept;

  /// Sets the dates at `now`, for all later calls. Stored dates and comparisons with dates use them.
  void note_dates(time_point now, const gw_dates& dates);
  /// The detector (detector.hpp) got an answer that names this device on `link`: first contact, or a wake-up.
  /// `dreq` and `drsp` are the bytes as sent and received.
  void handle_detected(time_point now, gw_link link, byte_view dreq, byte_view drsp, gw_place place = {});
  /// One whole message from one of the device's links, possibly hostile.
  void handle_frame(time_point now, gw_link link, byte_view message);
  void handle_link_down(time_point now, gw_link link);
  /// nullopt: the server is unreachable.
  void handle_issuer_nonce(time_point now, const std::optional<nonce16>& nonce);
  void handle_approval(time_point now, bool approved);
  /// The answer to the `gw_request` with this id; other answers are dropped.
  void handle_response(time_point now, const request_id& id, const assigned_keys& answer,
                       std::uint64_t incarnation);
  void handle_refusal(time_point now, const request_id& id, const refusal& answer);
  void handle_report_outcome(time_point now, epoch reported, report_outcome outcome);
  /// From `now` on the programs are waited for: for `consumer_wait` at most, and not longer than the PNE remembers its DRSP.
  void handle_published(time_point now, epoch published);
  /// The programs that use keys have the one of `gw_publish`.
  void handle_consumers_ready(time_point now, epoch published);
  /// The server is reachable again, or accepts the user again: a machine that waits for it asks within two
  /// seconds.
  void handle_server_ready(time_point now);
  /// A person requests the next key now.
  void handle_update_request(time_point now);
  /// New settings, for all later calls. If they let a waiting device in reach in, its exchange begins; if they do not
  /// let in any more what has not proven itself, a person is asked.
  void handle_settings(time_point now, pn_gw_settings settings);
  void handle_timeout(time_point now);
  /// The last `gw_persist` failed: outputs that depend on it are dropped, the machine goes back to the former
  /// record and backs off.
  void handle_persist_failed(time_point now);

  [[nodiscard]] time_point next_deadline() const;
  std::optional<gw_output> poll_output();
  /// What the machine needs to go on later, if it may be put away now: its device holds a key and has at most the link
  /// over which it proved that, no exchange is under way, nothing is owed to the server, all outputs were polled, and
  /// no timer runs but that of the next update. The record that was polled last is durable.
  [[nodiscard]] std::optional<gw_resting> rest(time_point now) const;

  [[nodiscard]] pn_gw_state state() const;
  [[nodiscard]] const device_record& record() const;
  [[nodiscard]] std::optional<epoch> own_epoch() const;
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::protocol
