#pragma once
// Which refused attempts get a line of their own, so that a peer without rights cannot fill the disk. Private to audit/.

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/line_budget.hpp"

namespace cpns::audit {

/// Not thread-safe.
class refusals {
 public:
  static constexpr milliseconds period = std::chrono::minutes(1);
  static constexpr std::size_t peers_max = 1024;  ///< that are counted by themselves
  static constexpr std::size_t counts_max =
      16;  ///< lines with counts per call of counts(); the last one sums up the rest

  refusals(std::uint32_t per_peer, std::uint32_t all)
      : per_peer_(per_peer, period, peers_max), all_(all, period, 1) {}

  /// True: the attempt gets a line. False: it is counted.
  bool take(time_point now, const std::string& peer);
  /// The fields of the lines with the counts of finished minutes. `last`: counts of the current minute, too.
  std::vector<boost::json::object> counts(time_point now, bool last);

 private:
  line_budget per_peer_, all_;
};

}  // namespace cpns::audit
