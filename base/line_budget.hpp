#pragma once
// How many lines of one kind a log takes: a peer that causes one with every message must not fill the disk,
// and what is held back is counted.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace cpns {

/// So many lines in each period, the same for every key (who causes them). Bounded: further keys share one
/// count, whose name is empty. Not thread-safe.
class line_budget {
 public:
  line_budget(std::uint32_t lines, milliseconds period, std::size_t keys_max = 1024)
      : lines_(lines), period_(period), keys_max_(keys_max) {}

  /// Whether a line about `key` may be written now; it is counted otherwise.
  bool take(time_point now, std::string_view key);

  struct held {
    std::string key;
    std::uint64_t lines = 0;  ///< that were held back in a period that is over
  };
  /// What is to be said of periods that are over; forgets them. A driver calls it about once a second.
  std::vector<held> over(time_point now);

 private:
  struct count {
    time_point began;
    std::uint64_t asked = 0;
  };
  [[nodiscard]] bool is_over(const count& c, time_point now) const {
    return now >= c.began + period_ || now < c.began;
  }

  std::uint32_t lines_;
  milliseconds period_;
  std::size_t keys_max_;
  std::unordered_map<std::string, count> counts_;
  std::vector<held> ended_;  ///< of periods that a new one followed before anybody asked
};

}  // namespace cpns
