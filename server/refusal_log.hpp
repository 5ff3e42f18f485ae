#pragma once
// What the log says of requests that were refused or not understood: a few lines a gateway, and the number of
// those that were held back.

#include <mutex>
#include <string>

#include "base/line_budget.hpp"

namespace cpns::server {

/// [thread-safe]
class refusal_log {
 public:
  static constexpr std::uint32_t lines = 20;     ///< of one gateway
  static constexpr milliseconds period{10'000};  ///< in which they may be written

  /// Whether a line caused by the gateway with this URI may be written.
  bool may_say(time_point now, const std::string& gateway);
  /// Says what was held back in periods that are over.
  void tick(time_point now);

 private:
  std::mutex guard_;
  line_budget budget_{lines, period};
};

}  // namespace cpns::server
