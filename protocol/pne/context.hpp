#pragma once
// One exchange context of a PNE: made by a DREQ, used by one KDEL. What is secret in it lives in the state's
// struct, so that leaving the state wipes it. Not part of the room's public interface.

#include <optional>
#include <variant>

#include "base/clock.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/codec.hpp"
#include "protocol/pne/pne_record.hpp"

namespace cpns::protocol {

struct open_context {
  std::optional<secret32> private_share;  ///< exactly with suite 2
};
struct used_context {
  bytes kdel;  ///< as received
  bytes kcnf;  ///< as sent
};

struct pne_context {
  bytes dreq;  ///< as received
  bytes drsp;  ///< as sent
  gateway_id gw;
  crypto::digest th1{};
  std::optional<epoch> named;  ///< the epoch that DRSP names
  std::optional<tag16> possession, presence;
  std::uint8_t suite = suite_x25519;
  time_point expires;
  std::variant<open_context, used_context> use;

  [[nodiscard]] bool is_open() const { return std::holds_alternative<open_context>(use); }
};

/// What a PNE needs besides the context to answer and to open.
struct pne_secrets {
  const crypto::suite& s;
  const entity_id& entity;
  const secret32& temporary_key;  ///< TK'
  const pne_record& record;
};

/// The highest suite on offer that is not below `lowest`; nullopt if there is none.
std::optional<std::uint8_t> choose_suite(const discovery_request& m, std::uint8_t lowest);

/// Step 2: opens a context and makes the DRSP for it.
pne_context open(const pne_secrets& with, const discovery_request& m, byte_view dreq, std::uint8_t suite,
                 entropy& random, time_point now);

struct opened_delivery {
  delivery_content content;
  bytes kcnf;
};
/// Step 10: what the KDEL holds, if it opens in this context, and the KCNF for it. crypto_open_failed if it
/// does not.
result<opened_delivery> open_delivery(const pne_secrets& with, const pne_context& c, const key_delivery& m);

}  // namespace cpns::protocol
