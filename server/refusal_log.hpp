#pragma once
// Log lines that a gateway, or a stranger at the server's port, can cause with each message or connection: a
// few per gateway, and the number of those that were held back.

#include <mutex>
#include <string>

#include "base/line_budget.hpp"

namespace cpns::server {

/// [thread-safe]
class refusal_log {
 public:
  static constexpr std::uint32_t lines = 20;     ///< of one gateway
  static constexpr milliseconds period{10'000};  ///< in which they may be written

  /// `about`: the lines, as the line that counts those held back names them.
  explicit refusal_log(std::string about) : about_(std::move(about)) {}

  /// Whether a line caused by the gateway with this URI may be written. Those without one share an empty URI.
  bool may_say(time_point now, const std::string& gateway);
  /// Says what was held back in periods that are over.
  void tick(time_point now);

 private:
  const std::string about_;
  std::mutex guard_;
  line_budget budget_{lines, period};
};

}  // namespace cpns::server
