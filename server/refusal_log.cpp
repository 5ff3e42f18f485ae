#include "server/refusal_log.hpp"

#include "base/log.hpp"

namespace cpns::server {

bool refusal_log::may_say(time_point now, const std::string& gateway) {
  std::lock_guard lock{guard_};
  return budget_.take(now, gateway);
}

void refusal_log::tick(time_point now) {
  std::vector<line_budget::held> held;
  {
    std::lock_guard lock{guard_};
    held = budget_.over(now);
  }
  for (const auto& h : held)
    log::warn("server", "refusals-held-back", "further lines about " + about_ + " were not written",
              {{"gateway", h.key.empty() ? "several" : h.key}, {"lines", std::to_string(h.lines)}});
}

}  // namespace cpns::server
