#pragma once
// One exchange context of a PNE: created by a DREQ, used by one KDEL. Its secrets are in open_context, so that
// leaving that state wipes them. Private to protocol/pne/.

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

/// The inputs of open() and open_delivery() that do not belong to one context.
struct pne_secrets {
  const crypto::suite& s;
  const entity_id& entity;
  const secret32& temporary_key;  ///< TK'
  const pne_record& record;
};

/// The highest offered suite from `lowest` on; nullopt if there is none.
std::optional<std::uint8_t> choose_suite(const discovery_request& m, std::uint8_t lowest);

/// Step 2: opens a context with its DRSP.
pne_context open(const pne_secrets& with, const discovery_request& m, byte_view dreq, std::uint8_t suite,
                 entropy& random, time_point now);

struct opened_delivery {
  delivery_content content;
  bytes kcnf;
};
/// Step 10: decrypts a KDEL in this context and builds its KCNF. crypto_open_failed if it cannot be decrypted.
result<opened_delivery> open_delivery(const pne_secrets& with, const pne_context& c, const key_delivery& m);

}  // namespace cpns::protocol
