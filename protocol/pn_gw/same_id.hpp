#pragma once
// Two devices that answer with one Entity ID.

#include <optional>
#include <utility>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::protocol {

/// Compares the answers that links give to one DREQ. A PNE repeats its answer byte for byte, so another nonce
/// on another link of the same radio is another device: a cloned image, or somebody who says the ID. That
/// proves nothing, so it is for people alone, once an hour.
class same_id_watch {
 public:
  static constexpr seconds interval{3600};

  /// The other link, if people are to be told. `entity` is that of the device.
  std::optional<gw_link> heard(time_point now, gw_link link, const entity_id& entity,
                               const discovery_response& said) {
    if (said.entity != entity) return std::nullopt;
    if (said.gw_nonce_echo != echo_) {
      echo_ = said.gw_nonce_echo;
      answers_.clear();
    }
    std::optional<gw_link> other;
    for (const auto& [on, nonce] : answers_)
      if (on.transport == link.transport && on.link != link.link && nonce != said.pne_nonce) other = on;
    if (answers_.size() < answers_max) answers_.emplace_back(link, said.pne_nonce);
    if (!other || now < not_before_) return std::nullopt;
    not_before_ = now + interval;
    return other;
  }

 private:
  static constexpr std::size_t answers_max = 8;
  byte_array<4> echo_{};
  std::vector<std::pair<gw_link, nonce16>> answers_;  ///< to one DREQ
  time_point not_before_ = time_zero;
};

}  // namespace cpns::protocol
