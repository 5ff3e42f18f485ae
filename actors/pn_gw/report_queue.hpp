#pragma once
// Epochs to report to the CPNS Server: one per entity, kept until answered. Reads no clock. Not thread-safe.

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace cpns::actors {

/// Each unanswered entry backs off alone, so that rows which the server cannot read cost little and delay no
/// other.
class report_queue {
 public:
  static constexpr seconds pause_min{5}, pause_max{300};
  using entry = std::pair<entity_id, epoch>;

  /// The same epoch again changes nothing; another epoch replaces the previous one and is due at once.
  void add(time_point now, const entity_id& entity, epoch which);
  /// Up to `most` due entries, the longest waiting first. They are in flight until one of the calls below.
  /// Empty while others are in flight.
  std::vector<entry> take(time_point now, std::size_t most);
  /// The server answered the entry in flight: removes it and returns its epoch. nullopt: it is not in flight,
  /// or another epoch has replaced it.
  std::optional<epoch> answered(const entity_id& entity);
  /// The entries still in flight got no answer; the server asks not to repeat them before `retry_after`.
  void unanswered(time_point now, seconds retry_after);
  /// The connection ended: entries in flight are due at once.
  void interrupted(time_point now);

  [[nodiscard]] bool empty() const { return entries_.empty(); }

 private:
  struct state {
    epoch which;
    time_point due;
    int tries = 0;
  };
  void wait_until(const entity_id& entity, state& s, time_point due);

  std::map<entity_id, state> entries_;
  std::set<std::pair<time_point, entity_id>> order_;  ///< entries that are not in flight
  std::map<entity_id, epoch> in_flight_;
};

}  // namespace cpns::actors
