#pragma once
// Step 1 and 2 on a link whose device is not known yet: sends DREQ until an answer names an Entity ID. Pure;
// one per link. It concludes nothing: identity is what was said, and the device's machine judges it.

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

class detector {
 public:
  /// `issuer_nonce`: the current one if there is one, so that a first contact needs one exchange only.
  detector(gateway_id gw, std::uint8_t lowest_suite, milliseconds answer_timeout, int retries,
           std::optional<nonce16> issuer_nonce, entropy& random, time_point now);

  struct found {
    entity_id entity;
    bytes dreq;
    bytes drsp;
  };

  /// The DREQ to send now, if it is due; nullopt otherwise.
  std::optional<bytes> poll_send(time_point now);
  /// An answer that echoes our nonce; nullopt for anything else, and `why` says what it was.
  std::optional<found> handle_frame(byte_view message, std::string& why);
  [[nodiscard]] time_point next_deadline() const;
  /// All retries went unanswered: the link is closed by the driver.
  [[nodiscard]] bool exhausted(time_point now) const;

 private:
  bytes dreq_;
  byte_array<4> echo_{};
  milliseconds answer_timeout_;
  int sends_left_;
  time_point due_;
};

}  // namespace cpns::protocol
