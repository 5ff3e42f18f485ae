#pragma once
// Steps 1 and 2 on a link whose device is not known yet.

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

/// A new DREQ, step 1. Offers every suite from `lowest_suite` on.
discovery_request make_request(const gateway_id& gw, std::uint8_t lowest_suite,
                               const std::optional<nonce16>& issuer_nonce, entropy& random);

/// Sends DREQ until an answer names an Entity ID; one per link. The Entity ID is unverified: the device's machine
/// classifies the answer. Pure. Not thread-safe.
class detector {
 public:
  /// `issuer_nonce`: the current one, if any, so that a first contact needs only one exchange.
  detector(gateway_id gw, std::uint8_t lowest_suite, milliseconds answer_timeout, int retries,
           std::optional<nonce16> issuer_nonce, entropy& random, time_point now);

  struct found {
    entity_id entity;
    bytes dreq;
    bytes drsp;
  };

  /// The DREQ to send now, if it is due; nullopt otherwise.
  std::optional<bytes> poll_send(time_point now);
  /// An answer that echoes the nonce of the DREQ; nullopt for any other message, with the reason in `why`.
  std::optional<found> handle_frame(byte_view message, std::string& why);
  [[nodiscard]] time_point next_deadline() const;
  /// No answer to all retries: the driver closes the link.
  [[nodiscard]] bool exhausted(time_point now) const;

 private:
  bytes dreq_;
  byte_array<4> echo_{};
  milliseconds answer_timeout_;
  int sends_left_;
  time_point due_;
};

}  // namespace cpns::protocol
