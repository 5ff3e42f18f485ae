#pragma once
// A gateway, or any peer at the server's port, can cause a log line with each message or connection. This
// bounds the lines per gateway and logs how many were suppressed.

#include <mutex>
#include <string>
#include <vector>

#include "base/line_budget.hpp"
#include "base/log.hpp"

namespace cpns::server {

/// [thread-safe]
class refusal_log {
 public:
  static constexpr std::uint32_t lines = 20;  ///< per gateway and period
  static constexpr milliseconds period{10'000};

  /// `about`: the subject of the lines, for the line that counts the suppressed ones.
  explicit refusal_log(std::string about) : about_(std::move(about)) {}

  /// Whether a line caused by the gateway with this URI may be written. Unidentified peers share the empty URI.
  bool may_log(time_point now, const std::string& gateway) {
    std::lock_guard lock{guard_};
    return budget_.take(now, gateway);
  }
  /// Logs how many lines were held back in the periods that have ended.
  void tick(time_point now) {
    std::vector<line_budget::held> held;
    {
      std::lock_guard lock{guard_};
      held = budget_.over(now);
    }
    for (const auto& h : held)
      log::warn("server", "refusals-held-back", "further lines about " + about_ + " were not written",
                {{"gateway", h.key.empty() ? "several" : h.key}, {"lines", std::to_string(h.lines)}});
  }

 private:
  const std::string about_;
  std::mutex guard_;
  line_budget budget_{lines, period};
};

}  // namespace cpns::server
