#pragma once
// The PNE side of the exchange (steps 2 and 10, wake-up). Pure: time and randomness are arguments, outputs are
// polled. Not thread-safe. The driver applies outputs in order and does not poll past a `pne_persist` until it is
// durable.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"
#include "protocol/messages.hpp"
#include "protocol/pne/pne_record.hpp"
#include "protocol/pne/pne_table.hpp"

namespace cpns::protocol {

struct pne_settings {
  entity_id entity;
  secret32 temporary_key;                               ///< TK', from the factory
  std::uint8_t lowest_suite = suite_symmetric;          ///< refuses offers below
  bool strict_chain = false;                            ///< `require_chain: strict`
  seconds unchained_window = unchained_window_default;  ///< after power-on, wake-up or a button
  std::optional<seconds> answer_window;  ///< unkeyed: answers only this long after such events; none: always
};

/// The link of a message. Contexts and budget are per link, so that one gateway does not use up another one's.
struct pne_link {
  std::uint64_t transport = 0;
  std::uint64_t link = 0;
  friend auto operator<=>(const pne_link&, const pne_link&) = default;
};

// Outputs for the driver.

/// Make the record durable, then continue to poll.
struct pne_persist {
  pne_record record;
  /// The older key, if a newer one took its place: a program may still be using it. Not after a factory reset.
  std::optional<stored_key> retired{};
};
/// To the link that the last frame came from.
struct pne_send {
  bytes message;
};
// clang-format off
// name, log id, level, step of the change request, default text
#define CPNS_PNE_EVENTS(X)                                                                                   \
  X(answered,     "answered",     debug, "2",  "EntityDiscoveryResponse sent")                               \
  X(key_accepted, "key-accepted", info,  "10", "EUKey decrypted and stored")                                 \
  X(confirmed,    "confirmed",    debug, "10", "KeyConfirmation sent")                                       \
  X(retired,      "retired",      debug, "",   "the older key was erased")                                   \
  X(rejected,     "rejected",     debug, "",   "a message was dropped")
// clang-format on

/// For logs and for people.
struct pne_event {
  enum class kind_t : std::uint8_t {
#define CPNS_X(name, id, loudness, step, text) name,
    CPNS_PNE_EVENTS(CPNS_X)
#undef CPNS_X
  };
  kind_t kind;
  std::optional<epoch> which;  ///< key_accepted, confirmed, retired: the key
  std::string why;             ///< rejected: the broken rule
};
constexpr log::event_line describe_event(pne_event::kind_t kind) {
  constexpr log::event_line lines[] = {
#define CPNS_X(name, id, loudness, step, text) {id, log::level::loudness, step, text},
      CPNS_PNE_EVENTS(CPNS_X)
#undef CPNS_X
  };
  return lines[static_cast<std::size_t>(kind)];
}
using pne_output = std::variant<pne_persist, pne_send, pne_event>;

class pne_machine {
 public:
  /// Construction is power-on: the windows open. `s` and `random` outlive the machine.
  pne_machine(pne_settings settings, pne_record record, const crypto::suite& s, entropy& random,
              time_point now);
  ~pne_machine();
  pne_machine(pne_machine&&) noexcept;
  pne_machine& operator=(pne_machine&&) noexcept;

  /// One whole message from the radio, possibly hostile. Never fails; a fault becomes an event.
  void handle_frame(time_point now, pne_link link, byte_view message);
  /// The link's contexts are wiped.
  void handle_link_down(time_point now, pne_link link);
  /// Expires contexts and windows. Spurious calls do nothing.
  void handle_timeout(time_point now);
  /// Wakes up: the windows open, NOTE awake goes out.
  void handle_wake(time_point now);
  /// Goes to sleep: NOTE going-to-sleep goes out, the exchange contexts are wiped.
  void handle_sleep(time_point now);
  /// The user pressed the button: the windows open.
  void handle_button(time_point now);
  /// Erases the keys and counts the reset; contexts are wiped.
  void handle_factory_reset(time_point now);
  /// The last `pne_persist` failed: outputs that depend on it are dropped, and the machine goes back to the former
  /// record.
  void handle_persist_failed(time_point now);

  /// When handle_timeout has something to do; time_never if nothing is pending. May change after every call.
  [[nodiscard]] time_point next_deadline() const;
  /// The next output, if any.
  std::optional<pne_output> poll_output();

  [[nodiscard]] pne_state state() const;
  [[nodiscard]] std::optional<epoch> current_epoch() const;  ///< of the highest key stored
  [[nodiscard]] const pne_record& record() const;            ///< may be ahead of the durable one
  [[nodiscard]] std::uint64_t dropped() const;               ///< messages dropped since power-on

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::protocol
