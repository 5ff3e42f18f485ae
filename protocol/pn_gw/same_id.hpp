#pragma once
#include <optional>
#include <utility>
#include <vector>

#include "protocol/messages.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::protocol {

/// Detects two devices that answer with one Entity ID. A PNE repeats its answer to a DREQ byte for byte, so
/// another nonce on another link of the same radio is another device: a cloned image, or a stranger that claims
/// the ID. That proves nothing, so it is only reported to people, once per hour.
class same_id_watch {
 public:
  static constexpr seconds interval{3600};

  /// Takes an answer; returns the other device's link if it is to be reported. `entity`: the device's own.
  std::optional<gw_link> observe(time_point now, gw_link link, const entity_id& entity,
                                 const discovery_response& response) {
    if (response.entity != entity) return std::nullopt;
    if (response.gw_nonce_echo != echo_) {
      echo_ = response.gw_nonce_echo;
      answers_.clear();
    }
    std::optional<gw_link> other;
    for (const auto& [on, nonce] : answers_)
      if (on.transport == link.transport && on.link != link.link && nonce != response.pne_nonce) other = on;
    if (answers_.size() < answers_max) answers_.emplace_back(link, response.pne_nonce);
    if (!other || now < not_before_) return std::nullopt;
    not_before_ = now + interval;
    return other;
  }

  /// The answers so far are not compared with later ones.
  void forget_answers() { answers_.clear(); }
  /// `link` is gone.
  void forget_answers(gw_link link) {
    std::erase_if(answers_, [link](const auto& a) { return a.first == link; });
  }
  /// When two devices may be reported again.
  [[nodiscard]] time_point not_before() const { return not_before_; }
  void set_not_before(time_point t) { not_before_ = t; }

 private:
  static constexpr std::size_t answers_max = 8;
  byte_array<4> echo_{};
  std::vector<std::pair<gw_link, nonce16>> answers_;  ///< to one DREQ
  time_point not_before_ = time_zero;
};

}  // namespace cpns::protocol
