#pragma once
// What the server's parts count while they work. docs/operations/monitoring.md has all metrics.

#include <array>
#include <optional>

#include "metrics/registry.hpp"
#include "protocol/messages.hpp"

namespace cpns::server {

using steady = std::chrono::steady_clock;

/// Handles; made by default they count nothing. [thread-safe]
class server_metrics {
 public:
  server_metrics() = default;
  explicit server_metrics(metrics::registry& in);

  /// One KeyAssignmentRequest was answered.
  void assigned(protocol::link_status outcome) const;
  /// One entry of an EpochReport is over; nullopt: it was not done, and the gateway reports it again.
  void reported(std::optional<protocol::report_outcome> outcome, std::uint64_t entries = 1) const;

  /// The steps of an assignment.
  metrics::histogram waited;   ///< at the door, for the turn
  metrics::histogram checked;  ///< until the proof is checked
  metrics::histogram queued;   ///< from there to the entity's actor
  metrics::histogram stored;   ///< the write, with its wait for the one before
  metrics::histogram whole;    ///< from the frame to the answer
  metrics::gauge entities;
  metrics::counter bad_frames;

  /// The bound that made the server answer "overloaded".
  enum class bound : std::uint8_t { wait, gateway, server, user, entity, entities, slow, memory };
  void refused(bound why) const { refused_[static_cast<std::size_t>(why)].add(); }

 private:
  static constexpr std::size_t statuses = 15;
  std::array<metrics::counter, statuses> assignments_{};
  std::array<metrics::counter, 8> refused_{};
  std::array<metrics::counter, 4> report_entries_{};  ///< the last one: not done
};

}  // namespace cpns::server
