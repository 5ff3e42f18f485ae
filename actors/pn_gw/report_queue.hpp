#pragma once
// Which epochs the CPNS Server has to learn of: one per entity, kept until it is answered. Reads no clock.
// Not thread-safe.

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"

namespace cpns::actors {

/// An entry that stays unanswered pauses alone, longer each time, so that rows which the server cannot read
/// cost little and hold up nobody.
class report_queue {
 public:
  static constexpr seconds pause_min{5}, pause_max{300};
  using entry = std::pair<entity_id, epoch>;

  /// The same epoch again changes nothing; another one takes the place of the one before and is due at once.
  void add(time_point now, const entity_id& entity, epoch which);
  /// Up to `most` entries that are due, those that wait longest first. They are in flight until one of the
  /// calls below; empty while others are in flight.
  std::vector<entry> take(time_point now, std::size_t most);
  /// The server answered the entry in flight: the epoch that it answered, and the entry is done with.
  /// nullopt: it was not asked, or another epoch is to be reported by now.
  std::optional<epoch> answered(const entity_id& entity);
  /// What is in flight still got no answer, and the server does not want it before `retry_after`.
  void unanswered(time_point now, seconds retry_after);
  /// The connection is gone: what is in flight is due at once.
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
  std::set<std::pair<time_point, entity_id>> order_;  ///< of those that are not in flight
  std::map<entity_id, epoch> in_flight_;
};

}  // namespace cpns::actors
