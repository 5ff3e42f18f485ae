#include "actors/pn_gw/gateway_rules.hpp"

#include <chrono>
#include <utility>

namespace cpns::actors {

result<std::shared_ptr<const supervisor_rules>>
rules_of(const config::gateway_config& c, const gateway_id& gw, const config::gateway_config& at_start) {
  auto r = std::make_shared<supervisor_rules>();
  auto& s = r->device;
  CPNS_TRY(s.user, user_id::parse(c.user));
  s.gw = gw;
  if (at_start.application_keys) s.consumer_wait = at_start.application_keys->consumer_wait;
  s.policy = c.validation.policy == config::approval::automatic ? protocol::validation_policy::automatic
             : c.validation.policy == config::approval::ask     ? protocol::validation_policy::ask
                                                                : protocol::validation_policy::list;
  s.lowest_suite = static_cast<std::uint8_t>(c.lowest_suite);
  s.answer_timeout = c.timers.answer_timeout;
  s.retries = static_cast<int>(c.timers.retries);
  s.backoff_min = std::chrono::ceil<seconds>(c.timers.backoff_min);
  s.backoff_max = std::chrono::ceil<seconds>(c.timers.backoff_max);
  s.low_water = c.rekey.low_water;
  s.healing_reserve = c.healing_reserve;
  s.amnesia_budget = c.amnesia_budget;
  s.rekey_jitter_percent = c.rekey.jitter_percent;
  if (c.rekey.interval) s.rekey_override = std::chrono::ceil<seconds>(*c.rekey.interval);
  r->validation = c.validation;
  r->devices_max = c.limits.devices;
  r->links_max = c.limits.links;
  return std::shared_ptr<const supervisor_rules>{std::move(r)};
}

}  // namespace cpns::actors
