#pragma once
// Answers to a DREQ of a stranger that knows only the Entity ID.

#include <optional>

#include "base/entropy.hpp"
#include "protocol/messages.hpp"

namespace cpns::test {

enum class lie : std::uint8_t { no_key, reset, own_epoch, other_epoch, no_presence, mixed };

inline protocol::discovery_response forged(const protocol::discovery_request& dreq, const entity_id& entity,
                                           lie kind, std::optional<epoch> own, entropy& random) {
  protocol::discovery_response m;
  m.gw_nonce_echo = first<4>(dreq.gw_nonce);
  m.entity = entity;
  m.pne_nonce = random.draw<16>();
  m.suite = dreq.suites.back();
  if (m.suite == protocol::suite_x25519) m.pne_share = random.draw<32>();
  if (kind == lie::mixed) kind = static_cast<lie>(random.below(5));
  if (kind == lie::reset) m.resets = 1 + random.below(3);
  if (kind == lie::own_epoch) m.highest = own.value_or(epoch{1, 0});
  if (kind == lie::other_epoch)
    m.highest =
        epoch{static_cast<std::uint32_t>(1 + random.below(9)), static_cast<std::uint16_t>(random.below(99))};
  if (m.highest) m.possession = tag16{random.draw<16>()};
  if (dreq.issuer_nonce && kind != lie::no_presence) m.presence = tag16{random.draw<16>()};
  return m;
}

}  // namespace cpns::test
