#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace cpns {

/// A peer that causes a log line with every message must not fill the disk: allows `lines` per `period` for
/// each key (the peer that causes them) and counts the suppressed ones. Bounded: over `keys_max` the further
/// keys share one count, whose name is empty. Not thread-safe.
class line_budget {
 public:
  line_budget(std::uint32_t lines, milliseconds period, std::size_t keys_max = 1024)
      : lines_(lines), period_(period), keys_max_(keys_max) {}

  /// True: a line about `key` may be written now. False: it is counted as suppressed.
  bool take(time_point now, std::string_view key);

  struct held {
    std::string key;
    std::uint64_t lines = 0;  ///< suppressed
  };
  /// Suppressed lines of finished periods, each reported once. The driver calls it about once per second.
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
  std::vector<held> ended_;  ///< of periods that a new one followed before over() was called
};

}  // namespace cpns
