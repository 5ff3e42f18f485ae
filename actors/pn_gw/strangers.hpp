#pragma once
// Bounds on unverified peers ("strangers") of a gateway, for all devices together: the memory of refused
// claimants, and the log lines that any peer in range can cause.

#include <atomic>
#include <cstdint>
#include <mutex>

#include "base/entropy.hpp"
#include "base/log.hpp"
#include "protocol/pn_gw/claimants.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"
#include "protocol/rate.hpp"

namespace cpns::actors {

/// One claimant book, shared by the machines of all devices. [thread-safe]
class shared_claimants final : public protocol::claimant_book {
 public:
  [[nodiscard]] time_point not_before(const entity_id& entity, std::string_view claimant) const override;
  [[nodiscard]] unsigned refusals(const entity_id& entity, std::string_view claimant) const override;
  void refused(time_point now, const entity_id& entity, std::string_view claimant,
               const protocol::claimant_wait& wait, entropy& random) override;
  void accepted(const entity_id& entity, std::string_view claimant) override;
  bool take_request(time_point now, const entity_id& entity) override;
  [[nodiscard]] time_point next_request(time_point now, const entity_id& entity) const override;

 private:
  mutable std::mutex guard_;
  protocol::claimants book_;
};

/// Log lines about unverified peers: a burst, then ten per second; the rest is counted. Debug lines have a
/// separate budget. [thread-safe]
class unproven_lines {
 public:
  /// `burst`: large enough for the first contact of all devices of the gateway.
  explicit unproven_lines(int burst);
  /// Writes the line if the budget allows it; logs the number of suppressed lines at most every 10 s.
  void write(time_point now, log::level l, std::string_view event, std::string_view text,
             std::initializer_list<log::field> fields);
  [[nodiscard]] std::uint64_t left_out() const { return all_; }

 private:
  bool take(time_point now, log::level l);

  std::mutex guard_;
  protocol::rate_limit lines_, debug_lines_, summaries_;
  std::uint64_t since_summary_ = 0;
  std::atomic<std::uint64_t> all_{0};
};

}  // namespace cpns::actors
